#include "eval/judge_agreement.h"

#include <functional>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "eval/judge_answer.h"

namespace ebb::embedded {
std::string_view judge_golden_json();
}  // namespace ebb::embedded

namespace ebb::eval {
namespace {

using Json = nlohmann::ordered_json;

bool is_obeyed(double score) { return score >= 0.5; }

std::optional<stats::Kappa> kappa_of(const std::vector<int>& first,
                                     const std::vector<int>& second) {
  if (first.empty()) return std::nullopt;
  return stats::cohens_kappa(first, second);
}

std::string text_of(const Json& item, const std::string& where, const char* name) {
  const auto found = item.find(name);
  if (found != item.end() && found->is_string()) return found->get<std::string>();
  throw Error::make(ErrorKind::kBadData, "golden set, {}: found no text '{}', expected one", where,
                    name);
}

GoldenCheck check(const std::vector<GoldenItem>& items,
                  const std::function<JudgeVerdict(const GoldenItem&)>& verdict_on) {
  GoldenCheck result;
  std::vector<int> people, others;
  for (const GoldenItem& item : items) {
    const JudgeVerdict verdict = verdict_on(item);
    if (!verdict.score) {
      result.pending.push_back(item.id + ": " + verdict.detail);
      continue;
    }
    people.push_back(item.is_obeyed ? 1 : 0);
    others.push_back(is_obeyed(*verdict.score) ? 1 : 0);
    if (people.back() != others.back()) {
      result.disagreements.push_back(item.id + ": " + verdict.detail);
    }
  }
  result.kappa = kappa_of(people, others);
  return result;
}

}  // namespace

std::optional<stats::Kappa> rules_judge_agreement(const record::StudyScores& scores) {
  std::vector<int> rules, judge;
  for (const record::ItemScore& item : scores.items) {
    if (!item.rule_strict || !item.judge) continue;
    rules.push_back(*item.rule_strict >= 1 ? 1 : 0);
    judge.push_back(is_obeyed(*item.judge) ? 1 : 0);
  }
  return kappa_of(rules, judge);
}

std::vector<GoldenItem> golden_items() { return parse_golden(embedded::judge_golden_json()); }

std::vector<GoldenItem> parse_golden(std::string_view json) {
  const Json root = Json::parse(json, nullptr, false);
  if (!root.is_object() || !root.contains("items") || !root["items"].is_array()) {
    throw Error(ErrorKind::kBadData, "golden set: found no list 'items', expected one");
  }
  std::vector<GoldenItem> items;
  for (const Json& entry : root["items"]) {
    const std::string id = text_of(entry, fmt::format("item {}", items.size() + 1), "id");
    if (!entry.contains("obeyed") || !entry["obeyed"].is_boolean() || !entry.contains("rule")) {
      throw Error::make(ErrorKind::kBadData,
                        "golden set, {}: found no 'rule' or no 'obeyed', expected a rule and true "
                        "or false",
                        id);
    }
    Rule rule;
    try {
      rule = parse_rule(entry["rule"].dump());
    } catch (const Error& error) {
      throw error.with_context("golden set, " + id);
    }
    items.push_back({id,
                     {text_of(entry, id, "instruction"), text_of(entry, id, "request"),
                      text_of(entry, id, "reply")},
                     std::move(rule),
                     entry["obeyed"].get<bool>()});
  }
  return items;
}

GoldenCheck check_rules_on_golden(const std::vector<GoldenItem>& items) {
  return check(items, [](const GoldenItem& item) {
    const RuleVerdict verdict = check_rule(item.rule, item.question.reply, Strictness::kStrict);
    return JudgeVerdict{verdict.has_passed() ? 1.0 : 0.0, verdict.detail};
  });
}

GoldenCheck check_judge_on_golden(const std::vector<GoldenItem>& items, TextGenerator& judge,
                                  JudgeScale scale) {
  return check(items,
               [&](const GoldenItem& item) { return ask_judge(judge, item.question, scale); });
}

}  // namespace ebb::eval
