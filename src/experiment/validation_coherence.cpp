// The coherence criterion: an arm's replies beside the baseline's.
#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "experiment/coherence.h"
#include "experiment/validation.h"

namespace ebb::experiment {
namespace {

constexpr size_t kGram = 4;
constexpr double kMoreRepeats = 0.2;  // the plan's validation allows this much over the baseline
constexpr double kDegenerateRepeats =
    0.5;  // a baseline that repeats every second 4-gram proves nothing
constexpr double kPerplexityFactor = 2.0;  // either way
constexpr size_t kFewTokens = 20;          // less text than this has no share worth naming

struct Replies {
  size_t n_tokens = 0;
  double repeats = 0;  // mean over the replies that have a 4-gram
  std::optional<double> perplexity;
  bool has_every_nll = true;
};

Replies sum_up(const ArmRecord& arm) {
  Replies out;
  std::vector<double> nll;
  double repeats = 0;
  size_t n_replies = 0;
  for (const ConversationRecord& conversation : arm.conversations) {
    for (const TurnRecord& turn : conversation.turns) {
      out.n_tokens += turn.reply_ids.size();
      out.has_every_nll = out.has_every_nll && turn.reply_nll.size() == turn.reply_ids.size();
      nll.insert(nll.end(), turn.reply_nll.begin(), turn.reply_nll.end());
      if (turn.reply_ids.size() < kGram) continue;
      repeats += repeated_ngram_share(turn.reply_ids, kGram);
      ++n_replies;
    }
  }
  if (n_replies > 0) out.repeats = repeats / static_cast<double>(n_replies);
  out.perplexity = perplexity(nll);
  return out;
}

Criterion verdict_of(Criterion out, const Replies& arm, const Replies& baseline) {
  const auto say = [&](Verdict verdict, const std::string& why) {
    out.verdict = verdict;
    out.detail += why;
    return out;
  };
  if (baseline.n_tokens < kFewTokens) {
    return say(Verdict::kNotAssessable, "; the baseline wrote too little to compare with");
  }
  if (baseline.repeats > kDegenerateRepeats) {
    return say(Verdict::kNotAssessable, "; the baseline itself is degenerate (over 50 % repeats)");
  }
  if (arm.n_tokens == 0) return say(Verdict::kFail, "; the arm wrote nothing");
  if (arm.n_tokens < kFewTokens) {
    return say(Verdict::kNotAssessable, "; the arm wrote too little to judge");
  }
  if (arm.repeats > baseline.repeats + kMoreRepeats) {
    return say(Verdict::kFail, "; more than 20 points over the baseline's repeats");
  }
  if (!arm.has_every_nll || !baseline.has_every_nll) {
    return say(Verdict::kNotAssessable, "; likelihoods were not recorded for every reply token");
  }
  const double ratio = *arm.perplexity / *baseline.perplexity;
  const bool is_near = ratio >= 1 / kPerplexityFactor && ratio <= kPerplexityFactor;
  if (!is_near) {
    return say(Verdict::kFail,
               fmt::format("; {:.2f} times the baseline's perplexity, expected 0.5 to 2", ratio));
  }
  return say(Verdict::kPass, fmt::format("; {:.2f} times the baseline's perplexity", ratio));
}

std::string shown(std::optional<double> perplexity) {
  return perplexity ? fmt::format("{:.2f}", *perplexity) : "not recorded";
}

}  // namespace

Criterion judge_coherence(const ArmRecord& arm, const ArmRecord& baseline) {
  const Replies a = sum_up(arm);
  const Replies b = sum_up(baseline);
  Criterion out;
  out.name = "replies stay coherent: " + arm.arm;
  out.detail = fmt::format(
      "repeated 4-grams {:.1f} % (baseline {:.1f} %), perplexity of the replies under the "
      "unevicted model "
      "{} (baseline {}), {} reply tokens",
      100 * a.repeats, 100 * b.repeats, shown(a.perplexity), shown(b.perplexity), a.n_tokens);
  return verdict_of(std::move(out), a, b);
}

}  // namespace ebb::experiment
