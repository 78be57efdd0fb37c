// What NumPy reads: header text, alignment, values, the zip directory of .npz, and files that only
// get their name when they are whole.
#include "record/npy.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <map>
#include <numeric>

#include "base/error.h"

namespace ebb::record {
namespace {

namespace fs = std::filesystem;

class NpyFile : public testing::Test {
 protected:
  NpyFile() {
    folder_ = fs::temp_directory_path() /
              ("ebb_npy_" + std::to_string(reinterpret_cast<uintptr_t>(this)) + "_" +
               testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::create_directories(folder_);
  }
  ~NpyFile() override { fs::remove_all(folder_); }

  static std::string bytes_of(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {(std::istreambuf_iterator<char>(in)), {}};
  }

  fs::path folder_;
};

uint32_t number(const std::string& bytes, size_t at, size_t n_bytes) {
  uint32_t out = 0;
  for (size_t i = n_bytes; i-- > 0;) out = out * 256 + static_cast<uint8_t>(bytes.at(at + i));
  return out;
}

TEST(NpyHeader, IsTheTextThatNumPyWrites) {
  const int64_t matrix[] = {3, 5};
  const std::string header = npy_header(NpyType::kF32, matrix);
  EXPECT_EQ(header.substr(0, 8), std::string("\x93NUMPY\x01\x00", 8));
  EXPECT_EQ(number(header, 8, 2) + 10, header.size());
  EXPECT_EQ(header.substr(10, 60), "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 5), } ");
  EXPECT_EQ(header.back(), '\n');
}

TEST(NpyHeader, TupleOfOneKeepsItsCommaAndAScalarIsEmpty) {
  const int64_t vector[] = {7};
  EXPECT_NE(npy_header(NpyType::kU32, vector).find("'<u4', 'fortran_order': False, 'shape': (7, )"),
            std::string::npos);
  EXPECT_NE(npy_header(NpyType::kI64, {}).find("'<i8', 'fortran_order': False, 'shape': ()"),
            std::string::npos);
}

TEST(NpyHeader, DataStartsAtAMultipleOf64ForEveryShape) {
  std::vector<int64_t> shape;
  for (int64_t n = 1; n < 2'000'000'000'000; n = n * 7 + 3) {
    shape.push_back(n);
    const std::string header = npy_header(NpyType::kF32, shape);
    EXPECT_EQ(header.size() % 64, 0U);
    EXPECT_EQ(number(header, 8, 2) + 10, header.size());
  }
}

TEST_F(NpyFile, ReadsBackWhatWasWrittenBitForBit) {
  std::vector<float> values(6 * 7);
  std::iota(values.begin(), values.end(), -3.5F);
  values[3] = std::numeric_limits<float>::quiet_NaN();
  values[4] = -0.0F;
  values[5] = std::numeric_limits<float>::infinity();
  const fs::path path = folder_ / "a.npy";
  NpyWriter writer(path, 6, 7);
  writer.append(std::span(values).first(14));
  EXPECT_FALSE(fs::exists(path)) << "no name before all rows are there";
  writer.append(std::span(values).subspan(14));
  writer.finish();
  const NpyArray read = read_npy(path);
  EXPECT_EQ(read.shape, (std::vector<int64_t>{6, 7}));
  ASSERT_EQ(read.values.size(), values.size());
  EXPECT_EQ(0, std::memcmp(read.values.data(), values.data(), values.size() * sizeof(float)));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 1) << "nothing else is left";
}

TEST_F(NpyFile, AnUnfinishedFileLeavesNothing) {
  {
    NpyWriter writer(folder_ / "a.npy", 2, 2);
    const float row[] = {1.0F, 2.0F};
    writer.append(row);
  }
  EXPECT_TRUE(fs::is_empty(folder_));
}

TEST_F(NpyFile, AnUnfinishedFileKeepsTheOldOne) {
  const fs::path path = folder_ / "a.npy";
  write_file(path, "old");
  { NpyWriter writer(path, 2, 2); }
  EXPECT_EQ(bytes_of(path), "old");
}

TEST_F(NpyFile, TooManyOrTooFewRowsAreABug) {
  NpyWriter writer(folder_ / "a.npy", 1, 2);
  const float rows[] = {1.0F, 2.0F, 3.0F, 4.0F};
  EXPECT_THROW(writer.append(rows), Error);
  EXPECT_THROW(writer.finish(), Error);
  writer.append(std::span(rows).first(2));
  writer.finish();
}

TEST_F(NpyFile, UnwritablePlacesAreStorageErrors) {
  const fs::path path = folder_ / "missing" / "a.npy";
  for (const auto& write : {+[](const fs::path& p) { NpyWriter(p, 1, 1); },
                            +[](const fs::path& p) { NpzWriter().write(p); },
                            +[](const fs::path& p) { write_file(p, "x"); }}) {
    try {
      write(path);
      FAIL() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kStorage);
      EXPECT_NE(std::string(error.what()).find(path.string()), std::string::npos);
    }
  }
}

TEST_F(NpyFile, DamagedAndForeignFilesAreRefused) {
  const fs::path path = folder_ / "a.npy";
  const int64_t shape[] = {2, 2};
  const std::string good = npy_header(NpyType::kF32, shape) + std::string(16, '\0');
  write_file(path, good);
  EXPECT_EQ(read_npy(path).values.size(), 4U);
  std::vector<std::string> bad{"",
                               "hello",
                               std::string(200, 'x'),
                               npy_header(NpyType::kU32, shape) + std::string(16, '\0'),
                               good + "x",
                               "\x93NUMPX" + good.substr(6)};
  for (size_t n = 1; n < good.size(); n += 5) bad.push_back(good.substr(0, n));
  for (const auto& [from, to] : {std::pair{"(2, 2)", "(2, 9)"},
                                 {"(2, 2)", "(-2,2)"},
                                 {"(2, 2)", "(x, y)"},
                                 {"(2, 2)", " 2, 2 "},
                                 {"False", "True "}}) {
    std::string other = good;
    other.replace(other.find(from), std::strlen(from), to);
    bad.push_back(other);
  }
  for (const std::string& bytes : bad) {
    write_file(path, bytes);
    try {
      read_npy(path);
      ADD_FAILURE() << "accepted: " << bytes.substr(0, 80);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kBadData) << bytes.substr(0, 80);
    }
  }
  EXPECT_THROW(read_npy(folder_ / "none.npy"), Error);
}

