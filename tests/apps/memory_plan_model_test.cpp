// What a run was predicted to take against what it took, on the real models.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "apps/ebb_process.h"
#include "model/gguf_builder.h"

namespace ebb::app {
namespace {

namespace fs = std::filesystem;

fs::path models() {
  if (const char* folder = std::getenv("EBB_MODELS"); folder != nullptr && *folder != 0) {
    return folder;
  }
  const char* home = std::getenv("HOME");
  return fs::path(home == nullptr ? "." : home) / ".cache/ebb/models";
}

struct Peaks {
  double predicted = 0, measured = 0;  // MB of 2^20
};

Peaks peaks_of(const std::string& model, const std::string& n_conversations,
               const std::string& n_new) {
  const model::testing::TemporaryFolder folder;
  const fs::path out = folder / "validation.json";
  const testing::EbbEnd end = testing::run_ebb(
      {"validate", "--model", model, "--conversations",
       std::string(EBB_SOURCE_DIR) + "/data/validation.json", "--limit", n_conversations,
       "--max-new", n_new, "--threads", "2", "--json", out.string()},
      folder / "log.txt", {.environment = {{"EBB_CACHE", (folder / "cache").string()}}});
  EXPECT_EQ(end.exit_code, 0) << end.said;
  std::ifstream in(out);
  const auto memory = nlohmann::json::parse(in).at("memory_bytes");
  constexpr double kMegabyte = 1048576;
  return {memory.at("predicted_peak").get<double>() / kMegabyte,
          memory.at("measured_peak").get<double>() / kMegabyte};
}

TEST(MemoryPlan, PredictsThePeakWithin5PercentAnd32Megabytes) {
  for (const char* name : {"SmolLM2-135M-Instruct.Q4_1.gguf", "gemma-3-270m-q4_k_m.gguf"}) {
    const fs::path path = models() / name;
    if (!fs::exists(path)) GTEST_SKIP() << path << " is not there";
    for (const auto& [n_conversations, n_new] : {std::pair("1", "8"), std::pair("3", "8")}) {
      const Peaks peaks = peaks_of(path.string(), n_conversations, n_new);
      std::printf("%s, %s conversations: %.0f MB predicted, %.0f measured\n", name, n_conversations,
                  peaks.predicted, peaks.measured);
      EXPECT_LT(std::abs(peaks.predicted - peaks.measured), 0.05 * peaks.measured + 32) << name;
    }
  }
}

}  // namespace
}  // namespace ebb::app
