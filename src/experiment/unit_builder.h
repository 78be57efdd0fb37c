// Follows one session and writes down what a unit's record keeps: cells and replies of every turn,
// what is left of every span, and, where asked for, which layers and heads hold each token.
#pragma once

#include <string>
#include <vector>

#include "engine/session.h"
#include "record/study_records.h"

namespace ebb::experiment {

enum class KeepMap { kNo, kYes };

// What was kept of the text is found again through note_reencoded. A small value: a fork of a
// session takes a copy of its builder.
class UnitBuilder {
 public:
  UnitBuilder() : UnitBuilder("", "", 0, KeepMap::kNo) {}
  UnitBuilder(std::string arm, std::string conversation, uint64_t seed, KeepMap keep_map)
      : keep_map_(keep_map) {
    unit_.arm = std::move(arm);
    unit_.conversation = std::move(conversation);
    unit_.seed = seed;
  }

  // Takes note of the turn's tokens. First of the two; between them an arm may re-encode its text.
  void note_tokens(const engine::Session& session, const model::Tokenizer& tokenizer);
  // Takes note of what is left.  turn_ids: of the conversation's exchanges.
  void note_turn(const engine::Session& session, const model::Tokenizer& tokenizer,
                 const std::vector<int>& turn_ids, bool is_recorded);
  // The session computed the kept tokens anew, which took n_cells away (before note_turn).
  void note_reencoded(std::span<const Ordinal> kept, uint64_t n_cells);

  // Share of an instruction's cells left, over all layers and heads; of everything that carries it.
  double kept_share(const std::string& instruction_id) const;
  // Turns since the first event that removed a cell; nothing before.
  std::optional<int> turns_since_loss() const;

  // The same notes under another arm's name: for arms that were one session so far.
  UnitBuilder as_of(std::string arm, uint64_t seed) const;

  record::UnitRecord& unit() { return unit_; }
  // The record with its digest.  unit_id: see unit_id.h
  record::UnitRecord finish(std::string unit_id) const;

 private:
  void note_spans(const engine::Session& session, const std::vector<int>& turn_ids);
  void note_map(const engine::Session& session);

  KeepMap keep_map_;
  record::UnitRecord unit_;
  std::vector<int> n_tokens_;              // [n_spans] seen so far
  std::vector<uint32_t> text_of_ordinal_;  // ordinal of the session -> place in the map's tokens
  size_t n_seen_ = 0;                      // tokens of the session that were noted
  uint64_t n_removed_now_ = 0;             // as text, in this turn
  uint64_t n_left_window_ = 0;             // until the turn before
  std::optional<int> turn_of_first_loss_;
};

}  // namespace ebb::experiment
