#include "report/survival.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "report/arm_order.h"
#include "report/cache_in_force.h"
#include "report/csv.h"
#include "report/means.h"

namespace ebb::report {
namespace {

// One instruction of one unit: everything in the text that carries it.
struct Left {
  int n_tokens = 0;
  std::vector<uint32_t> n_cells = {};  // [n_layers * n_kv_heads]
};

class Survival {
 public:
  explicit Survival(const StudyData& data)
      : in_force_(data),
        n_pairs_(static_cast<size_t>(data.study.n_layers) *
                 static_cast<size_t>(data.study.n_kv_heads)) {
    for (const record::ArmInfo& arm : data.study.arms) moments_[arm.name] = moment_of(arm);
  }

  // By instruction id; empty where the record does not say.
  std::map<std::string, Left> of(const record::UnitRecord& unit) const {
    std::map<std::string, Left> out;
    const auto moment = moments_.find(unit.arm);
    if (moment == moments_.end()) return out;
    const size_t n_over = in_force_.n_turns_over(unit, moment->second);
    for (const record::SpanRecord& span : unit.spans) {
      if (n_over == 0 || span.cells_left.size() < n_over || span.n_tokens == 0) continue;
      if (span.cells_left[n_over - 1].empty()) continue;
      Left& left = out[span.instruction_id];
      left.n_tokens += span.n_tokens;
      left.n_cells.resize(n_pairs_);
      for (size_t i = 0; i < n_pairs_; ++i) left.n_cells[i] += span.cells_left_at(n_over - 1, i);
    }
    return out;
  }

 private:
  CacheInForce in_force_;
  size_t n_pairs_;
  std::map<std::string, Moment> moments_;
};

// Verdicts on the last reply, by unit and instruction.
using LastItems = std::map<std::pair<std::string, std::string>, const record::ItemScore*>;
LastItems last_items(const StudyData& data) {
  LastItems out;
  for (const record::ItemScore& item : data.scores.items) {
    const record::ItemScore*& last = out[{item.unit_id, item.instruction_id}];
    if (last == nullptr || item.turn_id > last->turn_id) last = &item;
  }
  return out;
}

std::string recall_text(const record::UnitRecord& unit, const std::string& instruction) {
  for (const record::RecallProbe& probe : unit.recall) {
    if (probe.instruction_id == instruction) return number_text(probe.loglik);
  }
  return "";
}

std::vector<const record::UnitRecord*> in_order(const StudyData& data) {
  const ArmOrder order(data.study);
  std::vector<const record::UnitRecord*> out;
  for (const record::UnitRecord& unit : data.units) out.push_back(&unit);
  std::stable_sort(out.begin(), out.end(), [&](const auto* a, const auto* b) {
    return std::make_tuple(order.place(a->arm), a->arm, a->conversation, a->seed) <
           std::make_tuple(order.place(b->arm), b->arm, b->conversation, b->seed);
  });
  return out;
}

}  // namespace

std::string survival_csv(const StudyData& data) {
  Csv csv({"unit", "conversation", "arm", "seed", "instruction", "state", "rule_strict", "recall",
           "layer", "head", "tokens", "cells", "share"});
  const Survival survival(data);
  const LastItems items = last_items(data);
  const auto n_heads = static_cast<size_t>(std::max(data.study.n_kv_heads, 1));
  for (const record::UnitRecord* unit : in_order(data)) {
    for (const auto& [instruction, left] : survival.of(*unit)) {
      const auto item = items.find({unit->unit_id, instruction});
      const bool has_item = item != items.end();
      for (size_t i = 0; i < left.n_cells.size(); ++i) {
        csv.add({unit->unit_id, unit->conversation, unit->arm, number_text(unit->seed), instruction,
                 has_item ? item->second->state : "",
                 has_item ? number_text(item->second->rule_strict) : "",
                 recall_text(*unit, instruction), number_text(i / n_heads),
                 number_text(i % n_heads), number_text(left.n_tokens), number_text(left.n_cells[i]),
                 number_text(static_cast<double>(left.n_cells[i]) / left.n_tokens)});
      }
    }
  }
  return csv.text();
}

std::vector<LayerShares> layer_shares(const StudyData& data) {
  const Survival survival(data);
  const auto n_layers = static_cast<size_t>(std::max(data.study.n_layers, 0));
  const auto n_heads = static_cast<size_t>(std::max(data.study.n_kv_heads, 1));
  std::map<std::string, std::vector<ConversationMeans>> means;
  for (const record::UnitRecord& unit : data.units) {
    const std::map<std::string, Left> instructions = survival.of(unit);
    if (instructions.empty()) continue;
    std::vector<ConversationMeans>& of_arm = means[unit.arm];
    of_arm.resize(n_layers);
    for (size_t layer = 0; layer < n_layers; ++layer) {
      double sum = 0;
      for (const auto& [id, left] : instructions) {
        for (size_t head = 0; head < n_heads; ++head) {
          sum += static_cast<double>(left.n_cells[layer * n_heads + head]) / left.n_tokens;
        }
      }
      of_arm[layer].add(unit.conversation,
                        sum / static_cast<double>(n_heads * instructions.size()));
    }
  }
  std::vector<LayerShares> out;
  for (const record::ArmInfo& arm : data.study.arms) {
    const auto found = means.find(arm.name);
    if (found == means.end() || found->second.empty()) continue;
    LayerShares& shares = out.emplace_back();
    shares.arm = arm.name;
    shares.n_conversations = found->second.front().all().size();
    for (const ConversationMeans& layer : found->second) shares.shares.push_back(*layer.mean());
  }
  return out;
}

}  // namespace ebb::report
