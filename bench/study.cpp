#include "bench/study.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "bench/study_ours.h"
#include "bench/study_peer.h"

namespace ebb::bench {
namespace {

using engine::LinearKernels;
using engine::Numerics;
using experiment::Sharing;

// The full work in small, prompts and replies alike.
constexpr WorkScale kQuick = {
    .n_conversations = 4, .n_turns = 3, .n_new = 12, .n_words_min = 6, .n_words_max = 18};

std::string way_text(const PeerWay& way, size_t n_arms) {
  return fmt::format("{} sequences, {}, flash attention {}",
                     static_cast<size_t>(way.n_conversations_at_once) * n_arms,
                     way.cells == PeerCells::kOnePool ? "one pool of cells" : "cells of their own",
                     way.flash_attention == FlashAttention::kOn ? "on" : "off");
}

class StudyTest {
 public:
  StudyTest(const std::filesystem::path& path, const Settings& settings)
      : settings_(settings),
        work_(make_contest_work(settings.is_quick ? kQuick : WorkScale{})),
        model_(model::Model::load(path)),
        tokenizer_(model::Tokenizer::load(path)),
        peer_model_(std::make_shared<const PeerModel>(path)),
        tokens_(tokens_of(work_, tokenizer_)) {}

  std::vector<Row> run() {
    contest_.work =
        fmt::format("{} conversations x {} arms x {} turns x {} tokens", n_conversations(),
                    work_.arms.size(), work_.scale.n_turns, work_.scale.n_new);
    contest_.n_units = work_.n_reply_tokens(n_conversations());
    const PeerWay best = best_peer_way();
    const auto strict = make_ours(Numerics::kStrict, LinearKernels::kOwn);
    const auto fast = make_ours(Numerics::kFast, LinearKernels::kOwn);
    const auto fast_ggml = make_ours(Numerics::kFast, LinearKernels::kGgml);
    add_ours("ebb strict", strict, {}, n_conversations());
    add_ours("ebb fast", fast, {}, n_conversations());
    add_peer("libllama's best: " + way_text(best, work_.arms.size()), best, n_conversations());
    // The slow ones run a part of the work: only rates are compared.
    const size_t n_some = settings_.is_quick ? 2 : 6;
    add_ours("ebb strict, nothing shared", strict, {.sharing = Sharing::kOff}, n_conversations());
    add_ours("ebb strict, one sequence at a time", strict, {.batching = Batching::kOff}, 1);
    add_ours("ebb strict, one arm after another", strict,
             {.sharing = Sharing::kOff, .batching = Batching::kOff}, 1);
    add_ours("ebb fast, ggml's kernels", fast_ggml, {}, n_some);
    PeerWay alone = best;
    alone.n_conversations_at_once = 0;
    add_peer("libllama, one arm after another", alone, 1);
    settings_.on_progress("whole study");
    std::vector<Row> rows = measure_rates(contest_, std::min(settings_.n_rounds, 3));
    rows.insert(rows.end(), sweep_.begin(), sweep_.end());
    return rows;
  }

 private:
  size_t n_conversations() const { return work_.conversations.size(); }

  std::shared_ptr<OurStudy> make_ours(Numerics numerics, LinearKernels kernels) const {
    engine::EngineOptions options;
    options.numerics = numerics;
    options.kernels = kernels;
    options.n_threads = settings_.n_threads;
    return std::make_shared<OurStudy>(model_, tokenizer_, work_, options);
  }
  void add_ours(const std::string& name, const std::shared_ptr<OurStudy>& study, const OurWay& way,
                size_t n) {
    contest_.contestants.push_back({.name = name,
                                    .side = Side::kOurs,
                                    .prepare = [] {},
                                    .run = [=] { study->run(n, way); },
                                    .n_units = work_.n_reply_tokens(n)});
  }
  void add_peer(const std::string& name, const PeerWay& way, size_t n) {
    auto study = std::make_shared<PeerStudy>(peer_model_, work_, tokens_, settings_.n_threads, way);
    contest_.contestants.push_back({.name = name,
                                    .side = Side::kPeer,
                                    .prepare = [] {},
                                    .run = [=] { study->run(n); },
                                    .n_units = work_.n_reply_tokens(n)});
  }

  // Tokens a second of one way, from one group of conversations; the way becomes a row.
  double try_peer_way(const PeerWay& way) {
    const size_t n = std::min(n_conversations(), static_cast<size_t>(way.n_conversations_at_once));
    const std::string name = way_text(way, work_.arms.size());
    settings_.on_progress("libllama's ways: " + name);
    PeerStudy study(peer_model_, work_, tokens_, settings_.n_threads, way);
    const double rate = work_.n_reply_tokens(n) / seconds_of([&] { study.run(n); });
    sweep_.push_back({"looking for libllama's best", name, {rate, rate, rate}, std::nullopt});
    return rate;
  }
  PeerWay best_peer_way() {
    PeerWay best;
    double best_rate = 0.0;
    const auto consider = [&](const PeerWay& way) {
      const double rate = try_peer_way(way);
      if (rate <= best_rate) return;
      best_rate = rate;
      best = way;
    };
    for (const PeerCells cells : {PeerCells::kOnePool, PeerCells::kOneEach}) {
      for (const FlashAttention flash : {FlashAttention::kOff, FlashAttention::kOn}) {
        consider({.flash_attention = flash, .cells = cells, .n_conversations_at_once = 2});
      }
    }
    const PeerWay chosen = best;
    for (const int n_at_once : {4, 7}) {
      if (static_cast<size_t>(n_at_once) > n_conversations()) continue;
      PeerWay way = chosen;
      way.n_conversations_at_once = n_at_once;
      consider(way);
    }
    return best;
  }

  const Settings& settings_;
  StudyWork work_;
  std::shared_ptr<const model::Model> model_;
  std::shared_ptr<const model::Tokenizer> tokenizer_;
  std::shared_ptr<const PeerModel> peer_model_;
  WorkTokens tokens_;
  Contest contest_;
  std::vector<Row> sweep_;
};

}  // namespace

Section measure_study(const std::filesystem::path& model_path, const Settings& settings) {
  StudyTest test(model_path, settings);
  return {.title = "A whole study: " + model_path.filename().string(),
          .unit = "reply tokens/s",
          .ratio_of = "libllama's best",
          .rows = test.run()};
}

}  // namespace ebb::bench
