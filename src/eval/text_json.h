// Is a text one JSON value? Takes what Python's json module takes, which is a little more than the
// standard: NaN, Infinity and -Infinity, numbers of any size, lone surrogate escapes. Builds
// nothing.
#pragma once

#include "eval/text_unicode.h"

namespace ebb::eval {

bool is_json(TextView text);

// The same for a reply, which may put a Markdown fence (```json ... ```) around the value.
bool is_fenced_json(TextView reply);

}  // namespace ebb::eval
