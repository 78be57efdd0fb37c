#include "experiment/unit_builder.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <utility>

#include "base/sha256.h"
#include "engine/audit.h"
#include "experiment/coherence.h"
#include "policy/treatment_text.h"

namespace ebb::experiment {
namespace {

// Means over layers of one class; nothing where there is none.
struct ClassCells {
  double before = 0, after = 0;
  int n = 0;
};

void add_layer(ClassCells& out, const engine::LayerCells& cells, const kv::LayerCount& now) {
  out.before += cells.before.n_mean;
  out.after += now.n_mean;
  ++out.n;
}

void fill_cells(const engine::Session& session, record::UnitTurn& out) {
  const kv::SequenceCells& cells = session.sequence().cells();
  const engine::TurnRecord& turn = session.turns().back();
  ClassCells global;
  ClassCells sliding;
  for (int layer = 0; layer < cells.shape().n_layers(); ++layer) {
    const auto i = static_cast<size_t>(layer);
    const bool is_sliding = cells.shape().windows[i] > 0;
    add_layer(is_sliding ? sliding : global, turn.layers[i], cells.count(layer));
  }
  if (sliding.n > 0) {
    out.sliding_before = sliding.before / sliding.n;
    out.sliding_after = sliding.after / sliding.n;
  }
  const ClassCells& shown = global.n > 0 ? global : sliding;
  out.cells_before = shown.before / shown.n;
  out.cells_after = shown.after / shown.n;
  out.n_cells_after = cells.n_cells_total();
  out.n_cells_peak = turn.n_cells_peak;
  out.n_cells_mean = turn.n_cells_mean;
  out.bytes_cells = cells.bytes_cells();
  // What the baseline gathers for arms that share its first turn is not its own.
  const bool has_signals = session.options().treatment.policy != "full";
  out.bytes_alone = has_signals ? session.sequence().bytes_alone() : cells.bytes_alone();
  for (const engine::EventRecord& event : turn.events) out.n_removed += event.loss.n_by_treatment;
}

const char* stop_text(engine::StopReason stop) {
  if (stop == engine::StopReason::kRecorded) return "recorded";
  return stop == engine::StopReason::kEndToken ? "end" : "length";
}

// Whether an event before the end of the turn removed cells: then the reply felt it already.
bool lost_before_end(const engine::TurnRecord& turn) {
  return std::any_of(turn.events.begin(), turn.events.end(), [](const engine::EventRecord& event) {
    return event.kind != policy::EventKind::kTurnEnd && event.loss.n_by_treatment > 0;
  });
}

// One number for all where all are equal.
std::vector<uint32_t> shortened(const std::vector<uint32_t>& of_heads) {
  const bool is_same =
      std::adjacent_find(of_heads.begin(), of_heads.end(), std::not_equal_to<>()) == of_heads.end();
  return is_same ? std::vector<uint32_t>(1, of_heads.front()) : of_heads;
}

}  // namespace

void UnitBuilder::note_tokens(const engine::Session& session, const model::Tokenizer& tokenizer) {
  const std::vector<SpanId>& spans = session.sequence().span_of_token();
  n_tokens_.resize(session.spans().size());
  for (size_t i = n_seen_; i < spans.size(); ++i) ++n_tokens_[spans[i].value];
  if (keep_map_ == KeepMap::kYes) {
    if (!unit_.cache_map) unit_.cache_map.emplace();
    record::CacheMap& map = *unit_.cache_map;
    for (size_t i = n_seen_; i < spans.size(); ++i) {
      text_of_ordinal_.push_back(static_cast<uint32_t>(map.tokens.size()));
      map.tokens.push_back(
          tokenizer.piece(session.sequence().ids()[i], model::RenderSpecial::kYes));
      map.roles.push_back(policy::to_text(session.spans()[spans[i].value].role));
    }
  }
  n_seen_ = spans.size();
}

void UnitBuilder::note_turn(const engine::Session& session, const model::Tokenizer& tokenizer,
                            const std::vector<int>& turn_ids, ReplyOf reply_of) {
  const engine::TurnRecord& turn = session.turns().back();
  record::UnitTurn out;
  out.turn_id = turn_ids.at(static_cast<size_t>(turn.turn));
  out.prompt_tokens = turn.n_prompt_tokens;
  out.reply_tokens = static_cast<int>(turn.reply_ids.size());
  out.is_recorded = reply_of == ReplyOf::kFile;
  out.is_forced = reply_of == ReplyOf::kBaseline;
  out.stop = stop_text(turn.stop);
  out.reply = tokenizer.decode(turn.reply_ids, model::RenderSpecial::kNo);
  out.repeated_share = repeated_ngram_share(turn.reply_ids, 4);
  if (!first_felt_ && lost_before_end(turn)) first_felt_ = unit_.turns.size();
  out.turns_since_loss = turns_since_loss();
  fill_cells(session, out);
  out.n_removed += std::exchange(n_removed_now_, 0);
  const uint64_t left = session.sequence().n_left_window();
  out.n_left_window = left >= n_left_window_ ? left - n_left_window_ : 0;
  n_left_window_ = left;
  unit_.n_removed += out.n_removed;
  if (out.n_removed > 0 && !first_felt_) first_felt_ = unit_.turns.size() + 1;
  unit_.turns.push_back(std::move(out));
  note_spans(session, turn_ids);
  if (keep_map_ == KeepMap::kYes) note_map(session);
}

void UnitBuilder::note_spans(const engine::Session& session, const std::vector<int>& turn_ids) {
  const kv::SequenceCells& cells = session.sequence().cells();
  const auto left = engine::cells_by_span_and_head(cells, session.spans().size());
  const auto n_pairs = static_cast<double>(cells.shape().n_layers() * cells.shape().n_kv_heads);
  const size_t n_turns = unit_.turns.size();
  const bool is_kept_by_head = n_turns + 1 >= turn_ids.size();
  for (size_t i = 0; i < left.size(); ++i) {
    if (i == unit_.spans.size()) {
      const model::TurnSpan& span = session.spans()[i];
      record::SpanRecord& made = unit_.spans.emplace_back();
      made.role = policy::to_text(span.role);
      made.turn_id = turn_ids.at(static_cast<size_t>(span.turn));
      made.instruction_id = span.instruction_id;
      made.kept_share.resize(n_turns - 1);
      if (span.role == Role::kInstruction) made.cells_left.resize(n_turns - 1);
    }
    record::SpanRecord& span = unit_.spans[i];
    span.n_tokens = n_tokens_[i];
    span.kept_share.emplace_back();
    if (span.n_tokens > 0) {
      const uint64_t n = std::accumulate(left[i].begin(), left[i].end(), uint64_t{0});
      span.kept_share.back() = static_cast<double>(n) / (n_pairs * span.n_tokens);
    }
    if (session.spans()[i].role != Role::kInstruction) continue;
    span.cells_left.push_back(is_kept_by_head ? shortened(left[i]) : std::vector<uint32_t>{});
  }
}

void UnitBuilder::note_map(const engine::Session& session) {
  record::CacheMap& map = *unit_.cache_map;
  const kv::SequenceCells& cells = session.sequence().cells();
  std::vector<uint16_t> holders(map.tokens.size(), 0);
  std::vector<Ordinal> ordinals;
  for (int layer = 0; layer < cells.shape().n_layers(); ++layer) {
    for (int head = 0; head < cells.shape().n_kv_heads; ++head) {
      ordinals.clear();
      cells.head(layer, head).collect_ordinals(ordinals);
      for (const Ordinal ordinal : ordinals) ++holders[text_of_ordinal_.at(ordinal.value)];
    }
  }
  map.n_pairs = cells.shape().n_layers() * cells.shape().n_kv_heads;
  map.n_holders.push_back(std::move(holders));
}

void UnitBuilder::note_reencoded(std::span<const Ordinal> kept, uint64_t n_cells) {
  n_removed_now_ += n_cells;
  if (keep_map_ == KeepMap::kYes) {
    std::vector<uint32_t> next;
    for (const Ordinal ordinal : kept) next.push_back(text_of_ordinal_.at(ordinal.value));
    text_of_ordinal_ = std::move(next);
  }
  n_seen_ = kept.size();
}

double UnitBuilder::kept_share(const std::string& instruction_id) const {
  double left = 0;
  double all = 0;
  for (const record::SpanRecord& span : unit_.spans) {
    if (span.instruction_id != instruction_id || span.kept_share.empty()) continue;
    left += span.kept_share.back().value_or(0) * span.n_tokens;
    all += span.n_tokens;
  }
  return all > 0 ? left / all : 0;
}

std::optional<int> UnitBuilder::turns_since_loss() const {
  if (!first_felt_ || unit_.turns.size() < *first_felt_) return std::nullopt;
  return static_cast<int>(unit_.turns.size() - *first_felt_);
}

UnitBuilder UnitBuilder::as_of(std::string arm, uint64_t seed) const {
  UnitBuilder out = *this;
  out.unit_.arm = std::move(arm);
  out.unit_.seed = seed;
  return out;
}

record::UnitRecord UnitBuilder::finish(std::string unit_id) const {
  record::UnitRecord out = unit_;
  out.unit_id = std::move(unit_id);
  out.digest.clear();
  record::UnitRecord hashed = out;
  hashed.cache_map.reset();  // follows from the rest; only some units have one
  out.digest = sha256_hex(record::to_json(hashed)).substr(0, 32);
  return out;
}

}  // namespace ebb::experiment
