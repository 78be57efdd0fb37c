// A GGUF file (version 2 or 3), mapped, checked and readable by key. Nothing in it is trusted:
// every count, length, type and offset is compared with the real file before it is used, and what
// does not fit is a typed error. It knows no architecture (see architecture.h) and copies no
// weights.
#pragma once

#include <ggml.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/platform.h"

namespace ebb::model {

// Type numbers of the format.
enum class ValueType : uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};

// Where one metadata value lies. A plain value is n = 1 element of its type.
struct MetadataValue {
  std::string_view key;
  ValueType type = ValueType::kU8;          // kArray for arrays
  ValueType element_type = ValueType::kU8;  // of the array, else the type
  uint64_t n = 1;
  size_t offset = 0;  // of the first element in the file
};

struct TensorInfo {
  std::string_view name;
  ggml_type type = GGML_TYPE_F32;
  int n_dims = 0;
  std::array<int64_t, 4> ne = {1, 1, 1, 1};  // ggml order, fastest first; may be 0
  const void* data = nullptr;                // in the mapped file, all of it inside
  size_t size_bytes = 0;
};

// The texts of an array of strings, one after the other as they lie in the file: nothing is copied,
// so that a long array costs no memory.
class StringArray {
 public:
  class Iterator {
   public:
    Iterator(const std::byte* at, uint64_t n_left) : at_(at), n_left_(n_left) {}
    std::string_view operator*() const;
    Iterator& operator++();
    bool operator==(const Iterator& other) const { return n_left_ == other.n_left_; }
    // Where the text and its length lie, for those who come back to it.
    const std::byte* place() const { return at_; }

   private:
    const std::byte* at_;
    uint64_t n_left_;
  };

  // Requires: n strings from `begin` on, checked against the end of the file.
  StringArray(const std::byte* begin, uint64_t n) : begin_(begin), n_(n) {}
  size_t size() const { return n_; }
  bool empty() const { return n_ == 0; }
  Iterator begin() const { return {begin_, n_}; }
  Iterator end() const { return {nullptr, 0}; }

 private:
  const std::byte* begin_;
  uint64_t n_;
};

class GgufFile {
 public:
  // Throws: kBadModel, also where there is no such file.  Cost: reads the header only.
  static GgufFile open(const std::filesystem::path& path);
  // The same for bytes that the caller keeps alive; `name` is for messages.
  static GgufFile view(std::span<const std::byte> bytes, const std::filesystem::path& name);

  GgufFile(GgufFile&&) noexcept = default;
  GgufFile& operator=(GgufFile&&) noexcept = default;

  // Plain values; nothing where the key is absent.  Throws: kBadModel for another type or a number
  // that the result cannot hold.  Integers of every width are accepted as integers, and only those.
  std::optional<uint32_t> u32(std::string_view key) const;
  std::optional<float> f32(std::string_view key) const;
  std::optional<bool> boolean(std::string_view key) const;
  std::optional<std::string_view> string(std::string_view key) const;

  // Arrays; nothing where the key is absent.  Throws: as above.
  std::optional<StringArray> string_array(std::string_view key) const;
  std::optional<std::vector<float>> f32_array(std::string_view key) const;
  std::optional<std::vector<int32_t>> i32_array(std::string_view key) const;
  std::optional<std::vector<uint32_t>> u32_array(std::string_view key) const;
  // n values: an array of that length (integers or booleans), or one integer n times.
  std::optional<std::vector<uint32_t>> u32_or_array(std::string_view key, size_t n) const;

  bool has(std::string_view key) const { return value(key) != nullptr; }
  // Null where absent.
  const MetadataValue* value(std::string_view key) const;
  const std::vector<MetadataValue>& values() const { return values_; }  // as in the file
  std::vector<std::string_view> keys() const;

  // Null where absent.
  const TensorInfo* tensor(std::string_view name) const;
  const std::vector<TensorInfo>& tensors() const { return tensors_; }  // as in the file

  const std::filesystem::path& path() const { return path_; }
  size_t size_bytes() const { return bytes_.size(); }
  size_t header_bytes() const { return header_bytes_; }  // everything before the first tensor
  uint32_t version() const { return version_; }
  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  GgufFile(std::optional<platform::MappedFile> mapped, std::span<const std::byte> bytes,
           std::filesystem::path path);
  const MetadataValue* plain(std::string_view key) const;
  const MetadataValue* array(std::string_view key) const;
  int64_t integer_at(const MetadataValue& value, uint64_t i) const;
  template <typename Int>
  std::optional<std::vector<Int>> integers(std::string_view key) const;

  std::optional<platform::MappedFile> mapped_;
  std::span<const std::byte> bytes_;
  std::filesystem::path path_;
  uint32_t version_ = 0;
  size_t header_bytes_ = 0;
  std::vector<MetadataValue> values_;
  std::vector<TensorInfo> tensors_;
  std::vector<uint32_t> values_by_key_;    // sorted
  std::vector<uint32_t> tensors_by_name_;  // sorted
};

// "u32", "string", "array".
std::string_view value_type_name(ValueType type);

}  // namespace ebb::model
