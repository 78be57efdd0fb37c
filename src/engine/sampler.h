// Picks the next token from logits. Random draws are keyed by (seed, conversation, turn, token), so
// they do not depend on the arm, the batch or the thread.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/rng.h"

namespace ebb::engine {

struct Sampling {
  float temperature = 0.0F;  // 0 = greedy
  float top_p = 1.0F;  // in (0, 1]; the smallest set of likeliest tokens that reaches this mass
  uint64_t seed = 0;
};

class Sampler {
 public:
  // Throws: kUsage for a temperature below 0 or a top_p outside (0, 1].
  Sampler(const Sampling& sampling, std::string_view conversation_id);

  // Of equal logits the lowest id wins. Tokens less likely than exp(-40) of the best are never
  // drawn.  Throws: kBackend when a logit is not finite.
  int32_t pick(std::span<const float> logits, int turn, int token) const;

 private:
  Sampling sampling_;
  KeyedRandom random_;
};

// log softmax(logits)[id], summed in double; a NaN among the logits gives a NaN.
double log_probability(std::span<const float> logits, int32_t id);

}  // namespace ebb::engine
