// What a study leaves behind, as plain values: the study itself, its conversations with their
// rules, and one record a unit (arm x conversation x seed). Scores are not in it: eval and report
// read these records and never run the studied model. Turn ids are those of the conversation file.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace ebb::record {

// What a reply should obey, from one turn on and until another instruction overrides it.
struct InstructionText {
  std::string id = {};
  std::string text = {};
  std::vector<std::string> rules = {};  // each a JSON object {"id": ..., "parameters": {...}}
  std::optional<int> active_from = {};  // turn ids, both included
  std::optional<int> active_until = {};
  std::string overridden_by = {};  // another instruction's id, or ""
};

struct TurnText {
  int turn_id = 0;
  std::string speaker = {};         // system, user or assistant
  std::string instruction_id = {};  // of the instruction given in this turn, or ""
  std::string content = {};
  std::string query = {};
  std::string expected_behavior = {};
  std::string expects = {};  // of a scored turn: first, second, both, neither, or ""
};

struct ConversationText {
  std::string id = {};
  std::string conflict_type = {};
  std::string domain = {};
  std::vector<InstructionText> instructions = {};  // in the order of their turns
  std::vector<TurnText> turns = {};
};

// An arm as it was run.
struct ArmInfo {
  std::string name = {};
  std::string kind = {};  // baseline, treatment, no_instruction, reminder, text_removal
  std::string policy = {};
  std::map<std::string, std::string> settings = {};  // of the treatment, every default written out
  std::string positions = {};                        // original, compact, colliding
  std::string scope = {};                            // in words: "whole cache, all layers"
};

// A planned comparison: differences are first - second.
struct ContrastInfo {
  std::string name = {};
  std::string first = {};
  std::string second = {};
  std::string family = {};  // confirmatory or exploratory
  // By endpoint: adds a test of equivalence within +- this much, in units of the endpoint.
  std::map<std::string, double> margins = {};
};

struct StudyInfo {
  std::string name = {};
  std::string title = {};     // one line for people
  std::string question = {};  // what the study asks, one or two sentences
  std::string model = {};     // name from the file
  std::string model_sha256 = {};
  std::string architecture = {};
  int n_layers = 0, n_kv_heads = 0, head_dim = 0;
  int window = 0;  // of sliding layers; 0 = none
  std::string numerics = {};
  std::string fingerprint = {};  // kernels, CPU, libraries; different ones are not compared
  // What else can change a result: version of records, turn format, cells, contents of budget
  // files. Absent in studies of before it was written.
  std::optional<std::string> inputs = {};
  std::string data_name, data_version, data_sha256;
  std::string history = {};           // own, recorded, teacher_forced
  std::string primary_endpoint = {};  // rules, recall, ...: see docs/file-formats.md
  double alpha = 0.05;
  std::string confirmatory_correction = {};  // holm, bh, none
  std::string exploratory_correction = {};
  std::string test = {};  // permutation, paired_t, wilcoxon, mcnemar
  uint64_t statistics_seed = 0;
  std::vector<ArmInfo> arms = {};
  std::vector<ContrastInfo> contrasts = {};
  std::vector<uint64_t> seeds = {};
  double rule_weight = 1.0;  // of the combined score, where an instruction has both
  double judge_weight = 0.0;
  std::vector<std::string> map_conversations = {};  // those with a cache map
};

// How the predictions over the baseline's own reply differ, token by token, with the same tokens in
// front of both.  Natural logarithms.
struct Fidelity {
  int n_tokens = 0;
  double kl_mean = 0;  // KL(baseline || arm) per token
  double kl_max = 0;
  double top1_agreement = 0;  // share of tokens with the same likeliest token
  double delta_loglik = 0;    // arm - baseline, per token of the baseline's reply
  int first_divergence = -1;  // first token whose likeliest one differs; -1: none
};

