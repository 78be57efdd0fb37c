#include "eval/text_language.h"

#include <cld2/public/compact_lang_det.h>
#include <cld2/public/encodings.h>

#include <algorithm>
#include <array>

namespace ebb::eval {
namespace {

// Links and mail addresses say nothing about the language around them.
Text without_links(TextView text) {
  Text kept;
  for (size_t i = 0; i < text.size();) {
    if (is_space(text[i])) {
      kept += text[i++];
      continue;
    }
    size_t end = i;
    while (end < text.size() && !is_space(text[end])) {
      ++end;
    }
    const TextView word = text.substr(i, end - i);
    const bool is_link = word.find(U"://") != TextView::npos || word.starts_with(U"www.");
    const bool is_address = word.find(U'@') != TextView::npos && word.find(U'.') != TextView::npos;
    if (!is_link && !is_address) {
      kept += word;
    }
    i = end;
  }
  return kept;
}

// CLD2 knows a few languages under older or longer codes.
std::string common_code(std::string code) {
  static constexpr std::array<std::array<std::string_view, 2>, 5> kCodes = {
      {{"iw", "he"}, {"zh", "zh-cn"}, {"zh-Hant", "zh-tw"}, {"jw", "jv"}, {"nb", "no"}}};
  for (const auto& [theirs, ours] : kCodes) {
    if (code == theirs) {
      return std::string(ours);
    }
  }
  return code;
}

}  // namespace

std::optional<std::string> detect_language(TextView text) {
  const Text prose = to_lower(without_links(text));
  if (std::none_of(prose.begin(), prose.end(), is_letter)) {
    return std::nullopt;
  }
  const std::string bytes = encode_utf8(prose);
  const CLD2::CLDHints hints{nullptr, nullptr, CLD2::UNKNOWN_ENCODING, CLD2::UNKNOWN_LANGUAGE};
  CLD2::Language best[3];
  int percent[3];
  double score[3];
  int n_text_bytes = 0;
  int n_valid_bytes = 0;
  bool is_reliable = false;
  const CLD2::Language language = CLD2::ExtDetectLanguageSummaryCheckUTF8(
      bytes.data(), static_cast<int>(bytes.size()), /*is_plain_text=*/true, &hints,
      CLD2::kCLDFlagBestEffort, best, percent, score, nullptr, &n_text_bytes, &is_reliable,
      &n_valid_bytes);
  if (language == CLD2::UNKNOWN_LANGUAGE) {
    return "";
  }
  return common_code(CLD2::LanguageCode(language));
}

const std::vector<std::string>& known_languages() {
  static const std::vector<std::string> kKnown = {
      "af", "ar", "be", "bg", "bn", "ca", "cs", "cy", "da", "de",    "el",   "en", "es",
      "et", "fa", "fi", "fr", "ga", "gl", "gu", "he", "hi", "hr",    "hu",   "hy", "id",
      "is", "it", "ja", "ka", "kn", "ko", "lt", "lv", "mk", "ml",    "mr",   "ms", "ne",
      "nl", "no", "pa", "pl", "pt", "ro", "ru", "sk", "sl", "so",    "sq",   "sr", "sv",
      "sw", "ta", "te", "th", "tl", "tr", "uk", "ur", "vi", "zh-cn", "zh-tw"};
  return kKnown;
}

}  // namespace ebb::eval
