// Scores of finished units, as plain values: made by eval, read by report.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace ebb::record {

// One instruction judged in one reply.
struct ItemScore {
  std::string unit_id = {};
  std::string conversation = {};
  std::string arm = {};
  uint64_t seed = 0;
  int turn_id = 0;
  std::string instruction_id = {};
  std::string instruction_class = {};  // id of its first rule, or its conversation's conflict type
  std::string state = {};  // active, or outdated: overridden or expired, and not to be obeyed
  std::optional<double> rule_strict = {};  // share of its rules that pass; absent: it has none
  std::optional<double> rule_loose = {};
  std::optional<double> judge = {};  // absent: not run or pending
  std::optional<double> combined = {};
  std::string judge_state = {};  // "", not run, done, pending
  std::string detail = {};       // what was found, one line
};

// One probe that counts: of an instruction that should be obeyed at the end.
struct ProbeScore {
  std::string unit_id = {};
  std::string conversation = {};
  std::string arm = {};
  uint64_t seed = 0;
  std::string instruction_id = {};
  std::string instruction_class = {};  // as an item's
  double loglik = 0;                   // per token
  double kept_share = 0;               // of the instruction's cells, when it was asked
};

// One unit's value on one endpoint: the rows of scores.csv.
struct UnitScore {
  std::string unit_id = {};
  std::string conversation = {};
  std::string arm = {};
  uint64_t seed = 0;
  std::string endpoint = {};  // rules, rules_loose, judge, combined, perseveration, recall,
                              // retention, kl, top1, delta_loglik
  double score = 0;
};

struct StudyScores {
  std::vector<ItemScore> items = {};
  std::vector<ProbeScore> probes = {};
  std::vector<UnitScore> units = {};
  std::string judge_name = {};  // "" where no judge ran
  size_t n_pending = 0;         // judge answers still missing
};

}  // namespace ebb::record
