#include "model/gguf_parse.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <optional>

#include "base/error.h"
#include "tensor/types.h"

namespace ebb::model {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF numbers are read as they lie");

std::optional<uint64_t> product(uint64_t a, uint64_t b) {
  if (b != 0 && a > std::numeric_limits<uint64_t>::max() / b) return std::nullopt;
  return a * b;
}

std::optional<uint64_t> round_up(uint64_t value, uint64_t unit) {
  if (value > std::numeric_limits<uint64_t>::max() - (unit - 1)) return std::nullopt;
  return (value + unit - 1) / unit * unit;
}

// For messages: foreign bytes must not reach a terminal.
std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, 80)) {
    if (c >= 0x20 && c < 0x7F) {
      out.push_back(c);
    } else {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    }
  }
  return text.size() > 80 ? out + "..." : out;
}

// Names are ASCII without spaces or control characters.
bool is_plain_name(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7F; });
}

// Walks over the header; every step is checked against the end of the file and of the header.
class Cursor {
 public:
  Cursor(std::span<const std::byte> bytes, const std::string& name) : bytes_(bytes), name_(name) {}

  size_t offset() const { return offset_; }
  size_t file_bytes() const { return bytes_.size(); }
  size_t left() const { return std::min(bytes_.size(), kMaxHeaderBytes) - offset_; }
  const std::byte* here() const { return bytes_.data() + offset_; }

  template <typename... Args>
  [[noreturn]] void fail(std::string_view where, size_t at, fmt::format_string<Args...> format,
                         Args&&... args) const {
    throw Error::make(ErrorKind::kBadModel, "{}: {} at byte {}: {}", name_, where, at,
                      fmt::format(format, std::forward<Args>(args)...));
  }

  void need(uint64_t n_bytes, std::string_view where) const {
    if (n_bytes <= left()) return;
    if (n_bytes <= bytes_.size() - offset_) {
      fail(where, offset_, "found a header of more than {} bytes, expected less", kMaxHeaderBytes);
    }
    fail(where, offset_, "found the end of the file after {} bytes, expected {} bytes here",
         bytes_.size(), n_bytes);
  }

  void skip(uint64_t n_bytes, std::string_view where) {
    need(n_bytes, where);
    offset_ += n_bytes;
  }

  template <typename T>
  T number(std::string_view where) {
    need(sizeof(T), where);
    T value;
    std::memcpy(&value, here(), sizeof(T));
    offset_ += sizeof(T);
    return value;
  }

  std::string_view text(std::string_view where, uint64_t max_length) {
    const size_t at = offset_;
    const auto length = number<uint64_t>(where);
    if (length > max_length) {
      fail(where, at, "found a length of {}, expected at most {}", length, max_length);
    }
    need(length, where);
    const std::string_view value(reinterpret_cast<const char*>(here()), length);
    offset_ += length;
    return value;
  }

 private:
  std::span<const std::byte> bytes_;
  const std::string& name_;
  size_t offset_ = 0;
};

struct Counts {
  uint32_t version = 0;
  uint64_t n_tensors = 0;
  uint64_t n_values = 0;
};

void check_magic(Cursor& cursor) {
  const std::string_view begin(reinterpret_cast<const char*>(cursor.here()),
                               std::min<size_t>(cursor.file_bytes(), 4));
  if (cursor.file_bytes() == 0) cursor.fail("header", 0, "found an empty file, expected 'GGUF'");
  if (begin == "GGUF") return cursor.skip(4, "magic");
  std::string_view hint;
  if (begin == "FUGG") hint = ": a GGUF file with reversed byte order";
  if (begin == "vers") hint = ": perhaps a Git LFS pointer in place of the file";
  if (begin == "<!DO" || begin == "<htm") hint = ": a web page in place of the file";
  if (begin == "ggml" || begin == "lmgg" || begin == "tjgg") hint = ": the format before GGUF";
  if (begin.substr(0, 2) == "PK") hint = ": a zip archive or PyTorch checkpoint";
  cursor.fail("magic", 0, "found '{}', expected 'GGUF'{}", printable(begin), hint);
}

Counts read_counts(Cursor& cursor) {
  check_magic(cursor);
  Counts counts;
  counts.version = cursor.number<uint32_t>("version");
  if (counts.version != 2 && counts.version != 3) {
    const uint32_t swapped = (counts.version >> 24) | ((counts.version >> 8) & 0xFF00U);
    cursor.fail("version", 4, "found {}, expected 2 or 3{}", counts.version,
                swapped == 2 || swapped == 3 ? " (the file is for big-endian machines)" : "");
  }
  counts.n_tensors = cursor.number<uint64_t>("number of tensors");
  if (counts.n_tensors > kMaxTensors) {
    cursor.fail("number of tensors", 8, "found {}, expected at most {}", counts.n_tensors,
                kMaxTensors);
  }
  counts.n_values = cursor.number<uint64_t>("number of keys");
  if (counts.n_values > kMaxKeys) {
    cursor.fail("number of keys", 16, "found {}, expected at most {}", counts.n_values, kMaxKeys);
  }
  return counts;
}

