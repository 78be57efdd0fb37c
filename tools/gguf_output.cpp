#include "gguf_output.h"

#include <fmt/format.h>

#include <cstdint>
#include <cstdio>
#include <system_error>
#include <utility>
#include <vector>

#include "base/error.h"

namespace ebb::tools {

namespace fs = std::filesystem;

GgufOutput::GgufOutput(GgufHandle header, fs::path path)
    : header_(std::move(header)), path_(std::move(path)), part_(path_.string() + ".part") {
  const fs::path folder = fs::absolute(path_).parent_path();
  if (!fs::is_directory(folder)) {
    throw Error::make(ErrorKind::kStorage, "{}: the folder {} does not exist", path_.string(),
                      folder.string());
  }
  if (fs::is_directory(path_)) {
    throw Error::make(ErrorKind::kUsage, "{}: found a folder, expected a file name",
                      path_.string());
  }
  check_space();
  if (!gguf_write_to_file(header_.get(), part_.c_str(), true)) {
    std::error_code ignored;
    fs::remove(part_, ignored);
    throw Error::make(ErrorKind::kStorage, "{}: cannot be written", part_.string());
  }
  file_.open(part_, std::ios::binary | std::ios::app);
}

GgufOutput::~GgufOutput() {
  if (is_committed_) {
    return;
  }
  file_.close();
  std::error_code ignored;
  fs::remove(part_, ignored);
}

void GgufOutput::check_space() const {
  uint64_t need = gguf_get_meta_size(header_.get());
  for (int64_t i = 0; i < gguf_get_n_tensors(header_.get()); ++i) {
    need += GGML_PAD(gguf_get_tensor_size(header_.get(), i), gguf_get_alignment(header_.get()));
  }
  std::error_code failed;
  const fs::space_info space = fs::space(fs::absolute(path_).parent_path(), failed);
  if (!failed && space.available < need) {
    throw Error::make(ErrorKind::kStorage, "{}: needs {} MiB, the disk has {} MiB left",
                      path_.string(), need >> 20, space.available >> 20);
  }
}

void GgufOutput::write(const void* data, size_t n_bytes) {
  file_.write(static_cast<const char*>(data), static_cast<std::streamsize>(n_bytes));
  if (!file_) {
    throw Error::make(ErrorKind::kStorage, "{}: writing failed (is the disk full?)",
                      part_.string());
  }
}

void GgufOutput::append(std::span<const std::byte> bytes) {
  EBB_CHECK(tensor_ < gguf_get_n_tensors(header_.get()));
  const size_t size = gguf_get_tensor_size(header_.get(), tensor_);
  EBB_CHECK(n_written_ + bytes.size() <= size);
  write(bytes.data(), bytes.size());
  n_written_ += bytes.size();
  if (n_written_ == size) {
    const size_t padding = GGML_PAD(size, gguf_get_alignment(header_.get())) - size;
    const std::vector<char> zeros(padding, '\0');
    write(zeros.data(), padding);
    ++tensor_;
    n_written_ = 0;
  }
}

void GgufOutput::commit() {
  EBB_CHECK(tensor_ == gguf_get_n_tensors(header_.get()) && n_written_ == 0);
  file_.close();
  std::error_code failed;
  if (file_.fail()) {
    throw Error::make(ErrorKind::kStorage, "{}: writing failed (is the disk full?)",
                      part_.string());
  }
  fs::rename(part_, path_, failed);
  if (failed) {
    throw Error::make(ErrorKind::kStorage, "{}: cannot be renamed to {}: {}", part_.string(),
                      path_.string(), failed.message());
  }
  is_committed_ = true;
}

GgufInput::GgufInput(const fs::path& source) : file(source, std::ios::binary), path(source) {
  if (!file || fs::is_directory(source)) {
    throw Error::make(ErrorKind::kStorage, "{}: cannot be read", source.string());
  }
  ggml_context* context = nullptr;
  header.reset(gguf_init_from_file(source.c_str(), {.no_alloc = true, .ctx = &context}));
  tensors.reset(context);
  if (!header) {
    throw Error::make(ErrorKind::kBadModel, "{}: found no valid GGUF header", source.string());
  }
  const size_t file_size = fs::file_size(source);
  const size_t data = gguf_get_data_offset(header.get());
  for (int64_t i = 0; i < gguf_get_n_tensors(header.get()); ++i) {
    const size_t begin = data + gguf_get_tensor_offset(header.get(), i);
    const size_t size = gguf_get_tensor_size(header.get(), i);
    if (begin > file_size || size > file_size - begin) {
      throw Error::make(ErrorKind::kBadModel,
                        "{}: tensor {} ends at byte {}, but the file has {}: it is truncated",
                        source.string(), gguf_get_tensor_name(header.get(), i), begin + size,
                        file_size);
    }
  }
}

ggml_tensor* GgufInput::tensor(int64_t index) const {
  return ggml_get_tensor(tensors.get(), gguf_get_tensor_name(header.get(), index));
}

void GgufInput::read(int64_t index, size_t begin, std::span<std::byte> out) {
  const size_t at =
      gguf_get_data_offset(header.get()) + gguf_get_tensor_offset(header.get(), index);
  file.seekg(static_cast<std::streamoff>(at + begin));
  file.read(reinterpret_cast<char*>(out.data()), static_cast<std::streamsize>(out.size()));
  if (!file) {
    throw Error::make(ErrorKind::kStorage, "{}: reading tensor {} failed", path.string(),
                      gguf_get_tensor_name(header.get(), index));
  }
}

int run_tool(const char* name, const std::function<void()>& body) {
  try {
    body();
    return 0;
  } catch (const Error& error) {
    fmt::print(stderr, "{}: {}\n", name, error.what());
    return error.exit_code();
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}: {}\n", name, error.what());
    return 1;
  }
}

}  // namespace ebb::tools
