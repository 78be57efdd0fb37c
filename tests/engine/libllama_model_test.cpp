// With ggml's kernels on a quantised file we are as near to libllama as libllama is to itself: its
// two attention paths (flash attention off and on) differ by rounding only, and that difference is
// the yardstick. Past Gemma's window. Two wrong engines in the same run show that the yardstick can
// tell. A model that is not on this machine is skipped, and says so.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <optional>

#include "bench/libllama_peer.h"
#include "engine_fixture.h"
#include "model/tokenizer.h"

namespace ebb::engine {
namespace {

namespace fs = std::filesystem;
using bench::FlashAttention;
using bench::LibllamaPeer;

constexpr size_t kTokens = 1600;
constexpr size_t kChunk = 128;  // bounds the logits that are held at once
constexpr size_t kEvery = 4;    // rows compared
constexpr double kFactor = 3.0;
// One thread: two would wait for each other where the machine has other work.
constexpr int kThreads = 1;
constexpr size_t kControlTokens = 768;  // for the wrong engines; past half of Gemma's window

std::optional<fs::path> find_model(const std::string& file) {
  std::vector<fs::path> folders = {fs::path(EBB_SOURCE_DIR) / "models"};
  if (const char* given = std::getenv("EBB_MODELS")) folders.insert(folders.begin(), given);
  if (const char* home = std::getenv("HOME"))
    folders.push_back(fs::path(home) / ".cache/ebb/models");
  for (const fs::path& folder : folders) {
    if (fs::exists(folder / file)) return folder / file;
  }
  return std::nullopt;
}

std::vector<int32_t> prose_ids(const fs::path& model) {
  std::ifstream in(fixture("hf/prose.txt"));
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  auto ids =
      model::Tokenizer::load(model)->encode(text, model::ParseSpecial::kNo, model::AddBos::kAsFile);
  EXPECT_GE(ids.size(), kTokens);
  ids.resize(std::min(ids.size(), kTokens));
  return ids;
}

// The same model with another sliding window in its metadata.
std::shared_ptr<const model::Model> with_window(const fs::path& original, uint32_t from,
                                                uint32_t to) {
  const std::string key = "gemma3.attention.sliding_window";
  const fs::path path = fs::path(testing::TempDir()) / "ebb-wrong-window.gguf";
  fs::copy_file(original, path, fs::copy_options::overwrite_existing);
  fs::permissions(path, fs::perms::owner_write, fs::perm_options::add);
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  std::string head(size_t{1} << 16U, '\0');
  file.read(head.data(), static_cast<std::streamsize>(head.size()));
  // A metadata entry is key, type (4 bytes), value; this one is an unsigned 32-bit integer.
  const size_t at = head.find(key) + key.size() + 4;
  uint32_t found = 0;
  std::memcpy(&found, head.data() + at, sizeof found);
  EXPECT_EQ(found, from) << "the window is not where this test expects it";
  file.seekp(static_cast<std::streamoff>(at));
  file.write(reinterpret_cast<const char*>(&to), sizeof to);
  file.close();
  auto model = model::Model::load(path);
  fs::remove(path);  // the mapping keeps the bytes
  EXPECT_EQ(model->config().window, static_cast<int>(to));
  return model;
}

// One of ours, advanced chunk by chunk.
class Ours {
 public:
  explicit Ours(std::shared_ptr<const model::Model> model)
      : engine_(std::move(model), options()),
        sequence_(engine_.make_sequence(PositionMode::kOriginal)) {}

  StepLogits append(std::span<const int32_t> ids) {
    const StepItem item{&sequence_, ids, {}, LogitRows::kAll};
    return engine_.step(std::span(&item, 1));
  }
  // Removes the cells [first, last) of every head.
  void evict(uint32_t first, uint32_t last) {
    policy::EvictionPlan plan;
    for (int layer = 0; layer < engine_.config().n_layers; ++layer) {
      auto& heads = plan.kept.emplace_back();
      for (int head = 0; head < engine_.config().n_kv_heads; ++head) {
        auto& kept = heads.emplace_back();
        for (uint32_t i = 0; i < sequence_.next_ordinal().value; ++i) {
          if (i < first || i >= last) kept.push_back(i);
        }
      }
    }
    engine_.evict(sequence_, plan);
  }

 private:
  static EngineOptions options() {
    EngineOptions options = with_numerics(Numerics::kFast, kThreads);
    options.kernels = LinearKernels::kGgml;
    options.cell_type = CellType::kF16;
    return options;
  }
  Engine engine_;
  Sequence sequence_;
};

size_t top_of(std::span<const float> row) {
  return static_cast<size_t>(std::max_element(row.begin(), row.end()) - row.begin());
}

// One engine's rows against libllama's with flash attention off.
struct Distance {
  std::vector<double> kl;          // KL(libllama || engine) of each row
  std::vector<double> difference;  // largest |difference| among libllama's ten likeliest tokens
  std::vector<double> flip_gap;    // how far libllama puts its top above ours; 0 where they agree