ValueType read_value_type(Cursor& cursor, const std::string& where) {
  const size_t at = cursor.offset();
  const auto number = cursor.number<uint32_t>(where);
  if (number > static_cast<uint32_t>(ValueType::kF64)) {
    cursor.fail(where, at, "found value type {}, expected 0 to 12", number);
  }
  return static_cast<ValueType>(number);
}

void check_booleans(Cursor& cursor, const std::string& where, uint64_t n) {
  cursor.need(n, where);
  for (uint64_t i = 0; i < n; ++i) {
    const auto value = static_cast<unsigned>(cursor.here()[i]);
    if (value > 1) {
      cursor.fail(where, cursor.offset() + i, "found a boolean of {}, expected 0 or 1", value);
    }
  }
}

void read_elements(Cursor& cursor, const std::string& where, const MetadataValue& value) {
  if (value.element_type == ValueType::kString) {
    for (uint64_t i = 0; i < value.n; ++i) cursor.text(where, kMaxHeaderBytes);
    return;
  }
  if (value.element_type == ValueType::kBool) check_booleans(cursor, where, value.n);
  cursor.skip(value.n * value_type_bytes(value.element_type), where);
}

MetadataValue read_value(Cursor& cursor) {
  MetadataValue value;
  const size_t key_at = cursor.offset();
  value.key = cursor.text("key", kMaxKeyLength);
  if (!is_plain_name(value.key)) {
    cursor.fail("key", key_at, "found '{}', expected printable ASCII without spaces",
                printable(value.key));
  }
  const std::string where = fmt::format("key '{}'", printable(value.key));
  value.type = value.element_type = read_value_type(cursor, where);
  if (value.type == ValueType::kArray) {
    const size_t type_at = cursor.offset();
    value.element_type = read_value_type(cursor, where);
    if (value.element_type == ValueType::kArray) {
      cursor.fail(where, type_at, "found an array of arrays, expected plain elements");
    }
    value.n = cursor.number<uint64_t>(where);
    if (value.n > kMaxArrayLength) {
      cursor.fail(where, type_at + 4, "found {} elements, expected at most {}", value.n,
                  kMaxArrayLength);
    }
  }
  value.offset = cursor.offset();
  read_elements(cursor, where, value);
  return value;
}

// Sorts and names the first pair of equal names, if any.
template <typename Items, typename NameOf>
void check_unique(const Cursor& cursor, const Items& items, std::string_view what, NameOf name_of) {
  std::vector<std::string_view> names;
  names.reserve(items.size());
  for (const auto& item : items) names.push_back(name_of(item));
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice != names.end()) {
    cursor.fail(fmt::format("{} '{}'", what, *twice), cursor.offset(),
                "found it twice, expected every name once");
  }
}

uint64_t read_alignment(const Cursor& cursor, const std::vector<MetadataValue>& values) {
  const auto found = std::find_if(values.begin(), values.end(), [](const MetadataValue& v) {
    return v.key == "general.alignment";
  });
  if (found == values.end()) return kDefaultAlignment;
  const std::string where = "key 'general.alignment'";
  if (found->type != ValueType::kU32) {
    cursor.fail(where, found->offset, "found a value of type {}, expected u32",
                value_type_name(found->type));
  }
  uint32_t alignment = 0;
  std::memcpy(&alignment, cursor.here() - cursor.offset() + found->offset, sizeof(alignment));
  if (!std::has_single_bit(alignment) || alignment < kMinAlignment || alignment > kMaxAlignment) {
    cursor.fail(where, found->offset, "found {}, expected a power of two from {} to {}", alignment,
                kMinAlignment, kMaxAlignment);
  }
  return alignment;
}

// A tensor as declared; the offset counts from the start of the tensor data.
struct Declared {
  TensorInfo info;
  uint64_t offset = 0;
  size_t at = 0;  // where the declaration lies
};

uint64_t checked_bytes(const Cursor& cursor, const std::string& where, const Declared& tensor) {
  const TensorInfo& info = tensor.info;
  const auto block = static_cast<uint64_t>(tensor::block_length(info.type));
  const auto row = static_cast<uint64_t>(info.ne[0]);
  if (row % block != 0) {
    cursor.fail(where, tensor.at, "found rows of {} numbers of type {}, expected a multiple of {}",
                row, tensor::type_name(info.type), block);
  }
  std::optional<uint64_t> n_bytes = product(row / block, tensor::block_bytes(info.type));
  uint64_t n_elements = row;
  for (size_t d = 1; d < 4; ++d) {
    const auto n = static_cast<uint64_t>(info.ne[d]);
    const auto elements = product(n_elements, n);
    if (n_bytes) n_bytes = product(*n_bytes, n);
    if (!elements || *elements > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      n_bytes.reset();
      break;
    }
    n_elements = *elements;
  }
  if (!n_bytes) {
    cursor.fail(where, tensor.at,
                "found dimensions {} x {} x {} x {}, expected a size that fits 63 bits", info.ne[0],
                info.ne[1], info.ne[2], info.ne[3]);
  }
  return *n_bytes;
}

