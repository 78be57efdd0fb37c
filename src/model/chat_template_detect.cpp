// An unknown template: libllama recognises some by pattern. Its rendering of marked texts gives the
// prefixes and suffixes; a longer conversation then proves them.
#include "base/error.h"
#include "model/chat_template.h"
#include "model/chat_template_turns.h"

namespace ebb::model {
namespace {

constexpr std::string_view kUser = "eBbUsErOnE";
constexpr std::string_view kReply = "eBbRePlYoNe";
constexpr std::string_view kSecond = "eBbUsErTwO";
constexpr std::string_view kSystem = "eBbSyStEm";

[[noreturn]] void fail(const std::string& why) {
  throw Error::make(ErrorKind::kUsage,
                    "chat template of the model file: {}; choose one with --chat-template ({})",
                    why, fmt::join(ChatTemplate::names(), ", "));
}

std::string render(const std::string& text, const std::vector<RoleText>& messages,
                   GenerationPrompt prompt) {
  std::optional<std::string> out = render_by_libllama(text, messages, prompt);
  if (!out) fail("found a template that neither ebb nor libllama knows");
  return std::move(*out);
}

// Splits at the markers, which must appear once each and in this order.
std::vector<std::string> split_at(const std::string& text,
                                  const std::vector<std::string_view>& marks) {
  std::vector<std::string> parts;
  size_t from = 0;
  for (const std::string_view mark : marks) {
    const size_t at = text.find(mark, from);
    if (at == std::string::npos) fail("found a template that drops or reorders messages");
    parts.push_back(text.substr(from, at - from));
    from = at + mark.size();
  }
  parts.push_back(text.substr(from));
  return parts;
}

std::string without_prefix(const std::string& text, const std::string& prefix) {
  if (!text.starts_with(prefix)) fail("found turns that no fixed prefix and suffix express");
  return text.substr(prefix.size());
}

std::string without_suffix(const std::string& text, const std::string& suffix) {
  if (!text.ends_with(suffix)) fail("found turns that no fixed prefix and suffix express");
  return text.substr(0, text.size() - suffix.size());
}

Trim trims(const std::string& text, const std::string& role) {
  const std::string padded = fmt::format(" {} ", kUser);
  std::vector<RoleText> messages = {{role, padded}};
  if (role == "system") messages.emplace_back("user", kSecond);
  const bool is_kept =
      render(text, messages, GenerationPrompt::kNo).find(padded) != std::string::npos;
  return is_kept ? Trim::kNo : Trim::kYes;
}

void derive_system(const std::string& text, ChatFormat& format) {
  const auto parts =
      split_at(render(text, {{"system", std::string(kSystem)}, {"user", std::string(kUser)}},
                      GenerationPrompt::kNo),
               {kSystem, kUser});
  format.system.prefix = parts[0];
  if (parts[1].ends_with(format.user.prefix)) {
    format.system.suffix = without_suffix(parts[1], format.user.prefix);
  } else {
    format.system_place = SystemPlace::kInsideUser;
    format.system.suffix = parts[1];
  }
}

void prove(const std::string& text, const ChatFormat& format) {
  const std::vector<RoleText> messages = {{"system", "Be brief."}, {"user", "One?"},
                                          {"assistant", "Yes."},   {"user", "Two?"},
                                          {"assistant", "No."},    {"user", "Three?"}};
  std::string ours;
  TurnInput first{{{"One?", Role::kQuery, ""}}, {{"Be brief.", Role::kSystem, ""}}};
  ours += text_of(render_user_turn(format, TurnPlace::kFirst, first));
  ours += text_of(render_reply(format, "Yes."));
  ours += text_of(render_user_turn(format, TurnPlace::kLater, {{{"Two?", Role::kQuery, ""}}, {}}));
  ours += text_of(render_reply(format, "No."));
  ours +=
      text_of(render_user_turn(format, TurnPlace::kLater, {{{"Three?", Role::kQuery, ""}}, {}}));
  if (ours != render(text, messages, GenerationPrompt::kYes)) {
    fail("found turns that no fixed prefix and suffix express");
  }
}

}  // namespace

ChatFormat detect_format(const std::string& template_text) {
  ChatFormat format;
  format.name = "libllama";
  const auto open = split_at(
      render(template_text, {{"user", std::string(kUser)}}, GenerationPrompt::kYes), {kUser});
  const auto talk = split_at(render(template_text,
                                    {{"user", std::string(kUser)},
                                     {"assistant", std::string(kReply)},
                                     {"user", std::string(kSecond)}},
                                    GenerationPrompt::kNo),
                             {kUser, kReply, kSecond});
  format.user = {open[0], talk[3]};
  format.assistant.prefix = without_prefix(talk[1], format.user.suffix);
  format.assistant.suffix = without_suffix(talk[2], format.user.prefix);
  if (open[1] != format.user.suffix + format.assistant.prefix) {
    fail("found a generation prompt that differs from the assistant's prefix");
  }
  derive_system(template_text, format);
  format.trim_turns = trims(template_text, "user");
  format.trim_system = trims(template_text, "system");
  prove(template_text, format);
  return format;
}

}  // namespace ebb::model
