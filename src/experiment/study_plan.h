// What a study will compute, found without computing it; and how long that takes here, from a short
// measured probe.
#pragma once

#include <vector>

#include "engine/memory_plan.h"
#include "experiment/family.h"

namespace ebb::experiment {

// Upper bounds: every reply of the model is counted at its full length.
struct StudyPlan {
  size_t n_families = 0, n_units = 0;
  int64_t n_prompt_tokens = 0;  // computed in pieces: prompts, recorded and forced replies, probes
  int64_t n_reply_tokens = 0;   // computed one by one
  // Of these, taken over from another arm's sequence instead.
  int64_t n_shared_prompt = 0, n_shared_reply = 0;
  int64_t n_tokens_longest = 0;              // of a conversation
  int64_t n_tokens_mean = 0;                 // the same, mean over conversations and arms
  uint64_t n_bytes_family = 0;               // cells and kept logits of the largest family
  uint64_t n_bytes_logits = 0;               // of that, what is kept of the baselines' replies
  std::vector<engine::SequenceNeed> family;  // its sequences, as if nothing were evicted or shared

  int64_t n_tokens() const { return n_prompt_tokens + n_reply_tokens; }
  int64_t n_shared_tokens() const { return n_shared_prompt + n_shared_reply; }
};

// Throws: kUsage for a conversation that is longer than the model was trained for.
StudyPlan plan_study(const StudyContext& context, const std::vector<Conversation>& conversations);

// Rates of this machine, now.
struct SpeedProbe {
  double prompt_tokens_per_s = 0;
  double reply_tokens_per_s = 0;  // of all sequences together
  int n_sequences = 0;            // that replied at once
};
// Computes a made-up prompt of as many tokens as half a conversation of the plan has, 256 at most,
// and four reply tokens of n_sequences forks of it.
SpeedProbe probe_speed(engine::Engine& engine, const StudyPlan& plan, int n_sequences);

double seconds_of(const StudyPlan& plan, const SpeedProbe& speed);

}  // namespace ebb::experiment
