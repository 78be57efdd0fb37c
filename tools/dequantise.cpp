// ebb-dequantise: writes a GGUF file's weights as F32, for oracles that need the exact weights that
// a quantised file stands for. Metadata stays as it is, but for the file type.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "base/error.h"
#include "gguf_output.h"

namespace {

namespace fs = std::filesystem;
using ebb::Error;
using ebb::ErrorKind;
using ebb::tools::GgufHandle;
using ebb::tools::GgufInput;
using ebb::tools::GgufOutput;

constexpr int64_t kChunkElements = 4 << 20;

bool is_integer(ggml_type type) {
  return type == GGML_TYPE_I8 || type == GGML_TYPE_I16 || type == GGML_TYPE_I32 ||
         type == GGML_TYPE_I64 || type == GGML_TYPE_F64;
}

// Integers and F64 are not weights: they pass through.
bool is_converted(ggml_type type) { return type != GGML_TYPE_F32 && !is_integer(type); }

GgufHandle make_header(const GgufInput& input) {
  GgufHandle header(gguf_init_empty());
  gguf_set_kv(header.get(), input.header.get());
  gguf_set_val_u32(header.get(), "general.file_type", 0);  // all F32
  for (int64_t i = 0; i < gguf_get_n_tensors(input.header.get()); ++i) {
    const ggml_tensor* tensor = input.tensor(i);
    gguf_add_tensor(header.get(), tensor);
    if (!is_converted(tensor->type)) {
      continue;
    }
    if (ggml_get_type_traits(tensor->type)->to_float == nullptr) {
      throw Error::make(ErrorKind::kBadModel,
                        "{}: tensor {} has type {}, which ggml cannot dequantise",
                        input.path.string(), tensor->name, ggml_type_name(tensor->type));
    }
    gguf_set_tensor_type(header.get(), tensor->name, GGML_TYPE_F32);
  }
  return header;
}

void copy_tensor(GgufInput& input, int64_t index, GgufOutput& output) {
  const ggml_tensor* tensor = input.tensor(index);
  const int64_t n_rows = ggml_nrows(tensor);
  const int64_t n_row = tensor->ne[0];
  const size_t row_bytes = ggml_row_size(tensor->type, n_row);
  const int64_t n_step = std::max<int64_t>(1, kChunkElements / std::max<int64_t>(1, n_row));
  const bool converts = is_converted(tensor->type);
  std::vector<std::byte> stored;
  std::vector<float> values;
  for (int64_t row = 0; row < n_rows; row += n_step) {
    const int64_t n = std::min(n_step, n_rows - row);
    stored.resize(static_cast<size_t>(n) * row_bytes);
    input.read(index, static_cast<size_t>(row) * row_bytes, stored);
    if (!converts) {
      output.append(stored);
      continue;
    }
    values.resize(static_cast<size_t>(n * n_row));
    ggml_get_type_traits(tensor->type)->to_float(stored.data(), values.data(), n * n_row);
    output.append(std::as_bytes(std::span<const float>(values)));
  }
}

void dequantise(const fs::path& in, const fs::path& out) {
  GgufInput input(in);
  std::error_code ignored;
  if (fs::equivalent(in, out, ignored)) {
    throw Error::make(ErrorKind::kUsage, "{}: input and output are the same file", in.string());
  }
  const int64_t n_tensors = gguf_get_n_tensors(input.header.get());
  GgufOutput output(make_header(input), out);
  for (int64_t i = 0; i < n_tensors; ++i) {
    copy_tensor(input, i, output);
  }
  output.commit();
  fmt::print("{}: {} tensors, {} MiB\n", out.string(), n_tensors, fs::file_size(out) >> 20);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Writes the weights of a GGUF file as F32.", "ebb-dequantise");
  std::string in;
  std::string out;
  app.add_option("IN.gguf", in, "file to read")->required();
  app.add_option("OUT.gguf", out, "file to write")->required();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return ebb::tools::run_tool("ebb-dequantise", [&] { dequantise(in, out); });
}
