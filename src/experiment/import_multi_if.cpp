#include "experiment/import_multi_if.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "experiment/csv.h"

namespace ebb::experiment {
namespace {

using nlohmann::json;

// A row as an object of texts, so that errors read as for the JSON formats.
json object_of(const std::vector<std::string>& header, const CsvRow& row,
               const std::string& where) {
  if (row.fields.size() != header.size()) {
    throw Error::make(ErrorKind::kBadData, "{}:{}: found {} fields, expected {} as in the header",
                      where, row.line, row.fields.size(), header.size());
  }
  json out = json::object();
  for (size_t i = 0; i < header.size(); ++i) out[header[i]] = row.fields[i];
  return out;
}

bool is_absent(const std::string& text) {
  return text.empty() || text == "None" || text == "nan" || text == "null";
}

// JSON that stands in a field as text.
json json_in(const Item& row, const std::string& field) {
  try {
    return parse_json(required_text(row, field), "JSON");
  } catch (const Error& error) {
    row.fail(field, error.what());
  }
}

std::string prompt_of(const Item& row, const std::string& field) {
  const json message = json_in(row, field);
  if (!message.is_object()) row.fail(field, "found " + shown(message) + ", expected a message");
  return required_text({message, row.place, "", row.who + ", " + field}, "content");
}

struct RuleColumns {
  json ids = json::array();
  json parameters = json::array();
};

RuleColumns rules_in(const Item& row, int turn) {
  const std::string ids_field = fmt::format("turn_{}_instruction_id_list", turn);
  const std::string parameters_field = fmt::format("turn_{}_kwargs", turn);
  RuleColumns out{json_in(row, ids_field), json_in(row, parameters_field)};
  const bool is_pair =
      out.ids.is_array() && out.parameters.is_array() && out.ids.size() == out.parameters.size();
  if (!is_pair) row.fail(ids_field, "found no list as long as the one of " + parameters_field);
  for (json& parameter : out.parameters) {
    if (!parameter.is_string()) continue;
    const std::string text = parameter.get<std::string>();
    parameter = json::parse(text, nullptr, false);
    if (parameter.is_discarded()) {
      row.fail(parameters_field, "found '" + text + "', expected JSON in each text");
    }
  }
  return out;
}

// Whether `all` begins with everything that `before` holds.
bool goes_on_from(const RuleColumns& before, const RuleColumns& all) {
  const auto begins = [](const json& head, const json& whole) {
    return head.size() <= whole.size() && std::equal(head.begin(), head.end(), whole.begin());
  };
  return begins(before.ids, all.ids) && begins(before.parameters, all.parameters);
}

RuleColumns without_first(const RuleColumns& all, size_t n_dropped) {
  RuleColumns out;
  for (size_t i = n_dropped; i < all.ids.size(); ++i) {
    out.ids.push_back(all.ids[i]);
    out.parameters.push_back(all.parameters[i]);
  }
  return out;
}

Conversation conversation_of(const Item& row, RuleImport& import) {
  Conversation out;
  out.id = required_text(row, "key");
  out.domain = text_of(row, "language");
  out.line = row.place.line("");
  RuleColumns before;
  for (int number = 1;; ++number) {
    const std::string field = fmt::format("turn_{}_prompt", number);
    if (!row.value.contains(field) || is_absent(text_of(row, field))) break;
    const RuleColumns all = rules_in(row, number);
    const bool is_continued = goes_on_from(before, all);
    const RuleColumns added = without_first(all, is_continued ? before.ids.size() : 0);
    ConversationTurn turn;
    turn.turn_id = number;
    turn.line = out.line;
    Instruction instruction;
    instruction.id = fmt::format("i{}", number);
    instruction.text = prompt_of(row, field);
    instruction.rules = import.rules(row, field, added.ids, added.parameters);
    if (!is_continued) {
      for (ConversationTurn& earlier : out.turns) {
        if (earlier.instruction->overridden_by.empty()) {
          earlier.instruction->overridden_by = instruction.id;
        }
      }
    }
    turn.instruction = std::move(instruction);
    out.turns.push_back(std::move(turn));
    before = all;
  }
  if (out.turns.empty()) row.fail("turn_1_prompt", "found nothing, expected a message");
  return out;
}

}  // namespace

std::vector<Conversation> read_multi_if(std::string_view text, const std::string& where,
                                        RuleImport& import) {
  const std::vector<CsvRow> rows = parse_csv(text, where);
  std::vector<Conversation> out;
  for (size_t i = 1; i < rows.size(); ++i) {
    const json value = object_of(rows[0].fields, rows[i], where);
    const Place place(where, rows[i].line);
    out.push_back(conversation_of({value, place, "", fmt::format("row {}", i)}, import));
  }
  return out;
}

}  // namespace ebb::experiment
