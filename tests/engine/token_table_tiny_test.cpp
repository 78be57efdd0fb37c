#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "engine/token_table.h"
#include "engine_fixture.h"

namespace ebb::engine {
namespace {

// Bytes in memory of the mapping that holds this address; -1 where the system does not say.
int64_t resident_bytes_at(const void* place) {
  const auto address = reinterpret_cast<uintptr_t>(place);
  std::ifstream maps("/proc/self/smaps");
  bool is_inside = false;
  for (std::string line; std::getline(maps, line);) {
    std::istringstream fields(line);
    uintptr_t begin = 0;
    uintptr_t end = 0;
    char dash = 0;
    if (fields >> std::hex >> begin >> dash >> end && dash == '-') {
      is_inside = begin <= address && address < end;
    } else if (is_inside && line.starts_with("Rss:")) {
      return std::stoll(line.substr(4)) * 1024;
    }
  }
  return -1;
}

std::vector<float> all_rows(const TokenTable& table, const model::ModelConfig& config) {
  const auto width = static_cast<size_t>(config.n_embd);
  std::vector<float> rows(width * static_cast<size_t>(config.n_vocab));
  for (int id = 0; id < config.n_vocab; ++id) {
    table.read(id, std::span(rows).subspan(width * static_cast<size_t>(id), width));
  }
  return rows;
}

TEST(TokenTable, GivesItsPagesBackAfterEnoughRows) {
  const auto model = tiny_model("llama-f32");
  const void* data = model->token_embedding().data;
  TokenTable table(*model, 10 * kFaultAroundBytes);
  const std::vector<float> rows = all_rows(table, model->config());
  const int64_t before = resident_bytes_at(data);
  if (before < 0) GTEST_SKIP() << "this system has no /proc/self/smaps";
  const auto table_bytes = static_cast<int64_t>(model->token_embedding().size_bytes());
  ASSERT_GT(table_bytes, int64_t{16} << 10) << "too small a model to see it";
  table.note_read(9);
  EXPECT_EQ(resident_bytes_at(data), before);
  table.note_read(1);
  // Whole pages inside the table go.
  EXPECT_LE(resident_bytes_at(data), before - table_bytes + (int64_t{8} << 10));
  EXPECT_EQ(all_rows(table, model->config()), rows);
  table.note_read(9);
  EXPECT_EQ(resident_bytes_at(data), before) << "counts from nothing again";
}

// Our kernels leave the table to the rows that are read; ggml's read a tied head there.
TEST(TokenTable, IsGivenBackByAnEngineThatHasPackedItsHead) {
  for (const LinearKernels kernels : {LinearKernels::kOwn, LinearKernels::kGgml}) {
    const auto model = tiny_model("gemma3-f32");
    const void* data = model->token_embedding().data;
    EngineOptions options = with_numerics(Numerics::kFast);
    options.kernels = kernels;
    Engine engine(model, options);
    Sequence sequence = engine.make_sequence(PositionMode::kOriginal);
    std::vector<int32_t> ids;
    for (int i = 0; i < 512; ++i) ids.push_back(i % engine.config().n_vocab);
    const auto run = [&](size_t n) {
      const StepItem item{&sequence, std::span(ids).first(n), {}, LogitRows::kLast};
      engine.step(std::span(&item, 1));
      return resident_bytes_at(data);
    };
    const int64_t before = run(300);
    if (before < 0) GTEST_SKIP() << "this system has no /proc/self/smaps";
    const int64_t after = run(300);  // the 512th row is among them
    if (kernels == LinearKernels::kOwn) {
      EXPECT_LT(after, before);
    } else {
      EXPECT_EQ(after, before);
    }
  }
}

}  // namespace
}  // namespace ebb::engine
