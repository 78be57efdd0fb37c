#include "eval/text_unicode.h"

#include <unicode/locid.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <limits>

#include "base/error.h"

namespace ebb::eval {
namespace {

constexpr char32_t kReplacement = 0xFFFD;

UChar32 code(char32_t c) { return static_cast<UChar32>(c); }

bool has(char32_t c, UProperty property) { return u_hasBinaryProperty(code(c), property) != 0; }

}  // namespace

Text decode_utf8(std::string_view bytes) {
  EBB_CHECK(bytes.size() < static_cast<size_t>(std::numeric_limits<int32_t>::max()));
  Text text;
  text.reserve(bytes.size());
  const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
  const auto length = static_cast<int32_t>(bytes.size());
  for (int32_t i = 0; i < length;) {
    UChar32 c = 0;
    U8_NEXT(data, i, length, c);
    text.push_back(c < 0 ? kReplacement : static_cast<char32_t>(c));
  }
  return text;
}

std::string encode_utf8(TextView text) {
  std::string bytes;
  bytes.reserve(text.size());
  for (const char32_t c : text) {
    uint8_t unit[4];
    int32_t length = 0;
    U8_APPEND_UNSAFE(unit, length, code(c));
    bytes.append(reinterpret_cast<const char*>(unit), static_cast<size_t>(length));
  }
  return bytes;
}

bool is_space(char32_t c) { return (c >= 0x1C && c <= 0x1F) || u_isUWhiteSpace(code(c)) != 0; }

bool is_word(char32_t c) {
  const uint32_t mask = U_GC_L_MASK | U_GC_N_MASK;
  return c == U'_' || (U_GET_GC_MASK(code(c)) & mask) != 0;
}

bool is_letter(char32_t c) { return u_isalpha(code(c)) != 0; }
bool is_digit(char32_t c) { return u_isdigit(code(c)) != 0; }
bool is_lower(char32_t c) { return has(c, UCHAR_LOWERCASE); }
bool is_upper(char32_t c) { return has(c, UCHAR_UPPERCASE); }

bool is_emoji(char32_t c) {
  // Digits, # and * are Emoji too, (c) and (R) pictographs below U+2190: ordinary text.
  return c >= 0x2190 && (has(c, UCHAR_EMOJI_PRESENTATION) || has(c, UCHAR_EXTENDED_PICTOGRAPHIC) ||
                         has(c, UCHAR_REGIONAL_INDICATOR));
}

bool is_all_upper(TextView text) {
  const auto breaks = [](char32_t c) { return is_lower(c) || u_istitle(code(c)) != 0; };
  return std::none_of(text.begin(), text.end(), breaks) &&
         std::any_of(text.begin(), text.end(), is_upper);
}

bool is_all_lower(TextView text) {
  const auto breaks = [](char32_t c) { return is_upper(c) || u_istitle(code(c)) != 0; };
  return std::none_of(text.begin(), text.end(), breaks) &&
         std::any_of(text.begin(), text.end(), is_lower);
}

Text to_lower(TextView text) {
  // ASCII, the usual case, needs no table.
  if (std::all_of(text.begin(), text.end(), [](char32_t c) { return c < 0x80; })) {
    Text lower(text);
    for (char32_t& c : lower) {
      if (c >= U'A' && c <= U'Z') {
        c += U'a' - U'A';
      }
    }
    return lower;
  }
  icu::UnicodeString units = icu::UnicodeString::fromUTF32(
      reinterpret_cast<const UChar32*>(text.data()), static_cast<int32_t>(text.size()));
  units.toLower(icu::Locale::getRoot());
  Text lower(static_cast<size_t>(units.countChar32()), U'\0');
  UErrorCode status = U_ZERO_ERROR;
  units.toUTF32(reinterpret_cast<UChar32*>(lower.data()), static_cast<int32_t>(lower.size()),
                status);
  return lower;
}

char32_t fold_case(char32_t c) {
  constexpr char32_t kDotlessI = 0x131;
  if (c == kDotlessI) {
    return U'i';
  }
  return static_cast<char32_t>(u_foldCase(u_tolower(code(c)), U_FOLD_CASE_DEFAULT));
}

TextView strip(TextView text) {
  while (!text.empty() && is_space(text.front())) {
    text.remove_prefix(1);
  }
  while (!text.empty() && is_space(text.back())) {
    text.remove_suffix(1);
  }
  return text;
}

TextView strip(TextView text, TextView remove) {
  const size_t first = text.find_first_not_of(remove);
  if (first == TextView::npos) {
    return {};
  }
  return text.substr(first, text.find_last_not_of(remove) - first + 1);
}

bool is_blank(TextView text) { return std::all_of(text.begin(), text.end(), is_space); }

Text without(TextView text, char32_t unwanted) {
  Text rest(text);
  std::erase(rest, unwanted);
  return rest;
}

std::vector<TextView> split(TextView text, TextView separator) {
  std::vector<TextView> pieces;
  size_t start = 0;
  for (size_t at = text.find(separator); at != TextView::npos; at = text.find(separator, start)) {
    pieces.push_back(text.substr(start, at - start));
    start = at + separator.size();
  }
  pieces.push_back(text.substr(start));
  return pieces;
}

std::vector<TextView> split_words(TextView text) {
  std::vector<TextView> words;
  for (size_t i = 0; i < text.size();) {
    if (is_space(text[i])) {
      ++i;
      continue;
    }
    const size_t start = i;
    while (i < text.size() && !is_space(text[i])) {
      ++i;
    }
    words.push_back(text.substr(start, i - start));
  }
  return words;
}

}  // namespace ebb::eval
