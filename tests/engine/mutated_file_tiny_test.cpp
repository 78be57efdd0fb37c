// A sample of what mutated_file_soak_test.cpp tries in full.
#include "engine/mutated_file.h"

namespace ebb::engine {
namespace {

TEST(MutatedFileTiny, AChangedByteOfTheHeaderGivesAModelThatRunsOrATypedError) {
  for (const char* name : kMutatedModels) {
    SCOPED_TRACE(name);
    const MutatedFile file(name);
    constexpr size_t kStride = 101;
    const size_t n = 3 * file.header_bytes() / kStride;
    const MutationCount count = file.try_all(
        n, [](std::vector<std::byte>& bytes, size_t i) { flip_byte(bytes, i * kStride); });
    EXPECT_EQ(count.n_done, n);
    EXPECT_EQ(count.n_refused + count.n_ran, n);
    EXPECT_GT(count.n_refused, 0U);
    EXPECT_GT(count.n_ran, 0U);
  }
}

TEST(MutatedFileTiny, AFileThatEndsTooEarlyIsRefusedWhereverItEnds) {
  for (const char* name : kMutatedModels) {
    SCOPED_TRACE(name);
    const MutatedFile file(name);
    constexpr size_t kCases = 200;
    const MutationCount count = file.try_all(kCases, [&](std::vector<std::byte>& bytes, size_t i) {
      bytes.resize(file.size_bytes() * i / kCases);
    });
    EXPECT_EQ(count.n_refused, kCases);
  }
}

}  // namespace
}  // namespace ebb::engine
