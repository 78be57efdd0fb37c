// Writes NumPy's own formats, so that numpy.load opens what ebb leaves behind: .npy for one array,
// .npz for several. Reads simple float32 .npy files back (tests, tools).
// Source of the formats: numpy.lib.format, version 1.0; .npz is a zip archive of .npy files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ebb::record {

enum class NpyType { kF32, kI64, kU32 };

// The header of a C-order array; shape slowest dimension first, as NumPy prints it.
std::string npy_header(NpyType type, std::span<const int64_t> shape);

// A 2-D float32 array, row by row; the file gets its name only when all rows are there.
class NpyWriter {
 public:
  // Throws: kStorage.
  NpyWriter(std::filesystem::path path, int64_t n_rows, int64_t n_columns);
  ~NpyWriter();
  NpyWriter(const NpyWriter&) = delete;
  NpyWriter& operator=(const NpyWriter&) = delete;

  // Whole rows.  Throws: kStorage, kInternal for too many.
  void append(std::span<const float> rows);
  // Throws: kStorage; kInternal when rows are missing.
  void finish();

 private:
  std::filesystem::path path_;
  std::filesystem::path part_;
  std::FILE* file_ = nullptr;
  int64_t n_left_;  // numbers
};

// Several named arrays in one uncompressed .npz.
class NpzWriter {
 public:
  void add(std::string_view name, std::span<const float> values, std::span<const int64_t> shape);
  void add(std::string_view name, std::span<const uint32_t> values, std::span<const int64_t> shape);
  // Throws: kStorage.
  void write(const std::filesystem::path& path) const;

 private:
  struct Entry {
    std::string name;
    std::string bytes;
  };
  std::vector<Entry> entries_;
};

struct NpyArray {
  std::vector<int64_t> shape;
  std::vector<float> values;
};
// Throws: kBadData for anything but a C-order little-endian float32 array.
NpyArray read_npy(const std::filesystem::path& path);

// Writes all bytes under a temporary name beside `path` and renames.  Throws: kStorage.
void write_file(const std::filesystem::path& path, std::string_view bytes);

}  // namespace ebb::record
