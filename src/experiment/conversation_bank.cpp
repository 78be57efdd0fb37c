#include "experiment/conversation_bank.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "experiment/json_item.h"

namespace ebb::embedded {
std::string_view conversation_bank_json();
}  // namespace ebb::embedded

namespace ebb::experiment {
namespace {

using nlohmann::json;

enum class Placeholder { kNone, kOne };

// The item at `pointer`, which must be an object.
Item object_at(const json& value, const Place& place, const std::string& pointer) {
  if (!value.is_object()) place.fail("", pointer, "found " + shown(value) + ", expected an object");
  return {value, place, pointer, pointer};
}

std::vector<std::string> texts_of(const Item& item, const std::string& field) {
  std::vector<std::string> out;
  for (const json& value : list_of(item, field, "texts")) {
    if (!value.is_string() || value.get<std::string>().empty()) {
      item.fail(field, "found " + shown(value) + ", expected text");
    }
    out.push_back(value.get<std::string>());
  }
  return out;
}

Phrases phrases_of(const Item& item, const std::string& field, Placeholder placeholder) {
  Phrases out = texts_of(item, field);
  for (const std::string& phrase : out) {
    const bool has_one = phrase.find("{}") != std::string::npos;
    if (has_one != (placeholder == Placeholder::kOne)) {
      item.fail(field, fmt::format("found '{}', expected it {} {{}}", phrase,
                                   has_one ? "without" : "with"));
    }
  }
  return out;
}

void read_phrases(const Item& item, ConversationBank& bank) {
  check_spelling(item, {"announce", "override", "conflict", "add", "withdraw", "cancel",
                        "acknowledge", "welcome", "change_subject", "ask"});
  bank.announce = phrases_of(item, "announce", Placeholder::kOne);
  bank.override_first = phrases_of(item, "override", Placeholder::kOne);
  bank.conflict = phrases_of(item, "conflict", Placeholder::kOne);
  bank.add = phrases_of(item, "add", Placeholder::kOne);
  bank.withdraw = phrases_of(item, "withdraw", Placeholder::kNone);
  bank.cancel = phrases_of(item, "cancel", Placeholder::kNone);
  bank.acknowledge = phrases_of(item, "acknowledge", Placeholder::kNone);
  bank.welcome = phrases_of(item, "welcome", Placeholder::kNone);
  bank.change_subject = phrases_of(item, "change_subject", Placeholder::kOne);
  bank.ask = phrases_of(item, "ask", Placeholder::kOne);
}

BankPair pair_of(const Item& item) {
  check_spelling(item, {"name", "conflict_type", "relation", "sides"});
  BankPair out;
  out.name = required_text(item, "name");
  out.conflict_type = required_text(item, "conflict_type");
  const std::vector<std::string> relations = {"exclusive", "compatible"};
  const std::string relation = text_of(item, "relation");
  if (std::find(relations.begin(), relations.end(), relation) == relations.end()) {
    item.fail("relation", fmt::format("found '{}', expected exclusive or compatible{}", relation,
                                      did_you_mean(relation, relations)));
  }
  out.relation = relation == "exclusive" ? PairRelation::kExclusive : PairRelation::kCompatible;
  const json& sides = list_of(item, "sides", "two instructions");
  if (sides.size() != 2) {
    item.fail("sides", fmt::format("found {} instructions, expected two", sides.size()));
  }
  for (size_t i = 0; i < sides.size(); ++i) {
    const std::string pointer = fmt::format("{}/sides/{}", item.pointer, i);
    const Item side = object_at(sides[i], item.place, pointer);
    check_spelling(side, {"id", "text", "rules"});
    out.sides.push_back({required_text(side, "id"), required_text(side, "text"), rules_of(side)});
    if (out.sides.back().rules.empty()) side.fail("rules", "found none, expected at least one");
  }
  return out;
}

BankDomain domain_of(const Item& item) {
  check_spelling(item, {"name", "opening", "topics", "fillers"});
  BankDomain out{
      required_text(item, "name"), required_text(item, "opening"), texts_of(item, "topics"), {}};
  const json& fillers = list_of(item, "fillers", "questions with replies");
  for (size_t i = 0; i < fillers.size(); ++i) {
    const std::string pointer = fmt::format("{}/fillers/{}", item.pointer, i);
    const Item filler = object_at(fillers[i], item.place, pointer);
    check_spelling(filler, {"question", "reply"});
    out.fillers.push_back({required_text(filler, "question"), required_text(filler, "reply")});
  }
  return out;
}

}  // namespace

std::vector<std::string> ConversationBank::conflict_types() const {
  std::vector<std::string> out;
  for (const BankPair& pair : pairs) {
    if (std::find(out.begin(), out.end(), pair.conflict_type) == out.end()) {
      out.push_back(pair.conflict_type);
    }
  }
  return out;
}

ConversationBank parse_bank(std::string_view json_text, const std::string& where) {
  const json root = parse_json(json_text, where);
  const JsonLines lines(json_text);
  const Place place(where, lines);
  const Item item = object_at(root, place, "");
  check_spelling(item, {"version", "phrases", "pairs", "domains"});
  ConversationBank bank;
  bank.version = name_of(item, "version");
  const json* phrases = find(item, "phrases");
  if (phrases == nullptr) item.fail("phrases", "found nothing, expected an object");
  read_phrases(object_at(*phrases, place, "/phrases"), bank);
  const json& pairs = list_of(item, "pairs", "pairs of instructions");
  for (size_t i = 0; i < pairs.size(); ++i) {
    bank.pairs.push_back(pair_of(object_at(pairs[i], place, fmt::format("/pairs/{}", i))));
  }
  const json& domains = list_of(item, "domains", "domains");
  for (size_t i = 0; i < domains.size(); ++i) {
    bank.domains.push_back(domain_of(object_at(domains[i], place, fmt::format("/domains/{}", i))));
  }
  return bank;
}

const ConversationBank& builtin_bank() {
  static const ConversationBank kBank =
      parse_bank(embedded::conversation_bank_json(), "data/conversation_bank.json");
  return kBank;
}

}  // namespace ebb::experiment
