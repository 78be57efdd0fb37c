// JSON files that the library would read as something else.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "apps/ebb_process.h"
#include "model/gguf_builder.h"

namespace ebb::app {
namespace {

// Every number must be the whole number that it is.
TEST(JsonInput, NumbersThatAreNoIdsOrOrdinalsAreExitCode3) {
  const model::testing::TemporaryFolder folder;
  const std::string model = std::string(EBB_FIXTURES) + "/tiny/llama-f32.gguf";
  const auto code = [&](const std::string& ids, const std::string& kept) {
    std::ofstream(folder / "ids.json", std::ios::binary) << ids;
    std::ofstream(folder / "kept.json", std::ios::binary) << kept;
    const testing::EbbEnd end = testing::run_ebb(
        {"logits", model, "--ids", (folder / "ids.json").string(), "--at", "2", "--kept",
         (folder / "kept.json").string(), "--out", (folder / "out.npy").string()},
        folder / "log.txt", {.environment = {{"EBB_CACHE", (folder / "cache").string()}}});
    EXPECT_EQ(end.signal, 0) << end.said;
    return end.exit_code;
  };
  const auto kept = [](const std::string& ordinals) {
    const std::string heads = "[" + ordinals + ", [0]]";
    return R"({"kept": [)" + heads + ", " + heads + "]}";
  };
  ASSERT_EQ(code("[1, 2, 3]", kept("[0, 1]")), 0);
  for (const char* ids :
       {"[1, 2, 1e99]", "[1, 2, 3.5]", "[1, 2, 4294967299]", "[1, 2, \"3\"]", "7"}) {
    EXPECT_EQ(code(ids, kept("[0, 1]")), 3) << ids;
  }
  for (const char* ordinals : {"[1e99]", "[0.5]", "[4294967297]", "[-4294967295]", "null", "0"}) {
    EXPECT_EQ(code("[1, 2, 3]", kept(ordinals)), 3) << ordinals;
  }
}

}  // namespace
}  // namespace ebb::app
