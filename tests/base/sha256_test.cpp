// SHA-256 against the examples of FIPS 180-4, in one piece, in parts and from a file.
#include "base/sha256.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

#include "base/error.h"

namespace ebb {
namespace {

const char* const kEmpty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const char* const kAbc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
const char* const kTwoBlocks = "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1";
const char* const kMillionA = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";

// A file of this test alone, gone at its end.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& content)
      : path_(std::filesystem::path(testing::TempDir()) /
              ("ebb_sha256_" +
               std::string(testing::UnitTest::GetInstance()->current_test_info()->name()))) {
    std::ofstream(path_, std::ios::binary) << content;
  }
  ~TemporaryFile() { std::filesystem::remove(path_); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

TEST(Sha256, AgreesWithThePublishedExamples) {
  EXPECT_EQ(sha256_hex(""), kEmpty);
  EXPECT_EQ(sha256_hex("abc"), kAbc);
  EXPECT_EQ(sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"), kTwoBlocks);
  EXPECT_EQ(sha256_hex(std::string(1000000, 'a')), kMillionA);
}

TEST(Sha256, PartsGiveTheDigestOfTheWhole) {
  Sha256 hash;
  for (int i = 0; i < 1000; ++i) hash.update(std::string(1000, 'a'));
  hash.update("");
  EXPECT_EQ(hash.hex(), kMillionA);
}

TEST(Sha256, AMovedHashGoesOn) {
  Sha256 hash;
  hash.update("a");
  Sha256 moved = std::move(hash);
  moved.update("bc");
  EXPECT_EQ(moved.hex(), kAbc);
}

TEST(Sha256, AFileLongerThanTheBufferIsHashedWhole) {
  const TemporaryFile file(std::string((size_t{1} << 20) + 5, 'x'));
  EXPECT_EQ(sha256_file(file.path()), sha256_hex(std::string((size_t{1} << 20) + 5, 'x')));
}

TEST(Sha256, AnEmptyFileHasTheDigestOfNothing) {
  const TemporaryFile file("");
  EXPECT_EQ(sha256_file(file.path()), kEmpty);
}

TEST(Sha256, AMissingFileIsAStorageErrorThatNamesIt) {
  try {
    sha256_file("/nowhere/model.gguf");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kStorage);
    EXPECT_NE(std::string(error.what()).find("/nowhere/model.gguf"), std::string::npos);
  }
}

#if defined(__linux__)
// A file that opens and then cannot be read: what a failing disk does.
TEST(Sha256, AFileThatCannotBeReadIsAStorageErrorAndNoDigest) {
  try {
    sha256_file("/proc/self/mem");  // nothing is mapped at its beginning
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kStorage);
    EXPECT_NE(std::string(error.what()).find("reading failed"), std::string::npos);
  }
}
#endif

}  // namespace
}  // namespace ebb
