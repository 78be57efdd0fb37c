// Policies against kvpress and, where that is at fault or lacks the published form, against the
// papers' formulas in NumPy.
#include <gtest/gtest.h>

#include <map>

#include "policy/allocator.h"
#include "policy/catalogue.h"
#include "policy/golden_cache.h"
#include "policy/refine.h"

namespace ebb::policy::testing {
namespace {

constexpr double kScoreTolerance = 1e-5;  // relative, float32 against double

ParamMap settings_in(const nlohmann::json& result) { return result.at("settings").get<ParamMap>(); }

ParamMap own_params(const PolicySpec& spec, const ParamMap& settings) {
  ParamMap own;
  for (const ParamSpec& param : spec.params) {
    if (settings.contains(param.name)) own[param.name] = settings.at(param.name);
  }
  return own;
}

std::string name_of(const nlohmann::json& entry, const nlohmann::json& result) {
  return fmt::format("{} {} {} n={} heads={}/{} {}", result.at("source").get<std::string>(),
                     result.at("policy").get<std::string>(), result.at("settings").dump(),
                     entry.at("n").get<int>(), entry.at("n_q").get<int>(),
                     entry.at("n_kv").get<int>(), entry.at("flavour").get<std::string>());
}

LayerScores scores_of(GoldenCache& cache, const std::string& policy, const ParamMap& settings) {
  const EventInfo event = event_at(cache.n());
  LayerScores scores;
  scores.rows.assign(static_cast<size_t>(cache.shape().n_kv_heads), std::vector<float>(cache.n()));
  if (policy.starts_with("value_norms")) {
    const Refine refine = policy == "value_norms_l1" ? Refine::kCriticalL1 : Refine::kCriticalL2;
    const LayerView view = cache.layer(0);
    for (int h = 0; h < cache.shape().n_kv_heads; ++h) {
      scores.rows[static_cast<size_t>(h)] = value_norms(refine, view, cache.shape(), h);
    }
    return scores;
  }
  const PolicySpec& spec = find_policy(policy);
  const auto instance = spec.make(Params(spec.params, own_params(spec, settings), policy));
  cache.set_window(std::max(1, instance->needs().attention_window));
  const KeyedRandom random(0, 0, RandomUse::kEviction);
  const LayerView view = cache.layer(0);
  instance->score({.event = event, .shape = cache.shape(), .random = random}, view, scores);
  return scores;
}

void expect_scores(const nlohmann::json& entry, const nlohmann::json& result) {
  GoldenCache cache(entry);
  const LayerScores found = scores_of(cache, result.at("policy"), settings_in(result));
  const std::vector<float> expected = unpack(result.at("scores"));
  const auto begin = result.at("compare")[0].get<size_t>();
  const auto end = result.at("compare")[1].get<size_t>();
  // A cosine near 0 is a difference of products near 1, so float32 leaves it no relative digits.
  const double floor = result.at("policy") == "keydiff" ? 3e-2 : 1e-3;
  for (size_t h = 0; h < found.rows.size(); ++h) {
    for (size_t t = begin; t < end; ++t) {
      const double want = expected[h * cache.n() + t];
      ASSERT_NEAR(found.rows[h][t], want, kScoreTolerance * std::max(std::fabs(want), floor))
          << name_of(entry, result) << " head " << h << " cell " << t;
    }
  }
}

// '1' must stay, '0' must go, '?' is tied at the threshold.
void expect_kept(const nlohmann::json& entry, const nlohmann::json& result,
                 const nlohmann::json& set) {
  GoldenCache cache(entry);
  ParamMap settings = settings_in(result);
  settings["observe"] = "raw_tail";
  if (set.at("budget").get<int>() > 0) settings["budget"] = set.at("budget").dump();
  Evictor evictor(make_treatment(result.at("policy").get<std::string>(), settings), cache.shape(),
                  0, "c");
  cache.set_window(std::max(1, evictor.needs().attention_window));
  const EvictionPlan plan = evictor.plan(cache, event_at(cache.n()));
  for (size_t h = 0; h < plan.kept[0].size(); ++h) {
    std::string found(cache.n(), '0');
    for (const uint32_t i : plan.kept[0][h]) found[i] = '1';
    const std::string want = set.at("kept")[h];
    for (size_t t = 0; t < want.size(); ++t) {
      ASSERT_TRUE(want[t] == '?' || want[t] == found[t])
          << name_of(entry, result) << " ratio " << set.at("ratio") << " head " << h << "\nwant  "
          << want << "\nfound " << found;
    }
  }
}

TEST(Goldens, scores_agree_to_1e_5) {
  std::map<std::string, int> compared;
  for (const auto& entry : goldens().at("cases")) {
    for (const auto& result : entry.at("results")) {
      if (!result.contains("scores")) continue;
      expect_scores(entry, result);
      ++compared[result.at("policy")];
    }
  }
  for (const char* policy :
       {"knorm", "keydiff", "observed_attention", "tova", "tova_head", "snapkv", "lagkv",
        "expected_attention", "h2o", "value_norms_l1", "value_norms_l2"}) {
    EXPECT_GE(compared[policy], 20) << policy;
  }
}

TEST(Goldens, kept_sets_agree_apart_from_ties) {
  std::map<std::string, int> compared;
  for (const auto& entry : goldens().at("cases")) {
    for (const auto& result : entry.at("results")) {
      const auto settings = settings_in(result);
      std::string label = result.at("policy");
      for (const char* part : {"allocator", "refine", "chunk"}) {
        if (settings.contains(part)) label += "+" + settings.at(part);
      }
      for (const auto& set : result.at("sets")) {
        expect_kept(entry, result, set);
        ++compared[label];
      }
    }
  }
  for (const char* label :
       {"knorm", "keydiff", "observed_attention", "tova", "tova_head", "snapkv", "lagkv",
        "lagkv_recursive", "expected_attention", "h2o", "streaming", "knorm+5", "snapkv+ada_floor",
        "snapkv+critical_l1", "snapkv+ada_floor+critical_l1", "expected_attention+ada_floor"}) {
    EXPECT_GE(compared[label], 20) << label;
  }
}

// A layer of heads as an allocator sees it, with a forced window.
std::vector<HeadWork> works_of(int n_layers, int n_heads, int64_t n, int64_t budget,
                               int64_t window) {
  std::vector<HeadWork> works;
  for (int layer = 0; layer < n_layers; ++layer) {
    for (int head = 0; head < n_heads; ++head) {
      HeadWork& work = works.emplace_back();
      work.layer = layer;
      work.head = head;
      work.cells = range(0, static_cast<uint32_t>(n));
      for (const uint32_t o : work.cells) work.ordinals.push_back({o});
      work.spans.resize(work.cells.size());
      work.score.assign(work.cells.size(), 0.0F);
      work.forced.last_cells = window;
      work.budget = std::min(budget, n);
    }
  }
  return works;
}

TEST(Goldens, pyramid_budgets_are_those_of_kvpress) {
  int n_ramps = 0;
  for (const auto& row : goldens().at("pyramid")) {
    const auto want = row.at("counts").get<std::vector<int64_t>>();
    auto works =
        works_of(static_cast<int>(want.size()), 1, row.at("n"), row.at("budget"), row.at("window"));
    Allocator allocator;
    allocator.kind = AllocatorKind::kPyramidKvpress;
    allocator.beta = row.at("beta");
    const auto notices = allocate(allocator, works);
    for (size_t l = 0; l < want.size(); ++l) EXPECT_EQ(works[l].count, want[l]) << row.dump();
    const bool is_ramp = want.front() != want.back();
    n_ramps += is_ramp ? 1 : 0;
    EXPECT_TRUE(!is_ramp || notices.empty()) << row.dump();
  }
  EXPECT_GE(n_ramps, 15);
}

TEST(Goldens, ada_mix_counts_are_the_papers_rounded_to_an_exact_total) {
  int n_compared = 0;
  for (const auto& entry : goldens().at("cases")) {
    for (const auto& result : entry.at("results")) {
      if (result.at("policy") != "ada_mix") continue;
      GoldenCache cache(entry);
      for (const auto& share : result.at("shares")) {
        const Treatment treatment =
            make_treatment("snapkv", {{"window", "8"},
                                      {"observe", "raw_tail"},
                                      {"allocator", "ada_mix"},
                                      {"normalize", settings_in(result).at("normalize")},
                                      {"budget", share.at("budget").dump()}});
        Evictor evictor(treatment, cache.shape(), 0, "c");
        cache.set_window(8);
        const EvictionPlan plan = evictor.plan(cache, event_at(cache.n()));
        const auto want = share.at("shares").get<std::vector<double>>();
        int64_t total = 0;
        for (size_t h = 0; h < want.size(); ++h) {
          const auto n_kept = static_cast<int64_t>(plan.kept[0][h].size());
          EXPECT_LT(std::fabs(static_cast<double>(n_kept) - want[h]), 1.0) << share.dump();
          total += n_kept;
        }
        EXPECT_EQ(total, share.at("budget").get<int64_t>() * cache.shape().n_kv_heads);
        ++n_compared;
      }
    }
  }
  EXPECT_GE(n_compared, 100);
}

}  // namespace
}  // namespace ebb::policy::testing
