#include "record/npy.h"

#include <zlib.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>

#include "base/error.h"

namespace ebb::record {
namespace {

namespace fs = std::filesystem;

Error storage_error(const fs::path& path, std::string_view what) {
  return Error::make(ErrorKind::kStorage, "{}: {}: {}", path.string(), what, std::strerror(errno));
}

fs::path part_of(const fs::path& path) { return path.string() + ".part"; }

void put(std::string& out, uint32_t value, int n_bytes) {
  for (int i = 0; i < n_bytes; ++i) out.push_back(static_cast<char>((value >> (8 * i)) & 0xFFU));
}

// Reads "(3, 5)" after 'shape'.  False when there is none, or a dimension is no number.
bool parse_shape(const std::string& header, std::vector<int64_t>& shape) {
  const size_t begin = header.find('(');
  const size_t end = header.find(')', begin);
  if (begin == std::string::npos || end == std::string::npos) return false;
  const char* p = header.data() + begin + 1;
  const char* const stop = header.data() + end;
  while (p < stop) {
    int64_t n = 0;
    const auto [after, status] = std::from_chars(p, stop, n);
    if (status != std::errc() || n < 0) return false;
    shape.push_back(n);
    p = after;
    while (p < stop && (*p == ',' || *p == ' ')) ++p;
  }
  return true;
}

template <typename T>
std::string_view bytes_of(std::span<const T> values) {
  return {reinterpret_cast<const char*>(values.data()), values.size_bytes()};
}

}  // namespace

std::string npy_header(NpyType type, std::span<const int64_t> shape) {
  constexpr std::string_view kNames[] = {"<f4", "<i8", "<u4"};
  std::string dims;
  for (const int64_t n : shape) dims += fmt::format("{}, ", n);
  if (shape.size() > 1) dims.resize(dims.size() - 2);  // a tuple of one keeps its comma
  std::string text = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}",
                                 kNames[static_cast<size_t>(type)], dims);
  // Magic, version and length are 10 bytes; the data must start at a multiple of 64.
  text.resize((text.size() + 1 + 10 + 63) / 64 * 64 - 10 - 1, ' ');
  text += '\n';
  std::string out("\x93NUMPY\x01\x00", 8);
  put(out, static_cast<uint32_t>(text.size()), 2);
  return out + text;
}

NpyWriter::NpyWriter(fs::path path, int64_t n_rows, int64_t n_columns)
    : path_(std::move(path)), part_(part_of(path_)), n_left_(n_rows * n_columns) {
  file_ = std::fopen(part_.c_str(), "wb");
  if (file_ == nullptr) throw storage_error(path_, "cannot be written");
  const int64_t shape[] = {n_rows, n_columns};
  const std::string header = npy_header(NpyType::kF32, shape);
  if (std::fwrite(header.data(), 1, header.size(), file_) != header.size()) {
    throw storage_error(path_, "writing failed");
  }
}

NpyWriter::~NpyWriter() {
  if (file_ == nullptr) return;
  std::fclose(file_);
  std::error_code ignored;
  fs::remove(part_, ignored);
}

void NpyWriter::append(std::span<const float> rows) {
  EBB_CHECK(static_cast<int64_t>(rows.size()) <= n_left_);
  if (std::fwrite(rows.data(), sizeof(float), rows.size(), file_) != rows.size()) {
    throw storage_error(path_, "writing failed");
  }
  n_left_ -= static_cast<int64_t>(rows.size());
}

void NpyWriter::finish() {
  EBB_CHECK(n_left_ == 0 && file_ != nullptr);
  const bool is_closed = std::fclose(file_) == 0;
  file_ = nullptr;
  if (!is_closed) throw storage_error(path_, "writing failed");
  std::error_code status;
  fs::rename(part_, path_, status);
  if (status) throw Error::make(ErrorKind::kStorage, "{}: {}", path_.string(), status.message());
}

void NpzWriter::add(std::string_view name, std::span<const float> values,
                    std::span<const int64_t> shape) {
  entries_.push_back({fmt::format("{}.npy", name), npy_header(NpyType::kF32, shape)});
  entries_.back().bytes += bytes_of(values);
}

void NpzWriter::add(std::string_view name, std::span<const uint32_t> values,
                    std::span<const int64_t> shape) {
  entries_.push_back({fmt::format("{}.npy", name), npy_header(NpyType::kU32, shape)});
  entries_.back().bytes += bytes_of(values);
}

