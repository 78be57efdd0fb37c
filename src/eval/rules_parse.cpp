// Rules from and to JSON, and the check of their parameters against the table.
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text.h"
#include "eval/rule_table.h"
#include "eval/rules.h"

namespace ebb::eval {
namespace {

using Json = nlohmann::ordered_json;

template <typename... Args>
Error bad_parameter(const std::string& id, const std::string& name,
                    fmt::format_string<Args...> format, Args&&... args) {
  return Error::make(ErrorKind::kBadData, "rule {}, parameter '{}': {}", id, name,
                     fmt::format(format, std::forward<Args>(args)...));
}

std::string shown(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json parse_json(std::string_view text, std::string_view where) {
  try {
    return Json::parse(text);
  } catch (const Json::exception& error) {
    throw Error::make(ErrorKind::kBadData, "{}: found no valid JSON: {}", where, error.what());
  }
}

const ParameterSpec* find_parameter(const RuleSpec& spec, const std::string& name) {
  const auto found = std::find_if(spec.parameters.begin(), spec.parameters.end(),
                                  [&](const ParameterSpec& p) { return p.name == name; });
  return found == spec.parameters.end() ? nullptr : &*found;
}

const ParameterSpec& known_parameter(const RuleSpec& spec, const std::string& name) {
  if (const ParameterSpec* found = find_parameter(spec, name)) {
    return *found;
  }
  std::vector<std::string> names;
  for (const ParameterSpec& parameter : spec.parameters) {
    names.push_back(parameter.name);
  }
  throw bad_parameter(spec.id, name, "found an unknown parameter, expected {}{}",
                      names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", ")),
                      did_you_mean(name, names));
}

bool is_list_of_texts(const Json& value) {
  return value.is_array() &&
         std::all_of(value.begin(), value.end(), [](const Json& item) { return item.is_string(); });
}

RuleValue value_from(const Json& value, const RuleSpec& spec, const ParameterSpec& parameter) {
  if (parameter.kind == ParameterKind::kInteger) {
    // Tables written by statistics packages store integers as 5.0.
    if (value.is_number_integer()) {
      return value.get<int64_t>();
    }
    const double number = value.is_number_float() ? value.get<double>() : 0.5;
    if (std::trunc(number) == number && std::abs(number) < 1e9) {
      return static_cast<int64_t>(number);
    }
    throw bad_parameter(spec.id, parameter.name, "found {}, expected an integer", shown(value));
  }
  if (parameter.kind == ParameterKind::kText) {
    if (value.is_string()) {
      return value.get<std::string>();
    }
    throw bad_parameter(spec.id, parameter.name, "found {}, expected a text", shown(value));
  }
  if (is_list_of_texts(value)) {
    return value.get<std::vector<std::string>>();
  }
  throw bad_parameter(spec.id, parameter.name, "found {}, expected a list of texts", shown(value));
}

Rule rule_from(const std::string& id, const Json& parameters) {
  const RuleSpec& spec = find_rule(id);
  Rule rule{id, {}};
  for (const auto& [name, value] : parameters.items()) {
    if (!value.is_null()) {
      rule.parameters[name] = value_from(value, spec, known_parameter(spec, name));
    }
  }
  validate_rule(rule);
  return rule;
}

void validate_text(const RuleSpec& spec, const ParameterSpec& parameter, const std::string& text) {
  if (is_blank(decode_utf8(text))) {
    throw bad_parameter(spec.id, parameter.name, "found a blank text, expected some characters");
  }
  const auto& choices = parameter.choices;
  if (!choices.empty() && std::find(choices.begin(), choices.end(), text) == choices.end()) {
    throw bad_parameter(spec.id, parameter.name, "found '{}', expected one of '{}'{}", text,
                        fmt::join(choices, "', '"), did_you_mean(text, choices));
  }
}

void validate_value(const RuleSpec& spec, const ParameterSpec& parameter, const RuleValue& value) {
  if (value.index() != static_cast<size_t>(parameter.kind)) {
    throw bad_parameter(spec.id, parameter.name, "found a value of another type");
  }
  if (const auto* number = std::get_if<int64_t>(&value); number && *number < parameter.least) {
    throw bad_parameter(spec.id, parameter.name, "found {}, expected at least {}", *number,
                        parameter.least);
  }
  if (const auto* text = std::get_if<std::string>(&value)) {
    validate_text(spec, parameter, *text);
  }
  if (const auto* texts = std::get_if<std::vector<std::string>>(&value)) {
    if (texts->empty()) {
      throw bad_parameter(spec.id, parameter.name, "found an empty list, expected some texts");
    }
    for (const std::string& text : *texts) {
      validate_text(spec, parameter, text);
    }
  }
}

}  // namespace

