// A study with known numbers and hostile texts, for the tests of src/report: nothing ran.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "base/rng.h"
#include "report/study_data.h"

namespace ebb::report {

inline constexpr const char* kHostile =
    "He said \"no, 5% & $3\",\r\nthen <script>alert('x')</script> </SCRIPT> \\_{#}~^ `ls` @a — ü "
    "漢字";

struct MadeOptions {
  int n_conversations = 6;
  int n_seeds = 4;
  bool has_random = true;
  bool is_identical = false;  // every arm scores as the baseline
};

inline record::StudyInfo made_info(const MadeOptions& options) {
  record::StudyInfo study;
  study.name = "made";
  study.title = std::string("Made up: ") + kHostile;
  study.question = "Does eviction make a model forget what it was told? <b>Really</b>?";
  study.model = "tiny & mighty_135M";
  study.model_sha256 = std::string(64, 'a');
  study.architecture = "llama";
  study.n_layers = 4;
  study.n_kv_heads = 2;
  study.head_dim = 8;
  study.numerics = "strict";
  study.fingerprint = "made";
  study.data_name = "made";
  study.data_version = "1";
  study.history = "own";
  study.primary_endpoint = "rules";
  study.confirmatory_correction = "holm";
  study.exploratory_correction = "bh";
  study.test = "permutation";
  study.statistics_seed = 7;
  const std::map<std::string, std::string> settings{{"budget", "128"}, {"evil", kHostile}};
  study.arms = {{"baseline", "baseline", "none", {}, "original", "whole cache"},
                {"streaming_128", "treatment", "streaming", settings, "original", "all layers"},
                {"streaming_64", "treatment", "streaming", settings, "original", "all layers"},
                {"knorm <64>, \"50%\"", "treatment", "knorm", settings, "original", kHostile},
                {"lazy_arm", "treatment", "snapkv", settings, "compact", "all layers"},
                {"no_instruction", "no_instruction", "none", {}, "original", "whole cache"}};
  if (options.has_random) {
    study.arms.insert(study.arms.begin() + 4,
                      {"random", "treatment", "random", settings, "original", "all layers"});
  }
  study.contrasts = {
      {"H1", "baseline", "streaming_64", "confirmatory", {{"rules", 0.1}, {"recall", 0.2}}},
      {"H2: lazy, \"none\"", "baseline", "lazy_arm", "confirmatory", {}},
      {"explore", "streaming_128", "streaming_64", "exploratory", {}}};
  for (int s = 0; s < options.n_seeds; ++s) study.seeds.push_back(static_cast<uint64_t>(s + 1));
  study.map_conversations = {"c00", "c01"};
  return study;
}

inline record::ConversationText made_conversation(int number) {
  record::ConversationText out;
  out.id = "c0" + std::to_string(number);
  out.conflict_type = number % 2 == 0 ? "tone" : "length";
  out.domain = "travel";
  out.instructions = {{"i1", "Answer formally.", {R"({"id":"formal"})"}, 1, {}, ""},
                      {"i2", kHostile, {R"({"id":"short"})"}, 2, {}, ""}};
  for (int turn = 1; turn <= 3; ++turn) {
    record::TurnText text;
    text.turn_id = turn;
    text.speaker = "user";
    text.instruction_id = turn < 3 ? "i" + std::to_string(turn) : "";
    text.content = turn == 1 ? kHostile : "We arrive on the 14th. What next?";
    text.expects = turn == 3 ? "both" : "";
    out.turns.push_back(text);
  }
  return out;
}

// How much of the cache an arm keeps.
inline double made_share(const record::ArmInfo& arm, int conversation, uint64_t seed) {
  if (arm.policy == "none" || arm.name == "lazy_arm") return 1;
  if (arm.name == "streaming_128") return 0.6;
  if (arm.name == "random") {
    return 0.2 + 0.07 * static_cast<double>((seed * 5 + static_cast<uint64_t>(conversation)) % 11);
  }
  return 0.3;
}

inline record::CacheMap made_map(double share) {
  record::CacheMap map;
  map.n_pairs = 8;
  const std::vector<std::string> words{"<s>",     " Answer",   " form", "ally",      ".\n", " We",
                                       " arrive", " \xE6\xBC", "&amp;", "</script>", " 14", "th"};
  for (int turn = 0; turn < 3; ++turn) {
    for (size_t w = 0; w < words.size(); ++w) {
      map.tokens.push_back(words[w]);
      map.roles.emplace_back(w < 5 ? "instruction" : (w < 9 ? "content" : "reply"));
    }
    std::vector<uint16_t> holders;
    for (size_t t = 0; t < map.tokens.size(); ++t) {
      const double wave = static_cast<double>((t * 7) % 9) / 8;
      holders.push_back(
          static_cast<uint16_t>(share >= 1 ? 8 : std::min(8.0, 8 * share * 2 * wave)));
    }
    map.n_holders.push_back(holders);
  }
  return map;
}

// Of the last two of three turns; the first head of every layer loses more.  4 layers x 2 heads
inline std::vector<std::vector<uint32_t>> made_cells_left(const record::ArmInfo& arm,
                                                          double share) {
  if (arm.kind == "no_instruction") return {};
  if (share >= 1) return {{}, {5}, {5}};
  return {{}, {0, 3, 1, 3, 0, 3, 1, 5}, {0, 2, 0, 2, 0, 2, 0, 2}};
}

inline record::UnitRecord made_unit(const record::ArmInfo& arm, int conversation, uint64_t seed) {
  record::UnitRecord unit;
  unit.conversation = "c0" + std::to_string(conversation);
  unit.arm = arm.name;
  unit.seed = seed;
  unit.unit_id = std::to_string(conversation_key(arm.name + unit.conversation) + seed);
  const double share = made_share(arm, conversation, seed);
  for (int turn = 1; turn <= 3; ++turn) {
    record::UnitTurn out;
    out.turn_id = turn;
    out.prompt_tokens = 20;
    out.reply_tokens = 10 + turn;
    out.stop = turn == 3 && seed % 2 == 0 ? "length" : "end";
    out.reply = arm.name + " says on turn " + std::to_string(turn) + ": " + kHostile;
    out.repeated_share = seed == 1 && turn == 1 ? 0.9 : 0.1;
    out.cells_before = 30.0 * turn;
    out.cells_after = 30.0 * turn * share;
    out.n_cells_after = static_cast<uint64_t>(out.cells_after * 8);
    out.bytes_cells = static_cast<uint64_t>(out.cells_after * 512);
    out.n_removed = share < 1 ? 10 : 0;
    if (share < 1) {
      out.fidelity = record::Fidelity{10, 0.1 * turn * (1 - share), 1, 0.9, -0.1, 3};
      out.turns_since_loss = turn - 1;
    }
    unit.turns.push_back(out);
  }
  for (int i = 1; i <= 2; ++i) {
    const std::string id = "i" + std::to_string(i);
    record::SpanRecord span{
        .role = "instruction", .turn_id = i, .instruction_id = id, .n_tokens = 5, .kept_share = {}};
    span.kept_share.assign(3, share);
    span.cells_left = made_cells_left(arm, share);
    unit.spans.push_back(span);
    unit.recall.push_back({id, 5, -4 + 3 * share + 0.2 * (conversation % 3) + 0.05 * i, share});
  }
  unit.n_removed = share < 1 ? 30 : 0;
  if (conversation < 2) unit.cache_map = made_map(share);
  return unit;
}

inline const char* made_class(int instruction) {
  return instruction == 1 ? "formal" : "short_%_reply";
}

inline void score_unit(StudyData& data, const record::UnitRecord& unit, const std::string& kind,
                       int conversation, const MadeOptions& options) {
  const double share =
      kind == "no_instruction" || options.is_identical ? 1.0 : unit.recall.front().kept_share;
  double sum = 0;
  double recall = 0;
  for (int i = 1; i <= 2; ++i) {
    record::ItemScore item;
    item.unit_id = unit.unit_id;
    item.conversation = unit.conversation;
    item.arm = unit.arm;
    item.seed = unit.seed;
    item.turn_id = 3;
    item.instruction_id = "i" + std::to_string(i);
    item.instruction_class = made_class(i);
    item.state = "active";
    const uint64_t draw =
        (static_cast<uint64_t>(conversation) * 7 + unit.seed * 3 + static_cast<uint64_t>(i)) % 10;
    bool is_right = static_cast<double>(draw) < 9 * share || conversation == 5;
    // The second class is obeyed without being told: it cannot be assessed.
    if (kind == "no_instruction" && !options.is_identical) is_right = i == 2;
    item.rule_strict = is_right ? 1 : 0;
    item.rule_loose = item.rule_strict;
    item.combined = item.rule_strict;
    item.detail = kHostile;
    sum += *item.rule_strict / 2;
    data.scores.items.push_back(item);
    const record::RecallProbe& probe = unit.recall[static_cast<size_t>(i - 1)];
    data.scores.probes.push_back({unit.unit_id, unit.conversation, unit.arm, unit.seed,
                                  item.instruction_id, item.instruction_class, probe.loglik,
                                  probe.kept_share});
    recall += probe.loglik / 2;
  }
  const auto add = [&](const std::string& endpoint, double score) {
    data.scores.units.push_back(
        {unit.unit_id, unit.conversation, unit.arm, unit.seed, endpoint, score});
  };
  add("rules", sum);
  add("recall", recall);
  add("retention", share);
}

inline StudyData made_study(const MadeOptions& options = {}) {
  StudyData data;
  data.study = made_info(options);
  for (int c = 0; c < options.n_conversations; ++c) {
    data.conversations.push_back(made_conversation(c));
    for (const record::ArmInfo& arm : data.study.arms) {
      for (const uint64_t seed : data.study.seeds) {
        const record::UnitRecord unit = made_unit(arm, c, seed);
        score_unit(data, unit, arm.kind, c, options);
        data.units.push_back(unit);
      }
    }
  }
  return data;
}

}  // namespace ebb::report
