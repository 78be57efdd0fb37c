// Reads and checks the header of a GGUF file. Internal to GgufFile.
// Format: github.com/ggml-org/ggml, docs/gguf.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "model/gguf_file.h"

namespace ebb::model {

// Limits of our own, far above any real model, so that a small hostile file cannot ask for much
// work or memory: the whole header, one array, one string, the number of keys and of tensors.
inline constexpr size_t kMaxHeaderBytes = size_t{32} << 20;
inline constexpr uint64_t kMaxArrayLength = uint64_t{1} << 20;
inline constexpr uint64_t kMaxKeys = uint64_t{1} << 14;
inline constexpr uint64_t kMaxTensors = uint64_t{1} << 16;
inline constexpr uint64_t kMaxKeyLength = 65535;      // of the format
inline constexpr uint64_t kMaxTensorNameLength = 63;  // of ggml
inline constexpr uint64_t kMinAlignment = 8;          // of the format
inline constexpr uint64_t kMaxAlignment = 64 * 1024;
inline constexpr uint64_t kDefaultAlignment = 32;

struct GgufHeader {
  uint32_t version = 0;
  size_t header_bytes = 0;  // where tensor data begins
  std::vector<MetadataValue> values;
  std::vector<TensorInfo> tensors;
};

// Throws: kBadModel with `name`, the key or tensor, the byte offset, what was found and expected.
GgufHeader parse_gguf(std::span<const std::byte> bytes, const std::string& name);

// Bytes of one element; 0 for strings and arrays.
size_t value_type_bytes(ValueType type);

}  // namespace ebb::model
