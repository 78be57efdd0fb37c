// Every byte of the header of complete models changed in three ways, and every length.
#include "engine/mutated_file.h"

namespace ebb::engine {
namespace {

TEST(MutatedFileSoak, EveryChangedByteOfTheHeaderGivesAModelThatRunsOrATypedError) {
  for (const char* name : kMutatedModels) {
    SCOPED_TRACE(name);
    const MutatedFile file(name);
    const size_t n = 3 * file.header_bytes();
    const MutationCount count = file.try_all(n, flip_byte);
    EXPECT_EQ(count.n_refused + count.n_ran, n);
    std::printf("%s: %zu changed bytes: %zu refused, %zu ran, %zu crashed\n", name, n,
                count.n_refused, count.n_ran, count.n_crashed);
  }
}

TEST(MutatedFileSoak, AFileThatEndsTooEarlyIsRefusedWhereverItEnds) {
  for (const char* name : kMutatedModels) {
    SCOPED_TRACE(name);
    const MutatedFile file(name);
    const size_t n = file.size_bytes();
    const MutationCount count =
        file.try_all(n, [](std::vector<std::byte>& bytes, size_t i) { bytes.resize(i); });
    EXPECT_EQ(count.n_refused, n);
    std::printf("%s: cut at %zu places: %zu refused, %zu crashed\n", name, n, count.n_refused,
                count.n_crashed);
  }
}

}  // namespace
}  // namespace ebb::engine
