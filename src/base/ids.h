// Distinct integer types for things that must not be mixed: ordinals, rope positions, spans.
#pragma once

#include <compare>
#include <cstdint>

namespace ebb {

// Birth order of a token in its sequence, from 0, never reused. Sorting, causal masks, windows,
// spans, records and random draws use only this.
struct Ordinal {
  uint32_t value = 0;
  constexpr auto operator<=>(const Ordinal&) const = default;
};

// The position a key or query is rotated by. Only the position mode decides it.
struct RopePos {
  int32_t value = 0;
  constexpr auto operator<=>(const RopePos&) const = default;
};

// Which rope_pos a kept key and a new token get after an eviction; docs/methods.md explains them.
enum class PositionMode : uint8_t { kOriginal, kCompact, kColliding };

// The role of a run of tokens.
enum class Role : uint8_t { kTemplate, kSystem, kInstruction, kContent, kQuery, kReply };

// Which span of its sequence a token belongs to (an index into the sequence's span list).
struct SpanId {
  uint16_t value = 0;
  constexpr auto operator<=>(const SpanId&) const = default;
};

}  // namespace ebb