void validate_rule(const Rule& rule) {
  const RuleSpec& spec = find_rule(rule.id);
  for (const auto& [name, value] : rule.parameters) {
    validate_value(spec, known_parameter(spec, name), value);
  }
  for (const ParameterSpec& parameter : spec.parameters) {
    if (parameter.need == Need::kRequired && !rule.parameters.contains(parameter.name)) {
      throw bad_parameter(rule.id, parameter.name, "found nothing, expected a value");
    }
  }
  if (spec.extra_check) {
    try {
      spec.extra_check(rule);
    } catch (const Error& error) {
      throw error.with_context("rule " + rule.id);
    }
  }
}

Rule parse_rule(std::string_view json) {
  const Json parsed = parse_json(json, "rule");
  if (parsed.is_string()) {
    return rule_from(parsed.get<std::string>(), Json::object());
  }
  if (!parsed.is_object() || !parsed.contains("id") || !parsed["id"].is_string()) {
    throw Error::make(ErrorKind::kBadData,
                      "rule: found {}, expected an id or {{\"id\": ..., \"parameters\": {{...}}}}",
                      shown(parsed));
  }
  const std::vector<std::string> keys = {"id", "parameters"};
  for (const auto& [key, value] : parsed.items()) {
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) {
      throw Error::make(ErrorKind::kBadData,
                        "rule: found the key '{}', expected id and parameters{}", key,
                        did_you_mean(key, keys));
    }
  }
  const Json parameters = parsed.value("parameters", Json::object());
  if (!parameters.is_object()) {
    throw Error::make(ErrorKind::kBadData, "rule: found parameters {}, expected an object",
                      shown(parameters));
  }
  return rule_from(parsed["id"].get<std::string>(), parameters);
}

std::string rule_to_json(const Rule& rule) {
  Json parameters = Json::object();
  for (const auto& [name, value] : rule.parameters) {
    std::visit([&, &key = name](const auto& typed) { parameters[key] = typed; }, value);
  }
  Json json = {{"id", rule.id}};
  if (!parameters.empty()) {
    json["parameters"] = parameters;
  }
  return shown(json);
}

std::vector<Rule> rules_from_ifeval(std::span<const std::string> instruction_ids,
                                    std::string_view kwargs_json) {
  const Json kwargs = parse_json(kwargs_json, "kwargs");
  if (!kwargs.is_array() || kwargs.size() != instruction_ids.size()) {
    throw Error::make(ErrorKind::kBadData, "kwargs: found {}, expected an array of {} objects",
                      shown(kwargs), instruction_ids.size());
  }
  std::vector<Rule> rules;
  for (size_t i = 0; i < instruction_ids.size(); ++i) {
    if (!kwargs[i].is_object() && !kwargs[i].is_null()) {
      throw Error::make(ErrorKind::kBadData, "kwargs {}: found {}, expected an object", i,
                        shown(kwargs[i]));
    }
    rules.push_back(
        rule_from(instruction_ids[i], kwargs[i].is_null() ? Json::object() : kwargs[i]));
  }
  return rules;
}

}  // namespace ebb::eval