void NpzWriter::write(const fs::path& path) const {
  std::string out;
  std::string directory;
  for (const Entry& entry : entries_) {
    const auto offset = static_cast<uint32_t>(out.size());
    const auto n_bytes = static_cast<uint32_t>(entry.bytes.size());
    if (out.size() + entry.bytes.size() > 0xF0000000U) {
      throw Error::make(ErrorKind::kStorage,
                        "{}: more than 4 GB, which a plain zip cannot hold; dump fewer layers",
                        path.string());
    }
    const auto crc = static_cast<uint32_t>(
        crc32_z(0, reinterpret_cast<const Bytef*>(entry.bytes.data()), entry.bytes.size()));
    std::string fields;    // shared by the local and the central header
    put(fields, 20, 2);    // version needed
    put(fields, 0, 2);     // flags
    put(fields, 0, 2);     // stored
    put(fields, 0, 2);     // time
    put(fields, 0x21, 2);  // 1980-01-01
    put(fields, crc, 4);
    put(fields, n_bytes, 4);
    put(fields, n_bytes, 4);
    put(fields, static_cast<uint32_t>(entry.name.size()), 2);
    put(fields, 0, 2);  // extra
    put(out, 0x04034b50, 4);
    out += fields + entry.name + entry.bytes;
    put(directory, 0x02014b50, 4);
    put(directory, 20, 2);  // made by
    directory += fields;
    put(directory, 0, 2);  // comment
    put(directory, 0, 2);  // disk
    put(directory, 0, 2);  // internal attributes
    put(directory, 0, 4);  // external attributes
    put(directory, offset, 4);
    directory += entry.name;
  }
  const auto directory_at = static_cast<uint32_t>(out.size());
  const auto n = static_cast<uint32_t>(entries_.size());
  out += directory;
  put(out, 0x06054b50, 4);
  put(out, 0, 4);  // disks
  put(out, n, 2);
  put(out, n, 2);
  put(out, static_cast<uint32_t>(directory.size()), 4);
  put(out, directory_at, 4);
  put(out, 0, 2);
  write_file(path, out);
}

NpyArray read_npy(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw Error::make(ErrorKind::kBadData, "{}: cannot be opened", path.string());
  std::string bytes((std::istreambuf_iterator<char>(in)), {});
  const auto fail = [&](std::string_view what) {
    return Error::make(ErrorKind::kBadData, "{}: {}, expected a float32 .npy array", path.string(),
                       what);
  };
  if (bytes.size() < 12 || bytes.compare(0, 6, "\x93NUMPY") != 0) throw fail("no NumPy magic");
  const size_t n_header = static_cast<uint8_t>(bytes[8]) + 256U * static_cast<uint8_t>(bytes[9]);
  if (bytes[6] != 1 || bytes.size() < 10 + n_header) throw fail("unknown version or truncated");
  const std::string header = bytes.substr(10, n_header);
  if (header.find("'<f4'") == std::string::npos || header.find("False") == std::string::npos) {
    throw fail("another number type or order");
  }
  NpyArray out;
  const size_t n_bytes = bytes.size() - 10 - n_header;
  if (!parse_shape(header, out.shape)) throw fail("no shape");
  uint64_t n_values = 1;
  for (const int64_t n : out.shape) {
    // No dimension can be larger than the file, so the product cannot overflow before this.
    if (static_cast<uint64_t>(n) > n_bytes) throw fail("wrong length");
    n_values *= static_cast<uint64_t>(n);
    if (n_values > n_bytes) throw fail("wrong length");
  }
  if (n_bytes != n_values * sizeof(float)) throw fail("wrong length");
  out.values.resize(n_values);
  std::memcpy(out.values.data(), bytes.data() + 10 + n_header, out.values.size() * sizeof(float));
  return out;
}

void write_file(const fs::path& path, std::string_view bytes) {
  const fs::path part = part_of(path);
  std::FILE* file = std::fopen(part.c_str(), "wb");
  if (file == nullptr) throw storage_error(path, "cannot be written");
  const bool is_written = std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size();
  const bool is_closed = std::fclose(file) == 0;
  std::error_code status;
  if (!is_written || !is_closed) {
    const Error error = storage_error(path, "writing failed");
    fs::remove(part, status);
    throw error;
  }
  fs::rename(part, path, status);
  if (status) throw Error::make(ErrorKind::kStorage, "{}: {}", path.string(), status.message());
}

}  // namespace ebb::record
