#include "model/gguf_file.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <numeric>
#include <system_error>

#include "base/error.h"
#include "base/text.h"
#include "model/gguf_parse.h"

namespace ebb::model {
namespace {

namespace fs = std::filesystem;

// Indices of `items`, sorted by name.
template <typename Items, typename NameOf>
std::vector<uint32_t> sorted_by_name(const Items& items, NameOf name_of) {
  std::vector<uint32_t> order(items.size());
  std::iota(order.begin(), order.end(), 0U);
  std::sort(order.begin(), order.end(),
            [&](uint32_t a, uint32_t b) { return name_of(items[a]) < name_of(items[b]); });
  return order;
}

template <typename Items, typename NameOf>
const typename Items::value_type* find_by_name(const Items& items,
                                               const std::vector<uint32_t>& order,
                                               std::string_view name, NameOf name_of) {
  const auto found = std::lower_bound(
      order.begin(), order.end(), name,
      [&](uint32_t i, std::string_view wanted) { return name_of(items[i]) < wanted; });
  if (found == order.end() || name_of(items[*found]) != name) return nullptr;
  return &items[*found];
}

constexpr auto kKeyOf = [](const MetadataValue& v) { return v.key; };
constexpr auto kNameOf = [](const TensorInfo& t) { return t.name; };

bool is_integer(ValueType type) {
  return type != ValueType::kF32 && type != ValueType::kF64 && type != ValueType::kBool &&
         type != ValueType::kString && type != ValueType::kArray;
}

std::string described(const MetadataValue& value) {
  if (value.type != ValueType::kArray) return std::string(value_type_name(value.type));
  return fmt::format("array of {} {}", value.n, value_type_name(value.element_type));
}

[[noreturn]] void fail(const fs::path& path, const MetadataValue& value,
                       std::string_view expected) {
  throw Error::make(ErrorKind::kBadModel, "{}: key '{}': found {}, expected {}", path.string(),
                    value.key, described(value), expected);
}

template <typename T>
T load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

// " (did you mean 'x'?)" with the names in the folder of a file that is not there.
std::string nearby(const fs::path& path) {
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  std::vector<std::string> names;
  std::error_code ignored;
  for (fs::directory_iterator it(folder, ignored), end;
       !ignored && it != end && names.size() < 1000; it.increment(ignored)) {
    names.push_back(it->path().filename().string());
  }
  return did_you_mean(path.filename().string(), names);
}

}  // namespace

std::string_view value_type_name(ValueType type) {
  constexpr std::array<std::string_view, 13> kNames = {"u8",  "i8",  "u16",  "i16",    "u32",
                                                       "i32", "f32", "bool", "string", "array",
                                                       "u64", "i64", "f64"};
  return kNames[static_cast<size_t>(type)];
}

GgufFile::GgufFile(std::optional<platform::MappedFile> mapped, std::span<const std::byte> bytes,
                   fs::path path)
    : mapped_(std::move(mapped)), bytes_(bytes), path_(std::move(path)) {
  GgufHeader header = parse_gguf(bytes_, path_.string());
  version_ = header.version;
  header_bytes_ = header.header_bytes;
  values_ = std::move(header.values);
  tensors_ = std::move(header.tensors);
  values_by_key_ = sorted_by_name(values_, kKeyOf);
  tensors_by_name_ = sorted_by_name(tensors_, kNameOf);
}

GgufFile GgufFile::open(const fs::path& path) {
  std::error_code ignored;
  if (fs::status(path, ignored).type() == fs::file_type::not_found) {
    throw Error::make(ErrorKind::kBadModel, "{}: no such file{}", path.string(), nearby(path));
  }
  std::optional<platform::MappedFile> mapped;
  try {
    mapped.emplace(path);
  } catch (const Error& error) {
    throw Error(ErrorKind::kBadModel, error.what());  // the message names the file already
  }
  const std::span<const std::byte> bytes = mapped->bytes();
  return GgufFile(std::move(mapped), bytes, path);
}

GgufFile GgufFile::view(std::span<const std::byte> bytes, const fs::path& name) {
  return GgufFile(std::nullopt, bytes, name);
}

const MetadataValue* GgufFile::value(std::string_view key) const {
  return find_by_name(values_, values_by_key_, key, kKeyOf);
}

const TensorInfo* GgufFile::tensor(std::string_view name) const {
  return find_by_name(tensors_, tensors_by_name_, name, kNameOf);
}

std::vector<std::string_view> GgufFile::keys() const {
  std::vector<std::string_view> keys;
  keys.reserve(values_.size());
  for (const MetadataValue& value : values_) keys.push_back(value.key);
  return keys;
}

const MetadataValue* GgufFile::plain(std::string_view key) const {
  const MetadataValue* found = value(key);
  if (found != nullptr && found->type == ValueType::kArray) fail(path_, *found, "a plain value");
  return found;
}

const MetadataValue* GgufFile::array(std::string_view key) const {
  const MetadataValue* found = value(key);
  if (found != nullptr && found->type != ValueType::kArray) fail(path_, *found, "an array");
  return found;
}

int64_t GgufFile::integer_at(const MetadataValue& value, uint64_t i) const {
  const std::byte* at = bytes_.data() + value.offset + i * value_type_bytes(value.element_type);
  switch (value.element_type) {
    case ValueType::kU8:
    case ValueType::kBool:
      return load<uint8_t>(at);
    case ValueType::kI8:
      return load<int8_t>(at);
    case ValueType::kU16:
      return load<uint16_t>(at);
    case ValueType::kI16:
      return load<int16_t>(at);
    case ValueType::kU32:
      return load<uint32_t>(at);
    case ValueType::kI32:
      return load<int32_t>(at);
    case ValueType::kI64:
      return load<int64_t>(at);
    case ValueType::kU64:  // what does not fit is out of every range that is asked for
      return static_cast<int64_t>(
          std::min<uint64_t>(load<uint64_t>(at), std::numeric_limits<int64_t>::max()));
    default:
      fail(path_, value, "integers");
  }
}

namespace {

template <typename Int>
Int in_range(const fs::path& path, const MetadataValue& value, int64_t number) {
  if (number < std::numeric_limits<Int>::min() || number > std::numeric_limits<Int>::max()) {
    throw Error::make(ErrorKind::kBadModel, "{}: key '{}': found {}, expected {} to {}",
                      path.string(), value.key, number, std::numeric_limits<Int>::min(),
                      std::numeric_limits<Int>::max());
  }
  return static_cast<Int>(number);
}

}  // namespace

std::optional<uint32_t> GgufFile::u32(std::string_view key) const {
  const MetadataValue* found = plain(key);
  if (found == nullptr) return std::nullopt;
  if (!is_integer(found->type)) fail(path_, *found, "an integer");
  return in_range<uint32_t>(path_, *found, integer_at(*found, 0));
}

std::optional<float> GgufFile::f32(std::string_view key) const {
  const MetadataValue* found = plain(key);
  if (found == nullptr) return std::nullopt;
  if (found->type != ValueType::kF32) fail(path_, *found, "f32");
  return load<float>(bytes_.data() + found->offset);
}

std::optional<bool> GgufFile::boolean(std::string_view key) const {
  const MetadataValue* found = plain(key);
  if (found == nullptr) return std::nullopt;
  if (found->type != ValueType::kBool) fail(path_, *found, "bool");
  return load<uint8_t>(bytes_.data() + found->offset) != 0;
}

std::optional<std::string_view> GgufFile::string(std::string_view key) const {
  const MetadataValue* found = plain(key);
  if (found == nullptr) return std::nullopt;
  if (found->type != ValueType::kString) fail(path_, *found, "string");
  const std::byte* at = bytes_.data() + found->offset;
  return std::string_view(reinterpret_cast<const char*>(at) + sizeof(uint64_t), load<uint64_t>(at));
}

std::string_view StringArray::Iterator::operator*() const {
  return {reinterpret_cast<const char*>(at_) + sizeof(uint64_t), load<uint64_t>(at_)};
}

StringArray::Iterator& StringArray::Iterator::operator++() {
  at_ += sizeof(uint64_t) + load<uint64_t>(at_);
  --n_left_;
  return *this;
}

std::optional<StringArray> GgufFile::string_array(std::string_view key) const {
  const MetadataValue* found = array(key);
  if (found == nullptr) return std::nullopt;
  if (found->element_type != ValueType::kString) fail(path_, *found, "an array of string");
  return StringArray(bytes_.data() + found->offset, found->n);  // checked with the header
}

std::optional<std::vector<float>> GgufFile::f32_array(std::string_view key) const {
  const MetadataValue* found = array(key);
  if (found == nullptr) return std::nullopt;
  if (found->element_type != ValueType::kF32) fail(path_, *found, "an array of f32");
  std::vector<float> numbers(found->n);
  if (!numbers.empty()) {
    std::memcpy(numbers.data(), bytes_.data() + found->offset, numbers.size() * sizeof(float));
  }
  return numbers;
}

template <typename Int>
std::optional<std::vector<Int>> GgufFile::integers(std::string_view key) const {
  const MetadataValue* found = array(key);
  if (found == nullptr) return std::nullopt;
  if (!is_integer(found->element_type)) fail(path_, *found, "an array of integers");
  std::vector<Int> numbers(found->n);
  for (uint64_t i = 0; i < found->n; ++i)
    numbers[i] = in_range<Int>(path_, *found, integer_at(*found, i));
  return numbers;
}

std::optional<std::vector<int32_t>> GgufFile::i32_array(std::string_view key) const {
  return integers<int32_t>(key);
}

std::optional<std::vector<uint32_t>> GgufFile::u32_array(std::string_view key) const {
  return integers<uint32_t>(key);
}

std::optional<std::vector<uint32_t>> GgufFile::u32_or_array(std::string_view key, size_t n) const {
  const MetadataValue* found = value(key);
  if (found == nullptr) return std::nullopt;
  if (found->type != ValueType::kArray) return std::vector<uint32_t>(n, *u32(key));
  const bool fits = is_integer(found->element_type) || found->element_type == ValueType::kBool;
  if (!fits || found->n != n)
    fail(path_, *found, fmt::format("an integer or an array of {} integers", n));
  std::vector<uint32_t> numbers(n);
  for (size_t i = 0; i < n; ++i)
    numbers[i] = in_range<uint32_t>(path_, *found, integer_at(*found, i));
  return numbers;
}

}  // namespace ebb::model
