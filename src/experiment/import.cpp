#include "experiment/import.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <set>

#include "base/error.h"
#include "base/sha256.h"
#include "base/text.h"
#include "experiment/import_multi_if.h"
#include "experiment/import_rules.h"
#include "experiment/json_item.h"

namespace ebb::experiment {
namespace {

using nlohmann::json;

const std::vector<std::string> kFormatNames = {"plan", "ifeval", "mt-bench", "multichallenge",
                                               "multi-if"};

std::string_view first_line(std::string_view text) {
  const size_t from = text.find_first_not_of(" \t\r\n");
  if (from == std::string_view::npos) return "";
  return text.substr(from, text.find('\n', from) - from);
}

Speaker speaker_of(const Item& message) {
  const std::string role = text_of(message, "role");
  if (role == "system") return Speaker::kSystem;
  if (role == "user") return Speaker::kUser;
  if (role == "assistant") return Speaker::kAssistant;
  message.fail("role", "found '" + role + "', expected user, assistant or system");
}

// Messages {role, content} as turns; the last one must be the user's and becomes the query.
std::vector<ConversationTurn> turns_of(const Item& row, const std::string& field) {
  std::vector<ConversationTurn> out;
  const json& messages = list_of(row, field, "messages");
  for (const json& value : messages) {
    if (!value.is_object()) row.fail(field, "found " + shown(value) + ", expected objects");
    const Item message{value, row.place, "", row.who + fmt::format(", message {}", out.size() + 1)};
    ConversationTurn turn;
    turn.turn_id = static_cast<int>(out.size()) + 1;
    turn.line = row.place.line("");
    turn.speaker = speaker_of(message);
    const bool is_first = out.empty();
    const bool is_after_user = !is_first && out.back().speaker == Speaker::kUser;
    const bool is_misplaced = (turn.speaker == Speaker::kSystem && !is_first) ||
                              (turn.speaker == Speaker::kAssistant && !is_after_user);
    if (is_misplaced) {
      message.fail("role", "found it here, expected system first and replies after user messages");
    }
    turn.content = required_text(message, "content");
    out.push_back(std::move(turn));
  }
  if (out.back().speaker != Speaker::kUser) {
    row.fail(field, "found a last message that is not the user's, expected the user's");
  }
  out.back().query = std::exchange(out.back().content, "");
  return out;
}

Conversation ifeval_row(const Item& row, RuleImport& import) {
  Conversation out;
  out.id = name_of(row, "key");
  const json* ids = find(row, "instruction_id_list");
  const json* parameters = find(row, "kwargs");
  if (ids == nullptr || parameters == nullptr) {
    row.fail(ids == nullptr ? "instruction_id_list" : "kwargs", "found nothing, expected a list");
  }
  Instruction instruction;
  instruction.rules = import.rules(row, "instruction_id_list", *ids, *parameters);
  if (find(row, "messages") != nullptr) {
    out.turns = turns_of(row, "messages");
  } else {
    ConversationTurn turn;
    turn.turn_id = 1;
    turn.line = row.place.line("");
    turn.query = required_text(row, "prompt");
    out.turns.push_back(std::move(turn));
  }
  // The wishes stand in the system text where there is one; otherwise request and wishes are one
  // text, and all of it is the instruction.
  const bool has_system = out.turns.front().speaker == Speaker::kSystem;
  ConversationTurn& turn = has_system ? out.turns.front() : out.turns.back();
  instruction.text = std::exchange(has_system ? turn.content : turn.query, "");
  instruction.id = fmt::format("i{}", turn.turn_id);
  turn.instruction = std::move(instruction);
  return out;
}

Conversation mt_bench_row(const Item& row, RuleImport&) {
  Conversation out;
  out.id = name_of(row, "question_id");
  out.domain = text_of(row, "category");
  for (const json& value : list_of(row, "turns", "texts")) {
    if (!value.is_string() || value.get<std::string>().empty()) {
      row.fail("turns", "found " + shown(value) + ", expected text");
    }
    ConversationTurn turn;
    turn.turn_id = static_cast<int>(out.turns.size()) + 1;
    turn.line = row.place.line("");
    turn.query = value.get<std::string>();
    out.turns.push_back(std::move(turn));
  }
  return out;
}

Conversation multichallenge_row(const Item& row, RuleImport&) {
  Conversation out;
  out.id = name_of(row, "QUESTION_ID");
  out.conflict_type = text_of(row, "AXIS");
  out.turns = turns_of(row, "CONVERSATION");
  out.turns.back().expected_behavior =
      fmt::format("{} Expected answer: {}", required_text(row, "TARGET_QUESTION"),
                  required_text(row, "PASS_CRITERIA"));
  return out;
}

using RowReader = std::function<Conversation(const Item&, RuleImport&)>;

std::vector<Conversation> read_lines(std::string_view text, const std::string& where,
                                     const RowReader& read, RuleImport& import) {
  std::vector<Conversation> out;
  int number = 0;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const json value = parse_json(line, where, number);
    const Place place(where, number);
    if (!value.is_object()) place.fail("", "", "found " + shown(value) + ", expected an object");
    const Item row{value, place, "", fmt::format("row {}", out.size() + 1)};
    out.push_back(read(row, import));
    out.back().line = number;
  }
  return out;
}

// What every importer has to make sure of.
void check_set(const ConversationSet& set, const std::string& where) {
  if (set.conversations.empty()) {
    throw Error::make(ErrorKind::kBadData, "{}: found no rows, expected at least one", where);
  }
  std::set<std::string> ids;
  for (const Conversation& conversation : set.conversations) {
    const std::string& id = conversation.id;
    if (id.empty() || !ids.insert(id).second) {
      throw Error::make(ErrorKind::kBadData, "{}:{}: found {}, expected different names of rows",
                        where, conversation.line,
                        id.empty() ? "a row without a name" : fmt::format("'{}' again", id));
    }
  }
}

}  // namespace

