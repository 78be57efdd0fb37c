#include "bench/cost.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <optional>
#include <span>
#include <utility>

#include "bench/runners.h"
#include "engine/cache_source.h"
#include "policy/evictor.h"
#include "policy/treatment_text.h"

namespace ebb::bench {
namespace {

using engine::Sequence;

constexpr int kBudget = 256;        // cells kept by a policy at the end of the turn
constexpr int kCap = 512;           // cells that a capped cache may hold
constexpr size_t kHistory = 512;    // tokens before the turn
constexpr size_t kTurnPrompt = 64;  // the turn: a message and a reply
constexpr size_t kTurnReply = 100;  // as long as the replies of the validation protocol

double milliseconds(const std::function<void()>& work) { return 1e3 * seconds_of(work); }

engine::EngineOptions options_of(const Settings& settings) {
  engine::EngineOptions options;
  options.n_threads = settings.n_threads;
  return options;
}

// A treatment with what it needs to act on a bare sequence.
class Treated {
 public:
  Treated(engine::Engine& engine, const std::string& policy, const policy::ParamMap& params)
      : engine_(engine),
        evictor_(policy::make_treatment(policy, params), engine.cache_shape(), 0, "bench") {}

  Sequence make_sequence() const {
    return engine_.make_sequence(PositionMode::kOriginal, evictor_.needs());
  }
  policy::EvictionPlan plan(const Sequence& sequence, policy::EventKind kind, int64_t n_incoming) {
    policy::EventInfo event;
    event.kind = kind;
    event.event_index = n_events_++;
    event.n_logical = sequence.next_ordinal().value;
    event.n_prompt = kTurnPrompt;
    event.n_incoming = n_incoming;
    event.spans = spans_;
    engine::EngineCacheSource source(engine_, sequence, evictor_.needs());
    return evictor_.plan(source, event);
  }
  void evict(Sequence& sequence, policy::EventKind kind, int64_t n_incoming) {
    engine_.evict(sequence, plan(sequence, kind, n_incoming));
  }

 private:
  engine::Engine& engine_;
  policy::Evictor evictor_;
  std::array<policy::SpanInfo, 1> spans_{};
  int n_events_ = 0;
};

class CostTest {
 public:
  CostTest(const std::filesystem::path& path, const Settings& settings)
      : settings_(settings),
        name_(path.filename().string()),
        engine_(model::Model::load(path), options_of(settings)),
        ids_(made_up_ids(8192, engine_.config().n_vocab)) {
    Sequence sequence = engine_.make_sequence(PositionMode::kOriginal);
    step(sequence, 32);
  }

  Section policies();
  Section signals();
  Section forks();
  Section cap();

 private:
  // The next tokens of made-up text, computed as one piece.
  void step(Sequence& sequence, size_t n) {
    const size_t at = sequence.next_ordinal().value % (ids_.size() - n + 1);
    const engine::StepItem item{
        &sequence, std::span(ids_).subspan(at, n), {}, engine::LogitRows::kLast};
    engine_.step(std::span(&item, 1));
  }
  void add_policy(const std::string& name, std::vector<Row>& rows);

