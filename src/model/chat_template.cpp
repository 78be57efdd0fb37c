#include "model/chat_template.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/sha256.h"
#include "base/text.h"

namespace ebb::model {
namespace {

const ChatFormat& format_named(const std::string& name) {
  for (const KnownFormat& known : known_formats()) {
    if (known.format.name == name) return known.format;
  }
  const std::vector<std::string> names = ChatTemplate::names();
  throw Error::make(ErrorKind::kUsage, "--chat-template: found '{}', expected one of {}{}", name,
                    fmt::join(names, ", "), did_you_mean(name, names));
}

const KnownFormat* format_with_hash(const std::string& hash) {
  for (const KnownFormat& known : known_formats()) {
    const auto& hashes = known.template_hashes;
    if (std::find(hashes.begin(), hashes.end(), hash) != hashes.end()) return &known;
  }
  return nullptr;
}

// The turn markers of a format that this vocabulary would split into ordinary text.
std::string missing_markers(const ChatFormat& format, const Tokenizer& tokenizer) {
  std::vector<std::string> missing;
  for (const std::string& text : {format.begin, format.user.prefix, format.user.suffix,
                                  format.assistant.prefix, format.assistant.suffix}) {
    const size_t open = text.find('<');
    const size_t close = text.find('>', open == std::string::npos ? 0 : open);
    if (open == std::string::npos || close == std::string::npos) continue;
    const std::string marker = text.substr(open, close - open + 1);
    const bool is_one_token = tokenizer.encode(marker, ParseSpecial::kYes).size() == 1;
    const bool is_new = std::find(missing.begin(), missing.end(), marker) == missing.end();
    if (!is_one_token && is_new) missing.push_back(marker);
  }
  return fmt::format("{}", fmt::join(missing, " "));
}

// A format without a beginning of its own follows the vocabulary's flag.
void take_begin_from_vocabulary(ChatFormat& format, const Tokenizer& tokenizer) {
  if (format.begin.empty() && tokenizer.adds_bos() && tokenizer.bos()) {
    format.begin = tokenizer.piece(*tokenizer.bos(), RenderSpecial::kYes);
  }
}

// Length in bytes of the white-space character that `text` begins with, or 0.
size_t white_space_at(std::string_view text) {
  static constexpr std::array<std::string_view, 20> kWide = {
      "\xC2\x85",     "\xC2\xA0",     "\xE1\x9A\x80", "\xE2\x80\x80", "\xE2\x80\x81",
      "\xE2\x80\x82", "\xE2\x80\x83", "\xE2\x80\x84", "\xE2\x80\x85", "\xE2\x80\x86",
      "\xE2\x80\x87", "\xE2\x80\x88", "\xE2\x80\x89", "\xE2\x80\x8A", "\xE2\x80\xA8",
      "\xE2\x80\xA9", "\xE2\x80\xAF", "\xE2\x81\x9F", "\xE3\x80\x80", "\x1F"};
  if (text.empty()) return 0;
  const char c = text.front();
  if (c == ' ' || (c >= '\t' && c <= '\r') || (c >= '\x1C' && c <= '\x1E')) return 1;
  for (const std::string_view wide : kWide) {
    if (text.starts_with(wide)) return wide.size();
  }
  return 0;
}

}  // namespace

ChatTemplate ChatTemplate::find(const Tokenizer& tokenizer, const std::string& name) {
  ChatTemplate chosen;
  const std::string& text = tokenizer.chat_template();
  if (!text.empty()) chosen.file_template_sha256_ = sha256_hex(text);
  if (!name.empty()) {
    chosen.format_ = format_named(name);
    const std::string missing = missing_markers(chosen.format_, tokenizer);
    if (!missing.empty()) {
      chosen.notice_ = fmt::format(
          "chat template {}: this vocabulary has no token for {}; it will be spelt in ordinary "
          "tokens",
          name, missing);
    }
  } else if (text.empty()) {
    chosen.format_ = format_named("plain");
    chosen.notice_ =
        "the model file has no chat template (a base model?): turns are written as \"User:\" and "
        "\"Assistant:\" lines; choose another with --chat-template";
  } else if (const KnownFormat* known = format_with_hash(chosen.file_template_sha256_)) {
    chosen.format_ = known->format;
    chosen.notice_ = known->notice;
  } else {
    chosen.format_ = detect_format(text);
    chosen.notice_ = fmt::format(
        "the model file's chat template (sha256 {}) is not one that ebb knows: turns follow "
        "libllama's "
        "pattern list, which drops details such as a default system text; choose another with "
        "--chat-template",
        chosen.file_template_sha256_.substr(0, 12));
  }
  take_begin_from_vocabulary(chosen.format_, tokenizer);
  return chosen;
}

std::vector<std::string> ChatTemplate::names() {
  std::vector<std::string> names;
  for (const KnownFormat& known : known_formats()) names.push_back(known.format.name);
  return names;
}

std::string ChatTemplate::format_sha256() const {
  const ChatFormat& f = format_;
  Sha256 hash;
  for (const std::string& text :
       {f.name, f.begin, f.system.prefix, f.system.suffix, f.user.prefix, f.user.suffix,
        f.assistant.prefix, f.assistant.suffix, f.default_system}) {
    hash.update(fmt::format("{}:{}", text.size(), text));
  }
  hash.update(fmt::format("{},{},{},{}", static_cast<int>(f.system_place),
                          static_cast<int>(f.system_when_absent), static_cast<int>(f.trim_turns),
                          static_cast<int>(f.trim_system)));
  return hash.hex();
}

std::string_view trimmed_left(std::string_view text) {
  while (const size_t n = white_space_at(text)) text.remove_prefix(n);
  return text;
}

std::string_view trimmed_right(std::string_view text) {
  while (!text.empty()) {
    // The last character begins at the last byte that is not a continuation byte.
    size_t begin = text.size() - 1;
    while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xC0U) == 0x80U) --begin;
    if (white_space_at(text.substr(begin)) != text.size() - begin) break;
    text.remove_suffix(text.size() - begin);
  }
  return text;
}

std::string_view trimmed(std::string_view text) { return trimmed_right(trimmed_left(text)); }

}  // namespace ebb::model
