#include "experiment/conversation.h"

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>

#include "base/error.h"
#include "base/sha256.h"
#include "base/text.h"
#include "experiment/import.h"
#include "experiment/json_item.h"

namespace ebb::experiment {
namespace {

using nlohmann::json;

constexpr size_t kMaxFileBytes = size_t{256} << 20;

std::optional<Instruction> instruction_of(const Item& turn, int turn_id) {
  const json* value = find(turn, "instruction");
  if (value == nullptr) return std::nullopt;
  Instruction out;
  if (value->is_string()) {
    out.text = value->get<std::string>();
  } else if (value->is_object()) {
    const Item item{*value, turn.place, turn.pointer + "/instruction", turn.who + ", instruction"};
    check_spelling(item, {"id", "text", "rules", "active_from", "active_until", "overridden_by"});
    out.id = text_of(item, "id");
    out.text = text_of(item, "text");
    out.rules = rules_of(item);
    out.active_from = integer_of(item, "active_from");
    out.active_until = integer_of(item, "active_until");
    out.overridden_by = text_of(item, "overridden_by");
    if (out.text.empty()) item.fail("text", "found nothing, expected the instruction's text");
  } else {
    turn.fail("instruction", "found " + shown(*value) + ", expected text or an object");
  }
  if (out.text.empty()) return std::nullopt;
  if (out.id.empty()) out.id = fmt::format("i{}", turn_id);
  return out;
}

Speaker speaker_of(const Item& turn) {
  static const std::vector<std::string> kRoles = {"user", "assistant", "system"};
  const std::string role = text_of(turn, "role");
  if (role == "user") return Speaker::kUser;
  if (role == "assistant") return Speaker::kAssistant;
  if (role == "system") return Speaker::kSystem;
  const std::string found = role.empty() ? "nothing" : "'" + role + "'";
  turn.fail("role", fmt::format("found {}, expected user, assistant or system{}", found,
                                did_you_mean(role, kRoles)));
}

std::string expects_of(const Item& turn) {
  static const std::vector<std::string> kAnswers = {"first", "second", "both", "neither"};
  const std::string expects = text_of(turn, "expects");
  const bool is_known = std::find(kAnswers.begin(), kAnswers.end(), expects) != kAnswers.end();
  if (!expects.empty() && !is_known) {
    turn.fail("expects", fmt::format("found '{}', expected {}{}", expects,
                                     fmt::join(kAnswers, ", "), did_you_mean(expects, kAnswers)));
  }
  return expects;
}

ConversationTurn parse_turn(const Item& turn, size_t number) {
  check_spelling(
      turn, {"turn_id", "role", "instruction", "content", "query", "expected_behavior", "expects"});
  ConversationTurn out;
  out.line = turn.place.line(turn.pointer);
  out.turn_id = integer_of(turn, "turn_id").value_or(static_cast<int>(number));
  out.speaker = speaker_of(turn);
  out.instruction = instruction_of(turn, out.turn_id);
  out.content = text_of(turn, "content");
  out.query = text_of(turn, "query");
  out.expected_behavior = text_of(turn, "expected_behavior");
  out.expects = expects_of(turn);
  const bool is_user = out.speaker == Speaker::kUser;
  if (is_user && !out.instruction && out.content.empty() && out.query.empty()) {
    turn.fail("content", "found nothing, expected at least one of instruction, content, query");
  }
  const bool may_instruct = out.speaker != Speaker::kAssistant;
  if (!is_user && out.content.empty() && !(may_instruct && out.instruction)) {
    turn.fail("content", "found nothing, expected the text of this turn");
  }
  if (!may_instruct && out.instruction) {
    turn.fail("instruction", "found it in an assistant's turn, expected content only");
  }
  if (!is_user && !out.query.empty()) {
    turn.fail("query", "found it in a turn that is not the user's, expected no query");
  }
  return out;
}

// The order of turns: system first, replies after user turns, ids rising.
void check_order(const Item& conversation, const std::vector<ConversationTurn>& turns) {
  for (size_t i = 0; i < turns.size(); ++i) {
    const std::string pointer = fmt::format("{}/turns/{}", conversation.pointer, i);
    const auto fail = [&](const std::string& field, const std::string& what) {
      conversation.place.fail(conversation.who, pointer + "/" + field,
                              fmt::format("turn {}, field '{}': {}", i + 1, field, what));
    };
    const Speaker speaker = turns[i].speaker;
    if (speaker == Speaker::kSystem && i > 0) {
      fail("role", "found system, expected it only as the first turn");
    }
    if (speaker == Speaker::kAssistant && (i == 0 || turns[i - 1].speaker != Speaker::kUser)) {
      fail("role", "found assistant, expected a reply only after a user's turn");
    }
    if (i > 0 && turns[i].turn_id <= turns[i - 1].turn_id) {
      fail("turn_id", fmt::format("found {} after {}, expected rising numbers", turns[i].turn_id,
                                  turns[i - 1].turn_id));
    }
  }
  const bool has_user = std::any_of(turns.begin(), turns.end(), [](const ConversationTurn& turn) {
    return turn.speaker == Speaker::kUser;
  });
  if (!has_user) conversation.fail("turns", "found no user turn, expected at least one");
}

void check_instruction_ids(const Item& conversation, const std::vector<ConversationTurn>& turns) {
  std::vector<std::string> ids;
  for (const ConversationTurn& turn : turns) {
    if (!turn.instruction) continue;
    if (std::find(ids.begin(), ids.end(), turn.instruction->id) != ids.end()) {
      conversation.fail("turns", fmt::format("found the instruction id '{}' twice, expected "
                                             "different ones",
                                             turn.instruction->id));
    }
    ids.push_back(turn.instruction->id);
  }
  for (const ConversationTurn& turn : turns) {
    if (!turn.instruction || turn.instruction->overridden_by.empty()) continue;
    const std::string& by = turn.instruction->overridden_by;
    if (std::find(ids.begin(), ids.end(), by) == ids.end()) {
      conversation.fail("turns", fmt::format("instruction '{}' is overridden_by '{}', expected one "
                                             "of {}{}",
                                             turn.instruction->id, by, fmt::join(ids, ", "),
                                             did_you_mean(by, ids)));
    }
  }
}

Conversation parse_conversation(const json& value, const Place& place, const std::string& pointer,
                                size_t number) {
  const std::string nameless = fmt::format("conversation {}", number);
  if (!value.is_object()) {
    place.fail(nameless, pointer,
               "found " + shown(value) + ", expected an object with id and turns");
  }
  Item item{value, place, pointer, nameless};
  check_spelling(item, {"id", "conflict_type", "domain", "turns"});
  Conversation out;
  out.line = place.line(pointer);
  out.id = name_of(item, "id");
  if (out.id.empty()) item.fail("id", "found nothing, expected a name");
  item.who = fmt::format("conversation '{}'", out.id);
  out.conflict_type = text_of(item, "conflict_type");
  out.domain = text_of(item, "domain");
  const json& turns = list_of(item, "turns", "turns");
  for (size_t i = 0; i < turns.size(); ++i) {
    const std::string at = fmt::format("{}/turns/{}", pointer, i);
    const std::string who = fmt::format("{}, turn {}", item.who, i + 1);
    if (!turns[i].is_object()) {
      place.fail(who, at, "found " + shown(turns[i]) + ", expected an object with role and text");
    }
    out.turns.push_back(parse_turn({turns[i], place, at, who}, i + 1));
  }
  check_order(item, out.turns);
  check_instruction_ids(item, out.turns);
  return out;
}

model::Piece piece(const std::string& text, Role role) { return {text, role, ""}; }

model::Piece instruction_piece(const Instruction& instruction) {
  return {instruction.text, Role::kInstruction, instruction.id};
}

}  // namespace

ConversationSet parse_conversations(std::string_view text, const std::string& where) {
  const json root = parse_json(text, where);
  const JsonLines lines(text);
  const Place place(where, lines);
  if (const auto& repeated = lines.repeated_key()) {
    const std::string field = repeated->substr(repeated->rfind('/') + 1);
    place.fail("", *repeated, fmt::format("field '{}': found it twice in one object", field));
  }
  ConversationSet set;
  set.name = std::filesystem::path(where).filename().string();
  set.sha256 = sha256_hex(text);
  const bool is_wrapped = root.is_object();
  if (is_wrapped) set.version = name_of({root, place, "", ""}, "version");
  const json* list = is_wrapped ? find({root, place, "", ""}, "conversations") : &root;
  const std::string pointer = is_wrapped ? "/conversations" : "";
  if (list == nullptr || !list->is_array() || list->empty()) {
    place.fail("", pointer,
               "found no conversations, expected a list of them or {\"conversations\": [...]}");
  }
  std::set<std::string> ids;
  for (size_t i = 0; i < list->size(); ++i) {
    const std::string at = fmt::format("{}/{}", pointer, i);
    Conversation conversation = parse_conversation((*list)[i], place, at, i + 1);
    if (!ids.insert(conversation.id).second) {
      place.fail(
          fmt::format("conversation {}", i + 1), at + "/id",
          fmt::format("field 'id': found '{}' again, expected different ids", conversation.id));
    }
    set.conversations.push_back(std::move(conversation));
  }
  return set;
}

ConversationSet load_conversations(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::error_code problem;
  const bool is_file = std::filesystem::is_regular_file(path, problem);
  if (!file || !is_file) {
    throw Error::make(ErrorKind::kStorage, "{}: cannot be read, expected a file of conversations",
                      path.string());
  }
  const auto size = std::filesystem::file_size(path);
  if (size > kMaxFileBytes) {
    throw Error::make(ErrorKind::kBadData, "{}: found {} bytes, expected at most {}", path.string(),
                      size, kMaxFileBytes);
  }
  std::ostringstream text;
  text << file.rdbuf();
  const std::string bytes = text.str();
  return import_conversations(bytes, detect_format(bytes, path.string()), path.string());
}

std::vector<Exchange> exchanges_of(const Conversation& conversation) {
  std::vector<Exchange> out;
  std::vector<model::Piece> system;
  for (const ConversationTurn& turn : conversation.turns) {
    if (turn.speaker == Speaker::kSystem) {
      if (turn.instruction) system.push_back(instruction_piece(*turn.instruction));
      if (!turn.content.empty()) system.push_back(piece(turn.content, Role::kSystem));
      continue;
    }
    if (turn.speaker == Speaker::kAssistant) {
      out.back().recorded_reply = turn.content;
      continue;
    }
    Exchange exchange{turn.turn_id, {}, std::nullopt, &turn};
    exchange.input.system = std::exchange(system, {});
    auto& parts = exchange.input.parts;
    if (turn.instruction) {
      parts.push_back(instruction_piece(*turn.instruction));
    }
    if (!turn.content.empty()) parts.push_back(piece(turn.content, Role::kContent));
    if (!turn.query.empty()) parts.push_back(piece(turn.query, Role::kQuery));
    out.push_back(std::move(exchange));
  }
  return out;
}

}  // namespace ebb::experiment
