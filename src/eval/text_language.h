// Which language a text is written in, by CLD2 (compact language detector). Gives one answer for
// the whole text; does not find which parts are in which language.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "eval/text_unicode.h"

namespace ebb::eval {

// ISO 639-1 code ("en", "sw"; Chinese as "zh-cn" or "zh-tw"), "" where the text has letters but the
// language cannot be told, nothing where it has no letters outside links and addresses.
std::optional<std::string> detect_language(TextView text);

// Codes that detect_language can return and rules may ask for.
const std::vector<std::string>& known_languages();

}  // namespace ebb::eval
