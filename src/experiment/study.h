// What a study asks for: arms, conversations, seeds, measures and planned comparisons. Plain data,
// read from a study file (study_file.h); every default has a value here.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/sampler.h"
#include "experiment/conversation.h"
#include "policy/treatment.h"
#include "record/study_records.h"

namespace ebb::experiment {

enum class StudyArmKind {
  kBaseline,       // nothing is evicted
  kTreatment,      // cells are evicted
  kNoInstruction,  // the instructions' texts are left out: the floor
  kReminder,       // the active instructions are said again in the last turn: the ceiling
  kTextRemoval,    // what another arm would evict is removed as text and the rest encoded anew
};

struct StudyArm {
  std::string name;
  StudyArmKind kind = StudyArmKind::kTreatment;
  std::string treatment = "none";  // a policy or a named combination
  policy::ParamMap settings;       // beside the treatment's name
  // Budget as a share of the baseline's length at each turn's end: one schedule of whole cells for
  // every arm with the same share. Empty: the treatment's own budget.
  std::string share;
  // Budget from the bytes that another arm holds after each turn of the same conversation: the most
  // cells per head that fit them. For a policy that decides for itself how much stays this is the
  // only way to be compared at equal memory. Empty: not so.
  std::string match_bytes;
  std::string repeats;  // kTextRemoval: the arm whose evictions are repeated on the text
  int n_seeds = 0;  // the first n of the study's seeds; 0: all where chance plays a part, else one
};

// Where the replies of earlier turns come from.
enum class History {
  kOwn,       // every reply is the arm's own
  kRecorded,  // replies that the file has are taken from it; the others are the arm's own
  kForced,    // as recorded, and the others are the baseline's: nothing but the cache differs
};

struct Measures {
  bool generate = true;      // the last turn's reply, for rules and judge
  bool fidelity = true;      // predictions over the baseline's reply, teacher-forced
  bool recall = true;        // the instruction asked back
  int64_t n_cache_maps = 2;  // conversations with a cache map and all kept ordinals
};

// Half the width of "equivalent" on every endpoint, in its units: docs/statistics.md says why.
std::map<std::string, double> default_margins();

struct Study {
  std::string name;
  std::string title;
  std::string question;
  std::string model;  // path; usually given on the command line
  std::string data;   // path
  int64_t limit = 0;  // conversations at most, a sample by their ids; 0 = all
  int64_t max_new = 100;
  std::vector<uint64_t> seeds{0};
  History history = History::kRecorded;
  engine::Sampling sampling;
  Measures measures;
  std::string primary_endpoint = "rules";
  double alpha = 0.05;
  std::string test = "permutation";
  std::string confirmatory_correction = "holm";
  std::string exploratory_correction = "bh";
  uint64_t statistics_seed = 0;
  double rule_weight = 1.0;
  double judge_weight = 0.0;
  std::map<std::string, double> margins =
      default_margins();  // by endpoint, of tests of equivalence
  std::vector<StudyArm> arms;
  std::vector<record::ContrastInfo> contrasts;
};

// Whether the budget follows from another arm's run, so that it is known only turn by turn of a
// conversation.
inline bool is_matched(const StudyArm& arm) {
  return !arm.share.empty() || !arm.match_bytes.empty();
}

std::string to_text(StudyArmKind kind);
std::string to_text(History history);

// Reads a study file. Lists inside an arm expand into one arm for each combination. `overrides` are
// key=value pairs of the top level and of [sampling], [measures], [statistics],
// [equivalence] ("sampling.top_p=1"). Throws: kUsage with every unknown key (and the nearest known
// one) and every problem of an arm.
Study parse_study(const std::string& toml, const std::string& where,
                  const std::vector<std::string>& overrides = {});
// A primary endpoint of rules asks conversations without rules (and without a judge) for nothing:
// recall takes its place, and the text says so; "" where nothing changes.  Throws: kUsage where the
// conversations have no instruction that could be scored or recalled, naming what is left.
std::string settle_primary(Study& study, const std::vector<Conversation>& conversations);
// Throws: kUsage with every problem.
void check_study(const Study& study, const std::string& where);
// The study with every default written out; parse_study reads it back to the same.
std::string to_toml(const Study& study);

// The treatment of an arm. `schedule`: cells per layer and head for each turn, for matched arms.
// Throws: kUsage naming the arm.
policy::Treatment treatment_of(const StudyArm& arm, const std::vector<int64_t>& schedule = {});
// Seeds that an arm is run with: one where nothing is drawn.
std::vector<uint64_t> seeds_of(const Study& study, const StudyArm& arm);

// Leaves `limit` conversations, those whose ids have the smallest hashes, in the order of the file:
// a sample that does not follow how the file is sorted, the same on every run.  limit 0: all.
void sample_conversations(std::vector<Conversation>& conversations, int64_t limit);

struct Preset {
  std::string name;
  std::string text;
};
// The studies that ship with ebb (data/studies).
const std::vector<Preset>& presets();

}  // namespace ebb::experiment