struct UnitTurn {
  int turn_id = 0;
  int prompt_tokens = 0;
  int reply_tokens = 0;
  bool is_recorded = false;  // the reply came from the file, not from the model
  bool is_forced = false;    // it is the baseline's, teacher-forced
  std::string stop = {};     // end, length, recorded
  std::string reply = {};
  double repeated_share = 0;  // 4-grams of the reply that stood in it before
  // Cells around the event at the end of the turn. Means over KV heads and layers of a class.
  double cells_before = 0, cells_after = 0;  // of global layers (all, if none is)
  std::optional<double> sliding_before = {}, sliding_after = {};
  uint64_t n_cells_after = 0;  // over all layers and heads
  uint64_t n_cells_peak = 0;   // the same, at any step of the turn
  double n_cells_mean = 0;     // the same, averaged over the turn's steps
  uint64_t bytes_cells = 0;    // keys and values after the turn
  uint64_t bytes_alone = 0;    // with page slack, derived keys and statistics
  uint64_t n_removed = 0;      // by the treatment in this turn
  uint64_t n_left_window = 0;  // by architecture in this turn
  // Of the turn teacher-forced on the baseline's history; absent where that was not run.
  // turns_since counts from the first event that removed a cell: 0 in the turn right after it,
  // absent before.
  std::optional<Fidelity> fidelity = {};
  std::optional<int> turns_since_loss = {};

  // Whether the unit itself said it: only such replies are judged and counted.
  bool is_own() const { return !is_recorded && !is_forced; }
};

// A run of tokens of one role, and what is left of it after every turn.
struct SpanRecord {
  std::string role = {};  // template, system, instruction, content, query, reply
  int turn_id = 0;
  std::string instruction_id = {};
  int n_tokens = 0;
  // [n_turns] share of its cells left after each turn, over all layers and heads (what sliding
  // windows dropped counts as gone); absent before the span exists.
  std::vector<std::optional<double>> kept_share = {};
  // [n_turns] cells left in every layer and head, of instructions after the last two turns only:
  // one of them left the cache that the last reply was made from. Each [n_layers * n_kv_heads],
  // layer by layer; a single number where all hold as many; empty: not kept.
  std::vector<std::vector<uint32_t>> cells_left = {};

  // Requires: that turn's are kept.
  uint32_t cells_left_at(size_t turn, size_t layer_and_head) const {
    const std::vector<uint32_t>& left = cells_left.at(turn);
    return left.size() == 1 ? left.front() : left.at(layer_and_head);
  }
};

// An instruction asked back on a fork at the end of the conversation, its own text teacher-forced.
struct RecallProbe {
  std::string instruction_id = {};
  int n_tokens = 0;
  double loglik = 0;      // per token
  double kept_share = 0;  // of the instruction's cells, when it was asked
};

// Which layers and heads still hold each token, after every turn; of chosen conversations only.
struct CacheMap {
  std::vector<std::string> tokens = {};  // texts, in order of ordinals
  std::vector<std::string> roles = {};   // [n_tokens]
  std::vector<std::vector<uint16_t>>
      n_holders;    // [n_turns][tokens so far]: pairs of layer and head
  int n_pairs = 0;  // layers x heads
};

struct UnitRecord {
  std::string unit_id = {};  // hash of everything that can change the result
  std::string arm = {};
  std::string conversation = {};
  uint64_t seed = 0;
  std::vector<UnitTurn> turns = {};  // user turns, in order
  std::vector<SpanRecord> spans = {};
  std::vector<RecallProbe> recall = {};
  uint64_t n_removed = 0;  // by the treatment, over everything
  std::optional<CacheMap> cache_map = {};
  std::string digest = {};  // of reply tokens, cells and probes: equal on any run of the same unit
};

// JSON texts; reading throws kBadData with what is missing.
std::string to_json(const StudyInfo& study);
std::string to_json(const ConversationText& conversation);
std::string to_json(const UnitRecord& unit);
StudyInfo study_from_json(const std::string& text);
ConversationText conversation_from_json(const std::string& text);
UnitRecord unit_from_json(const std::string& text);

}  // namespace ebb::record
