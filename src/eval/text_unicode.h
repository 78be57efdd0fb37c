// Unicode text as the rules see it: code points, with the character classes and case rules of
// Python's str, because the reference verdicts were defined with them. Does no normalisation.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ebb::eval {

using Text = std::u32string;
using TextView = std::u32string_view;

// Malformed bytes become U+FFFD, one each, so that any reply can be judged.
Text decode_utf8(std::string_view bytes);
std::string encode_utf8(TextView text);

bool is_space(char32_t c);  // str.isspace
bool is_word(char32_t c);   // \w: str.isalnum or '_'
bool is_letter(char32_t c);
bool is_digit(char32_t c);  // \d: decimal digits of any script
bool is_lower(char32_t c);
bool is_upper(char32_t c);
bool is_emoji(char32_t c);  // drawn as a picture by default, or a pictograph

// str.isupper and str.islower: at least one cased character and none of the other case.
bool is_all_upper(TextView text);
bool is_all_lower(TextView text);

// str.lower: full mapping, with the final sigma.
Text to_lower(TextView text);

// The form in which two characters are compared when case does not matter. One to one.
char32_t fold_case(char32_t c);

TextView strip(TextView text);                   // white space at both ends
TextView strip(TextView text, TextView remove);  // any of `remove` at both ends
bool is_blank(TextView text);                    // empty or white space only
Text without(TextView text, char32_t unwanted);

// Every piece between separators, also empty ones: n separators give n + 1 pieces.
std::vector<TextView> split(TextView text, TextView separator);

// Runs of characters that are not white space.
std::vector<TextView> split_words(TextView text);

}  // namespace ebb::eval
