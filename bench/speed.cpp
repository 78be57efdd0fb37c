#include "bench/speed.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "base/error.h"
#include "base/rng.h"
#include "bench/runners.h"

namespace ebb::bench {
namespace {

constexpr int kManySequences = 64;
constexpr size_t kShortPrompt = 512;
constexpr size_t kLongPrompt = 2048;

// Multiply-adds of the linear layers; the head computes the last token alone.
double products_per_prompt_token(const model::Model& model) {
  double n = 0.0;
  for (int i = 0; i < model.config().n_layers; ++i) {
    const model::LayerWeights& layer = model.layer(i);
    for (const model::Weight* weight : {&layer.q, &layer.k, &layer.v, &layer.attn_out,
                                        &layer.ffn_gate, &layer.ffn_up, &layer.ffn_down}) {
      n += static_cast<double>(weight->n_in) * static_cast<double>(weight->n_out);
    }
  }
  return n;
}

struct Entrant {
  std::string name;
  Side side;
  std::unique_ptr<Runner> runner;
};

// One model in every way it is run.
class SpeedTest {
 public:
  SpeedTest(const std::filesystem::path& path, const Settings& settings)
      : settings_(settings), model_(model::Model::load(path)) {
    using engine::LinearKernels;
    using engine::Numerics;
    add_ours("ebb strict", Numerics::kStrict, LinearKernels::kOwn);
    add_ours("ebb fast", Numerics::kFast, LinearKernels::kOwn);
    add_ours("ebb fast, ggml's kernels", Numerics::kFast, LinearKernels::kGgml);
    const auto peer = std::make_shared<const PeerModel>(path);
    add_peer(peer, "libllama, flash attention off", FlashAttention::kOff);
    add_peer(peer, "libllama, flash attention on", FlashAttention::kOn);
    for (Entrant& entrant : entrants_) warm_up(*entrant.runner);
  }

  void prompt(size_t n_tokens) {
    prompt_ids_ = made_up_ids(n_tokens, model_->config().n_vocab);
    Contest contest{.work = fmt::format("prompt of {} tokens", n_tokens),
                    .n_units = static_cast<double>(n_tokens),
                    .contestants = {}};
    for (Entrant& entrant : entrants_) {
      Runner* runner = entrant.runner.get();
      contest.contestants.push_back({entrant.name, entrant.side, [=] { runner->reset(); },
                                     [=, this] { runner->compute_prompt(prompt_ids_); }});
    }
    measure(contest);
    add_limit(contest.work, "limit: one product of small integers for each weight",
              settings_.products_per_second / products_per_prompt_token(*model_));
  }

  // Requires: prompt() before, which leaves the prompt in every runner.
  void decode(int n_sequences, int n_steps) {
    const auto width = static_cast<size_t>(n_sequences);
    const auto ids = made_up_ids(width * static_cast<size_t>(n_steps), model_->config().n_vocab);
    const std::string who = n_sequences == 1
                                ? std::string("1 sequence")
                                : fmt::format("{} sequences sharing the prompt,", n_sequences);
    Contest contest{.work = fmt::format("{} at {} tokens", who, prompt_ids_.size()),
                    .n_units = static_cast<double>(ids.size()),
                    .contestants = {}};
    for (Entrant& entrant : entrants_) {
      Runner* runner = entrant.runner.get();
      contest.contestants.push_back({entrant.name, entrant.side,
                                     [=] { runner->start(n_sequences); },
                                     [=, &ids] {
                                       for (size_t at = 0; at < ids.size(); at += width) {
                                         runner->advance(std::span(ids).subspan(at, width));
                                       }
                                     }});
    }
    measure(contest);
    // Every weight is read once a token, so memory bounds what one sequence can reach.
    if (n_sequences != 1) return;
    add_limit(contest.work, "limit: memory read speed over weights",
              settings_.read_bytes_per_second / static_cast<double>(model_->weights_bytes()));
  }

  std::vector<Row> take_rows() { return std::move(rows_); }

 private:
  void add_ours(const std::string& name, engine::Numerics numerics, engine::LinearKernels kernels) {
    engine::EngineOptions options;
    options.numerics = numerics;
    options.kernels = kernels;
    options.n_threads = settings_.n_threads;
    entrants_.push_back({name, Side::kOurs, std::make_unique<EbbRunner>(model_, options)});
  }
  void add_peer(const std::shared_ptr<const PeerModel>& peer, const std::string& name,
                FlashAttention flash_attention) {
    const LibllamaRunner::Options options{.n_threads = settings_.n_threads,
                                          .flash_attention = flash_attention,
                                          .n_ctx = 2560,
                                          .n_sequences_max = kManySequences};
    entrants_.push_back({name, Side::kPeer, std::make_unique<LibllamaRunner>(peer, options)});
  }
  // Pages of weights and buffers are touched once before anything is timed.
  void warm_up(Runner& runner) const {
    const auto ids = made_up_ids(32, model_->config().n_vocab);
    runner.reset();
    runner.compute_prompt(ids);
    for (const int n : {1, 2}) {
      runner.start(n);
      runner.advance(std::span(ids).first(static_cast<size_t>(n)));
    }
    runner.reset();
  }
  void measure(const Contest& contest) {
    settings_.on_progress(contest.work);
    for (Row& row : measure_rates(contest, settings_.n_rounds)) rows_.push_back(std::move(row));
  }
  // The limit as a row, and every contestant's share of it.
  void add_limit(const std::string& work, const std::string& who, double limit) {
    if (limit <= 0.0) return;
    double best = 0.0;
    for (Row& row : rows_) {
      if (row.work != work) continue;
      row.share = row.value.median / limit;
      if (row.ratio) best = std::max(best, row.value.median / *row.ratio);
    }
    rows_.push_back({work,
                     who,
                     {limit, limit, limit},
                     best > 0.0 ? std::optional(limit / best) : std::nullopt});
  }

  const Settings& settings_;
  std::shared_ptr<const model::Model> model_;
  std::vector<Entrant> entrants_;
  std::vector<int32_t> prompt_ids_;
  std::vector<Row> rows_;
};

}  // namespace

std::vector<int32_t> made_up_ids(size_t n, int n_vocab) {
  EBB_CHECK(n_vocab > 0);
  std::vector<int32_t> ids(n);
  uint64_t state = 1;
  for (int32_t& id : ids) {
    state = state * 6364136223846793005U + 1442695040888963407U;  // Knuth's MMIX generator
    id = static_cast<int32_t>((state >> 33U) % static_cast<uint64_t>(n_vocab));
  }
  return ids;
}

Section measure_speed(const std::filesystem::path& model_path, const Settings& settings) {
  SpeedTest test(model_path, settings);
  const int n_steps = settings.is_quick ? 16 : 64;
  test.prompt(kShortPrompt);
  test.decode(1, n_steps);
  test.decode(16, settings.is_quick ? 6 : 16);
  if (!settings.is_quick) {
    test.decode(kManySequences, 8);
    test.prompt(kLongPrompt);
    test.decode(1, n_steps);
  }
  return {.title = fmt::format("Speed beside libllama: {}", model_path.filename().string()),
          .unit = "tokens/s",
          .ratio_of = "libllama's best",
          .rows = test.take_rows()};
}

}  // namespace ebb::bench
