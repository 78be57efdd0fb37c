#include "stats/compare_arms.h"

#include <map>
#include <set>

#include "base/error.h"
#include "base/rng.h"
#include "base/text.h"
#include "stats/bootstrap.h"
#include "stats/descriptive.h"
#include "stats/effect_size.h"
#include "stats/paired_binary.h"
#include "stats/paired_t.h"
#include "stats/permutation.h"

namespace ebb::stats {
namespace {

using Arms = std::map<std::string, ArmScores>;

// Draws are keyed by what they are for, never by the order of arms or contrasts.
BootstrapOptions bootstrap_for(const CompareOptions& options, const std::string& what) {
  return {.confidence = 1 - options.alpha,
          .n_draws = options.n_bootstraps,
          .seed = options.seed,
          .stream = conversation_key("bootstrap of " + what)};
}

Estimate estimate(std::span<const double> values, const CompareOptions& options,
                  const std::string& what) {
  const Summary summary = summarize(values);
  const BootstrapResult bootstrap = bootstrap_mean(values, bootstrap_for(options, what));
  return {.mean = summary.mean,
          .sd = summary.sd,
          .interval = bootstrap.interval,
          .interval_method = bootstrap.method};
}

size_t count_seeds(const ArmScores& scores) {
  std::set<uint64_t> seeds;
  for (const auto& [conversation, by_seed] : scores) {
    for (const auto& [seed, score] : by_seed) seeds.insert(seed);
  }
  return seeds.size();
}

ArmRow arm_row(const std::string& arm, const ArmScores& scores, const CompareOptions& options) {
  std::vector<double> means;
  for (const auto& [conversation, by_seed] : scores) means.push_back(seed_mean(by_seed));
  return {.arm = arm,
          .n_conversations = means.size(),
          .n_seeds = count_seeds(scores),
          .score = estimate(means, options, "arm " + arm)};
}

const ArmScores& scores_of(const Arms& arms, const std::string& arm, const std::string& contrast) {
  const auto found = arms.find(arm);
  if (found != arms.end()) return found->second;
  std::vector<std::string> known;
  for (const auto& [name, scores] : arms) known.push_back(name);
  throw Error::make(ErrorKind::kUsage, "contrast '{}': no scores of arm '{}'{}", contrast, arm,
                    did_you_mean(arm, known));
}

TestResult mcnemar_of(const PairedScores& pairs, const Contrast& contrast, McNemarVersion version) {
  for (size_t i = 0; i < pairs.first.size(); ++i) {
    for (const double score : {pairs.first[i], pairs.second[i]}) {
      if (score == 0 || score == 1) continue;
      throw Error::make(ErrorKind::kUsage,
                        "contrast '{}': McNemar's test needs scores of 0 or 1, found {} in "
                        "conversation '{}'; use the permutation test",
                        contrast.name, score, pairs.conversations[i]);
    }
  }
  return mcnemar(paired_table(pairs.first, pairs.second), version);
}

TestResult run_test(const PairedScores& pairs, const Contrast& contrast,
                    const CompareOptions& options) {
  switch (options.test) {
    case PairedTest::kPermutation:
      return paired_permutation(pairs.differences,
                                {.n_draws = options.n_permutations,
                                 .seed = options.seed,
                                 .stream = conversation_key("permutation of " + contrast.name)});
    case PairedTest::kPairedT:
      return paired_t(pairs.differences, 1 - options.alpha).test;
    case PairedTest::kWilcoxon:
      return wilcoxon_signed_rank(pairs.differences, {.zeros = options.wilcoxon_zeros});
    case PairedTest::kMcNemar:
      return mcnemar_of(pairs, contrast, McNemarVersion::kExact);
    case PairedTest::kMcNemarMidP:
      return mcnemar_of(pairs, contrast, McNemarVersion::kMidP);
  }
  throw Error::make(ErrorKind::kInternal, "contrast '{}': unknown test", contrast.name);
}

ArmRow contrast_row(const Arms& arms, const Contrast& contrast, const CompareOptions& options) {
  const ArmScores& first = scores_of(arms, contrast.first, contrast.name);
  const ArmScores& second = scores_of(arms, contrast.second, contrast.name);
  const PairedScores pairs = pair_by_conversation(first, second);
  if (pairs.conversations.empty()) {
    throw Error::make(ErrorKind::kUsage, "contrast '{}': '{}' and '{}' share no conversation",
                      contrast.name, contrast.first, contrast.second);
  }
  ArmRow row{.arm = contrast.second,
             .contrast = contrast.name,
             .n_conversations = pairs.conversations.size(),
             .n_seeds = count_seeds(second),
             .score = estimate(pairs.second, options, "arm " + contrast.second),
             .n_unpaired = pairs.n_unpaired,
             .family = contrast.family};
  row.diff = estimate(pairs.differences, options, "contrast " + contrast.name);
  if (const auto effect = paired_effect(pairs.differences, 1 - options.alpha)) {
    row.effect_size = effect->hedges_g;
    row.effect_interval = effect->hedges_g_interval;
  }
  const TestResult test = run_test(pairs, contrast, options);
  row.test = test.method;
  row.p = test.p;
  row.is_identical = test.is_identical;
  row.note = test.note;
  if (const auto changes = transitions(first, second)) {
    row.c2w = changes->correct_to_wrong;
    row.w2c = changes->wrong_to_correct;
  }
  if (contrast.margin) {
    row.equivalence = tost_t(pairs.differences, *contrast.margin, options.alpha);
  }
  return row;
}

void correct_family(std::vector<ArmRow>& rows, Family family, Correction correction) {
  std::vector<ArmRow*> members;
  std::vector<std::optional<double>> p;
  for (ArmRow& row : rows) {
    if (row.family != family) continue;
    members.push_back(&row);
    p.push_back(row.p);
  }
  const std::vector<std::optional<double>> adjusted = adjusted_p(p, correction);
  for (size_t i = 0; i < members.size(); ++i) {
    members[i]->p_corrected = adjusted[i];
    members[i]->correction = correction_name(correction);
  }
}

void check(std::span<const Contrast> contrasts, const CompareOptions& options) {
  require_level(options.alpha, "alpha", "comparison of arms");
  std::set<std::string> names;
  for (const Contrast& contrast : contrasts) {
    if (contrast.first == contrast.second) {
      throw Error::make(ErrorKind::kUsage, "contrast '{}': compares arm '{}' with itself",
                        contrast.name, contrast.first);
    }
    if (contrast.name.empty() || !names.insert(contrast.name).second) {
      throw Error::make(ErrorKind::kUsage, "contrast '{}': every contrast needs a name of its own",
                        contrast.name);
    }
  }
}

}  // namespace

std::string_view test_name(PairedTest test) {
  switch (test) {
    case PairedTest::kPermutation:
      return "paired permutation";
    case PairedTest::kPairedT:
      return "paired t";
    case PairedTest::kWilcoxon:
      return "Wilcoxon signed-rank";
    case PairedTest::kMcNemar:
      return "McNemar, exact";
    case PairedTest::kMcNemarMidP:
      return "McNemar, mid-p";
  }
  return "";
}

std::vector<ArmRow> compare_arms(std::span<const ScoreRow> rows,
                                 std::span<const Contrast> contrasts,
                                 const CompareOptions& options) {
  check(contrasts, options);
  const Arms arms = group_by_arm(rows);
  std::vector<ArmRow> out;
  for (const auto& [arm, scores] : arms) out.push_back(arm_row(arm, scores, options));
  for (const Contrast& contrast : contrasts) out.push_back(contrast_row(arms, contrast, options));
  correct_families(out, options);
  return out;
}

void correct_families(std::vector<ArmRow>& rows, const CompareOptions& options) {
  correct_family(rows, Family::kConfirmatory, options.confirmatory_correction);
  correct_family(rows, Family::kExploratory, options.exploratory_correction);
}

}  // namespace ebb::stats
