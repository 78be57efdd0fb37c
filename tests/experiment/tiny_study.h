// A study with an arm of every kind, and two conversations, small enough for tiny models.
#pragma once

#include <string>

namespace ebb::experiment {

inline constexpr const char* kStudy = R"(
name = "tiny"
max_new = 6
seeds = 2
history = "@history@"
[[arms]]
name = "baseline"
kind = "baseline"
[[arms]]
name = "streaming"
treatment = "streaming"
keep_initial = 4
keep_recent = 12
[[arms]]
name = "idle"
treatment = "streaming"
keep_initial = 4000
keep_recent = 4000
[[arms]]
name = "random"
treatment = "random"
granularity = "layer"
share = "0.5"
[[arms]]
name = "snapkv"
treatment = "snapkv"
share = "0.5"
[[arms]]
name = "capped"
treatment = "h2o"
trigger = "turn_end,cap"
budget = 24
[[arms]]
name = "by_bytes"
treatment = "random"
granularity = "token"
match_bytes = "lag"
[[arms]]
name = "lag"
treatment = "lagkv_recursive"
n_sink = 2
lag = 6
keep_ratio = 0.5
[[arms]]
name = "compact"
treatment = "keydiff"
budget = 20
positions = "compact"
[[arms]]
name = "no_instruction"
kind = "no_instruction"
[[arms]]
name = "reminder"
kind = "reminder"
[[arms]]
name = "text_removal"
kind = "text_removal"
repeats = "streaming"
)";

inline constexpr const char* kConversations = R"([
 {"id": "one", "turns": [
   {"turn_id": 1, "role": "user", "instruction": {"id": "i1", "text": "Answer in lower case.",
    "overridden_by": "i2"}, "content": "The garden is wet today."},
   {"turn_id": 2, "role": "assistant", "content": "It has rained since the morning."},
   {"turn_id": 3, "role": "user", "instruction": {"id": "i2", "text": "Shout.", "active_from": 3},
    "content": "And now?"},
   {"turn_id": 4, "role": "user", "query": "What about the snails?", "expects": "second"}]},
 {"id": "two", "turns": [
   {"turn_id": 1, "role": "user", "instruction": "Say so at the end.", "content": "I cook soup."},
   {"turn_id": 2, "role": "assistant", "content": "Which one?"},
   {"turn_id": 3, "role": "user", "query": "Onion soup. How?"}]}])";

inline std::string study_text(const std::string& history) {
  std::string text = kStudy;
  const std::string mark = "@history@";
  return text.replace(text.find(mark), mark.size(), history);
}

}  // namespace ebb::experiment