void read_dimensions(Cursor& cursor, const std::string& where, TensorInfo& info) {
  const size_t at = cursor.offset();
  const auto n_dims = cursor.number<uint32_t>(where);
  if (n_dims < 1 || n_dims > 4) {
    cursor.fail(where, at, "found {} dimensions, expected 1 to 4", n_dims);
  }
  info.n_dims = static_cast<int>(n_dims);
  for (size_t d = 0; d < n_dims; ++d) {
    info.ne[d] = cursor.number<int64_t>(where);
    if (info.ne[d] < 0) {
      cursor.fail(where, cursor.offset() - sizeof(int64_t),
                  "found a dimension of {}, expected 0 to 2^63 - 1",
                  static_cast<uint64_t>(info.ne[d]));
    }
  }
}

Declared read_tensor(Cursor& cursor) {
  Declared tensor;
  tensor.at = cursor.offset();
  tensor.info.name = cursor.text("tensor name", kMaxTensorNameLength);
  if (!is_plain_name(tensor.info.name)) {
    cursor.fail("tensor name", tensor.at, "found '{}', expected printable ASCII without spaces",
                printable(tensor.info.name));
  }
  const std::string where = fmt::format("tensor '{}'", tensor.info.name);
  read_dimensions(cursor, where, tensor.info);
  const size_t type_at = cursor.offset();
  const auto type = cursor.number<uint32_t>(where);
  if (!tensor::is_storable_type(type)) {
    cursor.fail(where, type_at, "found number type {}, expected one that ggml knows, such as {}",
                type, tensor::supported_weight_type_names());
  }
  tensor.info.type = static_cast<ggml_type>(type);
  tensor.info.size_bytes = checked_bytes(cursor, where, tensor);
  tensor.offset = cursor.number<uint64_t>(where);
  return tensor;
}

// Tensors lie in the order of their declarations, each padded to the alignment, so that none
// overlap and none leaves the file.
std::vector<TensorInfo> place_tensors(const Cursor& cursor, std::vector<Declared> declared,
                                      uint64_t data_begin, uint64_t alignment) {
  std::vector<TensorInfo> tensors;
  tensors.reserve(declared.size());
  const std::byte* file = cursor.here() - cursor.offset();
  const uint64_t file_bytes = cursor.file_bytes();
  uint64_t expected = 0;
  for (Declared& tensor : declared) {
    const std::string where = fmt::format("tensor '{}'", tensor.info.name);
    if (tensor.offset != expected) {
      cursor.fail(
          where, tensor.at,
          "found data offset {}, expected {} (right after the tensor before, aligned to {})",
          tensor.offset, expected, alignment);
    }
    const uint64_t size = tensor.info.size_bytes;
    // expected <= file_bytes + alignment here, so the sums below cannot wrap.
    if (data_begin > file_bytes || expected > file_bytes - data_begin ||
        size > file_bytes - data_begin - expected) {
      cursor.fail(
          where, tensor.at,
          "found a file of {} bytes, expected {} bytes of data from byte {} (the file is cut off)",
          file_bytes, size, data_begin + expected);
    }
    tensor.info.data = file + data_begin + expected;
    expected = round_up(expected + size, alignment).value_or(std::numeric_limits<uint64_t>::max());
    tensors.push_back(tensor.info);
  }
  return tensors;
}

}  // namespace

size_t value_type_bytes(ValueType type) {
  switch (type) {
    case ValueType::kU8:
    case ValueType::kI8:
    case ValueType::kBool:
      return 1;
    case ValueType::kU16:
    case ValueType::kI16:
      return 2;
    case ValueType::kU32:
    case ValueType::kI32:
    case ValueType::kF32:
      return 4;
    case ValueType::kU64:
    case ValueType::kI64:
    case ValueType::kF64:
      return 8;
    case ValueType::kString:
    case ValueType::kArray:
      return 0;
  }
  return 0;
}

GgufHeader parse_gguf(std::span<const std::byte> bytes, const std::string& name) {
  Cursor cursor(bytes, name);
  const Counts counts = read_counts(cursor);
  GgufHeader header;
  header.version = counts.version;
  for (uint64_t i = 0; i < counts.n_values; ++i) header.values.push_back(read_value(cursor));
  check_unique(cursor, header.values, "key", [](const MetadataValue& v) { return v.key; });
  const uint64_t alignment = read_alignment(cursor, header.values);

  std::vector<Declared> declared;
  for (uint64_t i = 0; i < counts.n_tensors; ++i) declared.push_back(read_tensor(cursor));
  check_unique(cursor, declared, "tensor", [](const Declared& t) { return t.info.name; });
  header.header_bytes = *round_up(cursor.offset(), alignment);
  header.tensors = place_tensors(cursor, std::move(declared), header.header_bytes, alignment);
  return header;
}

}  // namespace ebb::model
