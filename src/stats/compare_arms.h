// The numbers of table 1: each arm's mean and each planned contrast, for one endpoint. What was
// planned (contrasts, families, tests, margins) comes in; nothing is chosen by looking at the data.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "stats/equivalence.h"
#include "stats/multiple.h"
#include "stats/pairing.h"
#include "stats/wilcoxon.h"

namespace ebb::stats {

enum class Family { kConfirmatory, kExploratory };
enum class PairedTest { kPermutation, kPairedT, kWilcoxon, kMcNemar, kMcNemarMidP };

// Differences are first - second: "baseline - streaming" is positive where streaming loses.
struct Contrast {
  std::string name;
  std::string first;
  std::string second;
  Family family = Family::kExploratory;
  std::optional<Interval> margin = {};  // adds an equivalence test
};

struct CompareOptions {
  PairedTest test = PairedTest::kPermutation;
  ZeroRule wilcoxon_zeros = ZeroRule::kDrop;
  double alpha = 0.05;  // intervals are at 1 - alpha
  Correction confirmatory_correction = Correction::kHolm;
  Correction exploratory_correction = Correction::kBenjaminiHochberg;
  size_t n_permutations = 99'999;
  size_t n_bootstraps = 9'999;
  uint64_t seed = 0;
};

struct Estimate {
  double mean = 0;
  double sd = 0;  // over conversations
  std::optional<Interval> interval = {};
  std::string interval_method = {};
};

// One row per arm, then one per contrast; a contrast's row describes its second arm, over the
// conversations that both arms have.
struct ArmRow {
  std::string arm = {};
  std::string contrast = {};  // "" in an arm's own row, which ends here:
  size_t n_conversations = 0;
  size_t n_seeds = 0;  // different seeds of the arm
  Estimate score = {};

  size_t n_unpaired = 0;  // conversations left out
  std::optional<Estimate> diff = {};
  std::optional<double> effect_size = {};  // Hedges' g of the differences
  std::optional<Interval> effect_interval = {};
  std::string test = {};
  std::optional<Family> family = {};
  std::optional<double> p = {};
  std::optional<double> p_corrected = {};
  std::string correction = {};
  bool is_identical = false;  // every difference is zero: no p, nothing was tested
  std::string note = {};
  std::optional<double> c2w = {};  // right in the first arm, wrong in the second
  std::optional<double> w2c = {};
  std::optional<Equivalence> equivalence = {};
};

// Intervals are BCa cluster bootstraps of means (percentile below 20 conversations, said so).
// Throws: kBadData for NaN or doubled rows; kUsage for an arm nobody ran, an arm compared with
// itself, two contrasts of one name, no shared conversation, or McNemar on scores that are not 0
// or 1.
std::vector<ArmRow> compare_arms(std::span<const ScoreRow> rows,
                                 std::span<const Contrast> contrasts,
                                 const CompareOptions& options = {});

// Writes corrected p values again, after rows were added: a planned contrast without data still
// counts in the size of its family.
void correct_families(std::vector<ArmRow>& rows, const CompareOptions& options);

// "paired permutation", ...: for plans, before there are data.
std::string_view test_name(PairedTest test);

}  // namespace ebb::stats