TEST_F(NpyFile, WrittenFileReplacesTheOldOneWhole) {
  const fs::path path = folder_ / "a.txt";
  write_file(path, "a long old content");
  write_file(path, std::string("n\0w", 3));
  EXPECT_EQ(bytes_of(path), std::string("n\0w", 3));
}

// Entries of a stored zip: name -> bytes, checked against the central directory on the way.
std::map<std::string, std::string> unzip(const std::string& bytes) {
  std::map<std::string, std::string> out;
  const size_t end = bytes.size() - 22;
  EXPECT_EQ(number(bytes, end, 4), 0x06054b50U);
  const uint32_t n = number(bytes, end + 10, 2);
  size_t at = number(bytes, end + 16, 4);
  EXPECT_EQ(at + number(bytes, end + 12, 4), end);
  for (uint32_t i = 0; i < n; ++i) {
    EXPECT_EQ(number(bytes, at, 4), 0x02014b50U);
    const uint32_t size = number(bytes, at + 24, 4);
    const uint32_t n_name = number(bytes, at + 28, 2);
    const uint32_t local = number(bytes, at + 42, 4);
    const std::string name = bytes.substr(at + 46, n_name);
    EXPECT_EQ(number(bytes, local, 4), 0x04034b50U);
    EXPECT_EQ(bytes.substr(local + 4, 26), bytes.substr(at + 6, 26)) << "both headers agree";
    EXPECT_EQ(bytes.substr(local + 30, n_name), name);
    const std::string content = bytes.substr(local + 30 + n_name, size);
    EXPECT_EQ(number(bytes, at + 10, 2), 0U) << "stored, not compressed";
    EXPECT_EQ(number(bytes, at + 16, 4),
              crc32(0, reinterpret_cast<const Bytef*>(content.data()), size));
    out[name] = content;
    at += 46 + n_name;
  }
  EXPECT_EQ(at, end);
  return out;
}

TEST_F(NpyFile, ArchiveHoldsEveryArrayAsANpyFile) {
  const std::vector<float> keys{1.5F, -2.0F, 3.0F, 4.0F, 5.0F, 6.0F};
  const std::vector<uint32_t> ordinals{7, 4000000000U};
  const int64_t key_shape[] = {2, 3};
  const int64_t ordinal_shape[] = {2};
  const int64_t empty_shape[] = {0, 16};
  NpzWriter writer;
  writer.add("layer0.head1.keys", keys, key_shape);
  writer.add("ordinals", ordinals, ordinal_shape);
  writer.add("empty", std::span<const float>{}, empty_shape);
  writer.write(folder_ / "a.npz");
  const auto entries = unzip(bytes_of(folder_ / "a.npz"));
  ASSERT_EQ(entries.size(), 3U);
  write_file(folder_ / "k.npy", entries.at("layer0.head1.keys.npy"));
  const NpyArray read = read_npy(folder_ / "k.npy");
  EXPECT_EQ(read.shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(read.values, keys);
  const std::string& raw = entries.at("ordinals.npy");
  EXPECT_EQ(raw.substr(0, raw.size() - 8), npy_header(NpyType::kU32, ordinal_shape));
  EXPECT_EQ(number(raw, raw.size() - 4, 4), 4000000000U);
  EXPECT_EQ(entries.at("empty.npy"), npy_header(NpyType::kF32, empty_shape));
}

TEST_F(NpyFile, EmptyArchiveIsStillAnArchive) {
  NpzWriter().write(folder_ / "a.npz");
  EXPECT_TRUE(unzip(bytes_of(folder_ / "a.npz")).empty());
}

}  // namespace
}  // namespace ebb::record
