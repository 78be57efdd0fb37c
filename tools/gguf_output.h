// Writes a GGUF file tensor by tensor, so that a 12B model never has to be in memory. The data goes
// to FILE.part and gets its real name only when it is complete.
#pragma once

#include <ggml.h>
#include <gguf.h>

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <span>
#include <string>

namespace ebb::tools {

struct GgufDeleter {
  void operator()(gguf_context* context) const { gguf_free(context); }
};
struct GgmlDeleter {
  void operator()(ggml_context* context) const { ggml_free(context); }
};
using GgufHandle = std::unique_ptr<gguf_context, GgufDeleter>;
using GgmlHandle = std::unique_ptr<ggml_context, GgmlDeleter>;

class GgufOutput {
 public:
  // Writes the header: metadata and the tensor list of `header`, which must be complete.
  // Throws: kStorage where the folder is missing, full or not writable.
  GgufOutput(GgufHandle header, std::filesystem::path path);
  ~GgufOutput();  // removes the unfinished file
  GgufOutput(const GgufOutput&) = delete;
  GgufOutput& operator=(const GgufOutput&) = delete;

  // Bytes of the next tensors in the header's order, in pieces of any size; a tensor's last piece
  // ends exactly at its size.
  void append(std::span<const std::byte> bytes);
  // Checks that every tensor is there and gives the file its name.
  void commit();

 private:
  void check_space() const;
  void write(const void* data, size_t n_bytes);

  GgufHandle header_;
  std::filesystem::path path_, part_;
  std::ofstream file_;
  int64_t tensor_ = 0;    // the tensor being written
  size_t n_written_ = 0;  // bytes of it
  bool is_committed_ = false;
};

// A GGUF file's header without its data.  Throws: kBadModel, kStorage.
struct GgufInput {
  explicit GgufInput(const std::filesystem::path& path);

  GgmlHandle tensors;
  GgufHandle header;
  std::ifstream file;
  std::filesystem::path path;

  ggml_tensor* tensor(int64_t index) const;
  // Reads `n_bytes` of a tensor from its byte `begin` on.
  void read(int64_t index, size_t begin, std::span<std::byte> out);
};

// Runs a tool: prints an error and returns its exit code.
int run_tool(const char* name, const std::function<void()>& body);

}  // namespace ebb::tools
