// What the numbers of a study say: comparisons, what can be assessed, dose-response, facts about
// arms. Everything that tables, figures and the report show is decided here, once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "report/study_data.h"
#include "stats/compare_arms.h"
#include "stats/dose_response.h"
#include "stats/power.h"

namespace ebb::report {

// What a run of an arm looked like: means over its units (seeds first, then conversations).
struct ArmFacts {
  record::ArmInfo info = {};
  size_t n_units = 0;
  bool is_query_visible = false;  // its policy ran when the message was known
  // Of the cache that the last reply was made from: see cache_in_force.h.
  std::optional<double> cells_kept = {};        // of a layer and KV head
  std::optional<double> bytes_kept = {};        // keys and values
  std::optional<double> kept_of_baseline = {};  // cells kept / the baseline's, same conversations
  size_t n_replies = 0;                         // generated, not recorded
  std::optional<double> cap_hit_rate = {};      // share of them cut by the length limit
  std::optional<double> reply_tokens = {};
  std::optional<double> loop_rate = {};  // share of them that mostly repeat themselves
  uint64_t n_removed = 0;                // by then
  bool never_removed = false;  // a treatment that changed nothing: the baseline under another name
};

// Does the instruction change anything that this endpoint sees? Where it does not, a loss of the
// instruction cannot show either, and nothing is said about eviction.
struct Assessability {
  enum class State { kAssessable, kNotAssessable, kUnknown };
  State state = State::kUnknown;
  std::optional<stats::Estimate> diff = {};  // baseline - no_instruction
  size_t n_conversations = 0;
  std::string reason = {};
};

struct EndpointResult {
  std::string endpoint = {};
  std::vector<stats::ArmRow> rows = {};  // arms in the study's order, then contrasts in theirs
};

struct ClassResult {
  std::string name = {};
  size_t n_items = 0;  // judged items of active instructions, or their probes
  Assessability assessability = {};
  std::vector<stats::ArmRow> rows = {};  // all exploratory
};

struct DosePoint {
  std::string unit_id = {};
  std::string conversation = {};
  std::string arm = {};
  double kept_share = 0;
  double value = 0;
};

// Another policy's place in the same plane: mean over conversations.
struct DoseArm {
  std::string arm = {};
  double kept_share = 0;
  double value = 0;
};

struct DoseCurve {
  std::string outcome = {};  // recall, rules, correct_to_wrong, wrong_to_correct
  std::string label = {};    // of the axis
  std::vector<DosePoint> points = {};
  std::optional<stats::DoseResponse> response = {};
  std::vector<DoseArm> arms = {};
  std::vector<std::string> left_out = {};  // query-visible arms: see dose_curves
  std::string empty_reason = {};           // why there is no curve
};

// One arm in the plane of cells kept and what is remembered.
struct ForgettingPoint {
  std::string arm = {};
  std::string policy = {};
  double kept_of_baseline = 0;
  stats::Estimate value = {};
};

// Fidelity of the replies a number of turns after the first loss, mean over conversations.
struct LossPoint {
  std::string arm = {};
  int turns_since_loss = 0;
  size_t n_conversations = 0;
  stats::Estimate kl = {};
};

struct Analysis {
  record::StudyInfo study;
  size_t n_conversations = 0;
  size_t n_units = 0;
  std::vector<ArmFacts> arms = {};
  EndpointResult primary = {};
  std::vector<stats::ArmRow> effects = {};  // baseline - arm for every other arm, primary endpoint
  std::vector<EndpointResult> others = {};  // exploratory
  Assessability overall = {};
  std::vector<ClassResult> classes = {};  // on the primary endpoint, where it has classes
  std::vector<DoseCurve> doses = {};
  std::string forgetting_endpoint = {};  // of the points below
  std::vector<ForgettingPoint> forgetting = {};
  std::vector<LossPoint> losses = {};
  std::optional<stats::DetectionPlan> detection = {};
  std::vector<std::string> warnings = {};  // what a reader has to know before any number
};

struct AnalyseOptions {
  size_t n_bootstraps = 9'999;
  size_t n_permutations = 99'999;
  size_t n_dose_draws = 1'999;
};

// Throws: kUsage for an unknown test or correction, or a study without scores of its primary
// endpoint.
Analysis analyse(const StudyData& data, const AnalyseOptions& options = {});

// Replies of which more than this share of 4-grams stood in them before count as loops.
inline constexpr double kLoopShare = 0.5;

}  // namespace ebb::report