  double mean_kl() const {
    double sum = 0.0;
    for (const double value : kl) sum += value;
    return sum / static_cast<double>(kl.size());
  }
  // Its first rows only.
  Distance first(size_t n_rows) const {
    const auto cut = [&](const std::vector<double>& values) {
      return std::vector<double>(values.begin(), values.begin() + static_cast<ptrdiff_t>(n_rows));
    };
    return {cut(kl), cut(difference), cut(flip_gap)};
  }
  void add(std::span<const float> expected, std::span<const float> row) {
    kl.push_back(kl_divergence(expected, row));
    std::vector<uint32_t> order(expected.size());
    for (uint32_t i = 0; i < order.size(); ++i) order[i] = i;
    std::partial_sort(order.begin(), order.begin() + 10, order.end(),
                      [&](uint32_t a, uint32_t b) { return expected[a] > expected[b]; });
    double most = 0.0;
    for (size_t i = 0; i < 10; ++i) {
      most = std::max(most, std::abs(double{row[order[i]]} - double{expected[order[i]]}));
    }
    difference.push_back(most);
    flip_gap.push_back(double{expected[top_of(expected)]} - double{expected[top_of(row)]});
  }
};

double quantile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(share * static_cast<double>(values.size() - 1))];
}

// What libllama's own two modes make of a gap between two logits, in nine rows of ten: each of the
// two logits may move by the largest difference of its row.
double noise_of(const Distance& self) { return 2.0 * quantile(self.difference, 0.9); }

bool is_as_near_as_libllama(const Distance& self, const Distance& ours) {
  return ours.mean_kl() <= kFactor * self.mean_kl() &&
         quantile(ours.flip_gap, 1.0) < noise_of(self);
}

std::string describe(const std::string& name, const Distance& self, const Distance& one) {
  const auto n_flips =
      std::count_if(one.flip_gap.begin(), one.flip_gap.end(), [](double gap) { return gap > 0; });
  return fmt::format(
      "{}: KL mean {:.3e}, {:.2f} x libllama's own {:.3e}; {} of {} top tokens differ, largest gap "
      "{:.4f} (libllama's own {:.4f}, noise {:.4f}, median row {:.4f})\n",
      name, one.mean_kl(), one.mean_kl() / self.mean_kl(), self.mean_kl(), n_flips, one.kl.size(),
      quantile(one.flip_gap, 1.0), quantile(self.flip_gap, 1.0), noise_of(self),
      2.0 * quantile(self.difference, 0.5));
}

struct Case {
  std::string file;
  uint32_t window;  // 0 = no sliding layers
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.file; }

class BesideLibllama : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    path_ = find_model(GetParam().file);
    if (!path_) GTEST_SKIP() << GetParam().file << " is not on this machine";
  }
  LibllamaPeer make_peer(const std::shared_ptr<const bench::PeerModel>& model,
                         FlashAttention flash_attention) {
    return {model,
            {.n_threads = kThreads,
             .flash_attention = flash_attention,
             .n_ctx = kTokens + 64,
             .n_logit_rows_max = kChunk / kEvery}};
  }
  std::optional<fs::path> path_;
};

TEST_P(BesideLibllama, IsAsNearAsItsTwoModesAreToEachOtherAndAWrongCacheIsNot) {
  const std::vector<int32_t> ids = prose_ids(*path_);
  const auto peer_model = std::make_shared<const bench::PeerModel>(*path_);
  LibllamaPeer flash_off = make_peer(peer_model, FlashAttention::kOff);
  LibllamaPeer flash_on = make_peer(peer_model, FlashAttention::kOn);
  const auto model = model::Model::load(*path_);
  Ours ours(model);
  Ours evicted(model);
  std::optional<Ours> wrong_window;
  if (GetParam().window > 0) {
    wrong_window.emplace(with_window(*path_, GetParam().window, GetParam().window / 2));
  }

  Distance self;
  Distance near;
  Distance far;
  Distance far_window;
  for (size_t begin = 0; begin < ids.size(); begin += kChunk) {
    const auto part = std::span(ids).subspan(begin, std::min(kChunk, ids.size() - begin));
    flash_off.append_with_logits(0, part, kEvery);
    flash_on.append_with_logits(0, part, kEvery);
    const auto compare = [&](Distance& distance, auto row_of) {
      for (size_t i = 0; i < part.size(); i += kEvery) {
        distance.add(flash_off.logits(static_cast<int>(i / kEvery)), row_of(i));
      }
    };
    compare(self, [&](size_t i) { return flash_on.logits(static_cast<int>(i / kEvery)); });
    const auto compare_ours = [&](Distance& distance, Ours& engine) {
      const StepLogits logits = engine.append(part);
      compare(distance, [&](size_t i) { return logits.row(0, i); });
    };
    compare_ours(near, ours);
    if (begin >= kControlTokens) continue;
    compare_ours(far, evicted);
    if (begin == 0) evicted.evict(4, kChunk - 4);
    if (wrong_window) compare_ours(far_window, *wrong_window);
  }

  std::cout << describe("ours", self, near);
  EXPECT_TRUE(is_as_near_as_libllama(self, near));
  const Distance self_early = self.first(far.kl.size());
  std::cout << describe("early cells evicted", self_early, far);
  EXPECT_FALSE(is_as_near_as_libllama(self_early, far));
  if (wrong_window) {
    std::cout << describe("half the window", self_early, far_window);
    EXPECT_FALSE(is_as_near_as_libllama(self_early, far_window));
  }
}

INSTANTIATE_TEST_SUITE_P(RealModels, BesideLibllama,
                         testing::Values(Case{"SmolLM2-135M-Instruct.Q4_1.gguf", 0},
                                         Case{"gemma-3-270m-q4_k_m.gguf", 512}),
                         [](const auto& tested) {
                           return tested.param.window == 0 ? "SmolLM2" : "Gemma3";
                         });

}  // namespace
}  // namespace ebb::engine
