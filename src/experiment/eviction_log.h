// Every eviction event as one line of JSON: what was there, what stays, by layer, head and span.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/session.h"

namespace ebb::experiment {

// The kept ordinals themselves, or only their SHA-256: they are most of a line.
enum class KeptForm { kRanges, kHash };

struct EventLabels {
  std::string arm;
  std::string unit_id = {};  // "" = not part of a study: the line has no "unit"
  KeptForm kept = KeptForm::kRanges;
};

// One line an event of the session, without newlines.
// {"unit", "arm", "conversation", "turn", "event", "n_logical", "cells_before", "cells_after",
// "gone_by_treatment",
//  "gone_by_window" (of sliding layers, since the event before),
//  "spans": [{"span", "role", "turn", "instruction", "before", "after"}],
//  "layers": [{"layer", "before": [min, max], "after": [min, max]}], "kept": [layer][kv_head]:
//  "0-49,120-169" (or "kept_sha256" of that), "notices"}
std::vector<std::string> eviction_lines(const engine::Session& session, const EventLabels& labels);

}  // namespace ebb::experiment