ConversationFormat detect_format(std::string_view text, const std::string& where) {
  const std::string_view line = first_line(text);
  if (line.starts_with("[")) return ConversationFormat::kPlan;
  if (!line.starts_with("{")) {
    if (line.find("turn_1_prompt") != std::string_view::npos) return ConversationFormat::kMultiIf;
    throw Error::make(ErrorKind::kBadData,
                      "{}: found text that is none of the known formats, expected {}", where,
                      fmt::join(kFormatNames, ", "));
  }
  // A text of many lines is no JSON in its first one, and then it is the plan's.
  const json row = nesting_depth(line) > 32 ? json() : json::parse(line, nullptr, false);
  if (!row.is_object()) return ConversationFormat::kPlan;
  if (row.contains("instruction_id_list")) return ConversationFormat::kIfEval;
  if (row.contains("CONVERSATION")) return ConversationFormat::kMultiChallenge;
  if (row.contains("question_id") && row.contains("turns")) return ConversationFormat::kMtBench;
  return ConversationFormat::kPlan;
}

ConversationSet import_conversations(std::string_view text, ConversationFormat format,
                                     const std::string& where) {
  if (format == ConversationFormat::kPlan) return parse_conversations(text, where);
  ConversationSet set;
  set.name = std::filesystem::path(where).filename().string();
  set.sha256 = sha256_hex(text);
  RuleImport import;
  if (format == ConversationFormat::kMultiIf) {
    set.conversations = read_multi_if(text, where, import);
  } else {
    const RowReader reader = format == ConversationFormat::kIfEval ? RowReader(ifeval_row)
                             : format == ConversationFormat::kMtBench
                                 ? RowReader(mt_bench_row)
                                 : RowReader(multichallenge_row);
    set.conversations = read_lines(text, where, reader, import);
  }
  set.notices = import.notices();
  check_set(set, where);
  return set;
}

std::string_view format_name(ConversationFormat format) {
  return kFormatNames[static_cast<size_t>(format)];
}

ConversationFormat parse_format(std::string_view name) {
  const auto found = std::find(kFormatNames.begin(), kFormatNames.end(), name);
  if (found == kFormatNames.end()) {
    throw Error::make(ErrorKind::kUsage, "format: found '{}', expected one of {}{}", name,
                      fmt::join(kFormatNames, ", "), did_you_mean(name, kFormatNames));
  }
  return static_cast<ConversationFormat>(found - kFormatNames.begin());
}

}  // namespace ebb::experiment
