// Every eviction event as one line of JSON: what was there, what stays, by layer, head and span.
#pragma once

#include <string>
#include <string_view>

#include "engine/session.h"

namespace ebb::experiment {

// One line an event of the session, each ending in a newline.
// {"arm", "conversation", "turn", "event", "n_logical", "cells_before", "cells_after",
// "gone_by_treatment",
//  "gone_by_window" (of sliding layers, since the event before),
//  "spans": [{"span", "role", "turn", "instruction", "before", "after"}],
//  "layers": [{"layer", "before": [min, max], "after": [min, max]}], "kept": [layer][kv_head]:
//  "0-49,120-169", "notices"}
std::string eviction_lines(const engine::Session& session, std::string_view arm);

}  // namespace ebb::experiment
