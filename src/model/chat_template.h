// The turn format of a chat model as data: prefix and suffix per role, default system text,
// trimming. A file's own Jinja template is recognised by its SHA-256; no Jinja runs here. Tools,
// images and thinking blocks of the templates are deliberately left out: our conversations have
// none.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/tokenizer.h"

namespace ebb::model {

struct RoleFormat {
  std::string prefix;
  std::string suffix;
};

// Where the system text goes.
enum class SystemPlace {
  kOwnTurn,     // prefix, text and suffix stand before the first user turn
  kInsideUser,  // they take the place of the first user turn's prefix (Gemma, Llama 2)
};
enum class SystemDefault {
  kNone,    // no system text given: nothing is written
  kInsert,  // default_system is written
};
enum class Trim { kNo, kYes };

struct ChatFormat {
  std::string name;
  std::string begin;  // before everything else, such as "<bos>"
  RoleFormat system, user, assistant;
  SystemPlace system_place = SystemPlace::kOwnTurn;
  SystemDefault system_when_absent = SystemDefault::kNone;
  std::string default_system;
  Trim trim_turns = Trim::kNo;  // outer white space of user and assistant texts
  Trim trim_system = Trim::kNo;
};

// A format that ships with ebb, and the templates (SHA-256 of their text) that mean it.
struct KnownFormat {
  ChatFormat format;
  std::vector<std::string> template_hashes;
  std::string notice;  // what a user should know when this format was recognised, or ""
};
const std::vector<KnownFormat>& known_formats();

class ChatTemplate {
 public:
  // `name`: one of names(), or "" for the file's own. Without a name: the hash of the file's
  // template, else libllama's detection (with a notice), else `plain` where the file has no
  // template (with a notice).  Throws: kUsage for an unknown name, or a template that nothing here
  // understands.
  static ChatTemplate find(const Tokenizer& tokenizer, const std::string& name = "");
  // The names that find() takes.
  static std::vector<std::string> names();

  const ChatFormat& format() const& { return format_; }
  ChatFormat format() && { return std::move(format_); }
  // Something the user should be told once, or "".
  const std::string& notice() const { return notice_; }
  // SHA-256 of the file's own template text, or "" where it has none.
  const std::string& file_template_sha256() const { return file_template_sha256_; }
  // SHA-256 over every field of the format that is in use, for records.
  std::string format_sha256() const;

 private:
  ChatFormat format_;
  std::string notice_;
  std::string file_template_sha256_;
};

// Derives a format from what libllama renders for `template_text`, and proves it on a conversation
// of five messages.  Throws: kUsage where libllama does not know the template or no prefixes
// express it.
ChatFormat detect_format(const std::string& template_text);

// White space as Python's str.strip() and Jinja's trim see it, Unicode included.
std::string_view trimmed_left(std::string_view text);
std::string_view trimmed_right(std::string_view text);
std::string_view trimmed(std::string_view text);

}  // namespace ebb::model