  const Settings& settings_;
  std::string name_;
  engine::Engine engine_;
  std::vector<int32_t> ids_;
};

void CostTest::add_policy(const std::string& name, std::vector<Row>& rows) {
  settings_.on_progress("policy " + name);
  Treated treated(engine_, name, {{"budget", fmt::format("{}", kBudget)}});
  Sequence history = treated.make_sequence();
  step(history, kHistory);
  std::vector<double> turns, scorings, evictions;
  for (int round = 0; round < settings_.n_rounds; ++round) {
    Sequence sequence = history.fork();
    turns.push_back(milliseconds([&] {
      step(sequence, kTurnPrompt);
      for (size_t i = 0; i < kTurnReply; ++i) step(sequence, 1);
    }));
    policy::EvictionPlan plan;
    scorings.push_back(
        milliseconds([&] { plan = treated.plan(sequence, policy::EventKind::kTurnEnd, 0); }));
    evictions.push_back(milliseconds([&] { engine_.evict(sequence, plan); }));
  }
  const Summary turn = summarise(turns);
  const auto share = [&](const Summary& part) { return part.median / turn.median; };
  const Summary scoring = summarise(scorings);
  const Summary eviction = summarise(evictions);
  rows.push_back({name, "the turn without eviction", turn, 1.0});
  rows.push_back({name, "scoring and selecting", scoring, share(scoring)});
  rows.push_back({name, "removing cells", eviction, share(eviction)});
}

Section CostTest::policies() {
  Section section{
      .title = fmt::format("Cost of a policy at the end of a turn ({} tokens, then {} + "
                           "{}; down to {} cells): {}",
                           kHistory, kTurnPrompt, kTurnReply, kBudget, name_),
      .unit = "ms",
      .ratio_of = "the turn",
      .rows = {}};
  std::vector<std::string> names = {"streaming", "knorm", "snapkv", "h2o"};
  if (!settings_.is_quick) {
    for (const char* more : {"random", "keydiff", "tova", "lagkv", "expected_attention"}) {
      names.emplace_back(more);
    }
  }
  for (const std::string& name : names) add_policy(name, section.rows);
  return section;
}

// Prompts with and without each kind of statistics, in turns.
Section CostTest::signals() {
  settings_.on_progress("statistics");
  const std::vector<std::pair<std::string, policy::Needs>> kinds = {
      {"none", {}},
      {"sums of attention (h2o)", {.attention_sum = true}},
      {"the last 32 queries (snapkv)", {.attention_window = 32}},
      {"moments of queries (expected_attention)", {.query_moments = true}}};
  std::vector<std::vector<double>> rates(kinds.size());
  for (int round = 0; round < settings_.n_rounds; ++round) {
    for (size_t i = 0; i < kinds.size(); ++i) {
      Sequence sequence = engine_.make_sequence(PositionMode::kOriginal, kinds[i].second);
      rates[i].push_back(static_cast<double>(kHistory) /
                         seconds_of([&] { step(sequence, kHistory); }));
    }
  }
  Section section{.title = "Cost of statistics for policies: " + name_,
                  .unit = "tokens/s",
                  .ratio_of = "no statistics",
                  .rows = {}};
  for (size_t i = 0; i < kinds.size(); ++i) {
    std::vector<double> ratios;
    for (size_t round = 0; round < rates[i].size(); ++round) {
      ratios.push_back(rates[i][round] / rates[0][round]);
    }
    section.rows.push_back({fmt::format("prompt of {} tokens", kHistory), kinds[i].first,
                            summarise(rates[i]), summarise(ratios).median});
  }
  return section;
}

Section CostTest::forks() {
  settings_.on_progress("forks");
  const size_t n_tokens = settings_.is_quick ? 1024 : 4096;
  Section section{
      .title = "Cost of a fork: " + name_, .unit = "us", .ratio_of = "one token more", .rows = {}};
  Sequence sequence = engine_.make_sequence(PositionMode::kOriginal);
  step(sequence, n_tokens);
  std::vector<double> forks, firsts, steps;
  for (int round = 0; round < 10 * settings_.n_rounds; ++round) {
    std::optional<Sequence> fork;
    forks.push_back(1e6 * seconds_of([&] { fork.emplace(sequence.fork()); }));
    if (round % 10 != 0) continue;
    firsts.push_back(1e6 * seconds_of([&] { step(*fork, 1); }));
    steps.push_back(1e6 * seconds_of([&] { step(*fork, 1); }));
  }
  const Summary fork = summarise(forks);
  const Summary first = summarise(firsts);
  const Summary one = summarise(steps);
  const std::string work = fmt::format("sequence of {} tokens", n_tokens);
  section.rows = {{work, "fork", fork, fork.median / one.median},
                  {work, "first token after a fork", first, first.median / one.median},
                  {work, "one token more", one, 1.0}};
  return section;
}

Section CostTest::cap() {
  settings_.on_progress("hard cap");
  const size_t n_tokens = settings_.is_quick ? 2048 : 8192;
  constexpr size_t kBlock = 256;
  constexpr size_t kSteps = 16;
  Treated treated(engine_, "streaming",
                  {{"budget", fmt::format("{}", kCap)}, {"trigger", "cap"}, {"keep_initial", "4"}});
  Sequence capped = treated.make_sequence();
  for (size_t at = 0; at < n_tokens; at += kBlock) {
    treated.evict(capped, policy::EventKind::kCap, kBlock);
    step(capped, kBlock);
  }
  Sequence fresh = engine_.make_sequence(PositionMode::kOriginal);
  step(fresh, kCap - kSteps);
  std::vector<double> plain, steps, evictions, sums;
  for (int round = 0; round < settings_.n_rounds; ++round) {
    Sequence short_one = fresh.fork();
    double step_ms = 0.0;
    double evict_ms = 0.0;
    for (size_t i = 0; i < kSteps; ++i) {
      evict_ms += milliseconds([&] { treated.evict(capped, policy::EventKind::kCap, 1); });
      step_ms += milliseconds([&] { step(capped, 1); });
    }
    steps.push_back(step_ms / kSteps);
    evictions.push_back(evict_ms / kSteps);
    sums.push_back((step_ms + evict_ms) / kSteps);
    plain.push_back(milliseconds([&] {
                      for (size_t i = 0; i < kSteps; ++i) step(short_one, 1);
                    }) /
                    kSteps);
  }
  // Flat memory: what 512 cells take, however many tokens went through them.
  Sequence full = fresh.fork();
  step(full, kSteps);
  const double bytes_ratio =
      static_cast<double>(capped.bytes_alone()) / static_cast<double>(full.bytes_alone());
  const Summary at_start = summarise(plain);
  const auto row = [&](const std::string& who, const std::vector<double>& values) {
    const Summary value = summarise(values);
    return Row{fmt::format("cap of {} cells, {} tokens seen", kCap, n_tokens), who, value,
               value.median / at_start.median};
  };
  return {.title = fmt::format("A hard cap: {} (bytes {:.3f} x those at {} tokens)", name_,
                               bytes_ratio, kCap),
          .unit = "ms",
          .ratio_of = fmt::format("a step at {} tokens", kCap),
          .rows = {{fmt::format("nothing evicted, {} tokens", kCap), "step", at_start, 1.0},
                   row("step", steps),
                   row("evicting one cell a head (streaming)", evictions),
                   row("step with its eviction", sums)}};
}

}  // namespace

std::vector<Section> measure_costs(const std::filesystem::path& model_path,
                                   const Settings& settings) {
  CostTest test(model_path, settings);
  std::vector<Section> sections;
  sections.push_back(test.policies());
  sections.push_back(test.signals());
  sections.push_back(test.forks());
  sections.push_back(test.cap());
  return sections;
}

}  // namespace ebb::bench
