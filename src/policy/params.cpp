#include "policy/params.h"

#include <charconv>
#include <cmath>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/text.h"

namespace ebb::policy {
namespace {

std::optional<double> parse_real(const std::string& text) {
  double value = 0.0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (status != std::errc{} || end != text.data() + text.size() || !std::isfinite(value)) {
    return std::nullopt;
  }
  return value;
}

std::string joined(const std::vector<std::string>& parts, std::string_view separator) {
  return fmt::format("{}", fmt::join(parts, separator));
}

}  // namespace

std::string ParamSpec::range_text() const {
  switch (type) {
    case ParamType::kInteger:
      return fmt::format("{}..{}", static_cast<int64_t>(min), static_cast<int64_t>(max));
    case ParamType::kReal:
      return fmt::format("{}..{}", min, max);
    case ParamType::kRatio:
      return "0..1";
    case ParamType::kChoice:
      return joined(choices, "|");
    case ParamType::kText:
      return "text";
  }
  return "";
}

ParamSpec integer_param(std::string name, int64_t fallback, int64_t min, int64_t max,
                        std::string help) {
  return {.name = std::move(name),
          .type = ParamType::kInteger,
          .fallback = fmt::format("{}", fallback),
          .min = static_cast<double>(min),
          .max = static_cast<double>(max),
          .choices = {},
          .help = std::move(help)};
}

ParamSpec real_param(std::string name, std::string fallback, double min, double max,
                     std::string help) {
  return {.name = std::move(name),
          .type = ParamType::kReal,
          .fallback = std::move(fallback),
          .min = min,
          .max = max,
          .choices = {},
          .help = std::move(help)};
}

ParamSpec ratio_param(std::string name, std::string fallback, std::string help) {
  return {.name = std::move(name),
          .type = ParamType::kRatio,
          .fallback = std::move(fallback),
          .choices = {},
          .help = std::move(help)};
}

ParamSpec choice_param(std::string name, std::vector<std::string> choices, std::string help) {
  std::string fallback = choices.front();
  return {.name = std::move(name),
          .type = ParamType::kChoice,
          .fallback = std::move(fallback),
          .choices = std::move(choices),
          .help = std::move(help)};
}

ParamSpec text_param(std::string name, std::string help) {
  return {.name = std::move(name),
          .type = ParamType::kText,
          .fallback = "",
          .choices = {},
          .help = std::move(help)};
}

std::string problem_of(const ParamSpec& spec, const std::string& text) {
  const auto expected = [&](std::string_view kind) {
    return fmt::format("{} = '{}': expected {} in {}", spec.name, text, kind, spec.range_text());
  };
  if (spec.type == ParamType::kText) return "";
  if (spec.type == ParamType::kChoice) {
    for (const std::string& choice : spec.choices) {
      if (choice == text) return "";
    }
    return fmt::format("{} = '{}': expected one of {}{}", spec.name, text, spec.range_text(),
                       did_you_mean(text, spec.choices));
  }
  if (spec.type == ParamType::kRatio) {
    try {
      (void)Ratio::parse(text);
    } catch (const Error&) {
      return expected("a decimal number");
    }
    return "";
  }
  const auto value = parse_real(text);
  const bool is_integer = value && std::floor(*value) == *value &&
                          text.find_first_not_of("+-0123456789") == std::string::npos;
  if (spec.type == ParamType::kInteger && !is_integer) return expected("an integer");
  if (!value || *value < spec.min || *value > spec.max) return expected("a number");
  return "";
}

Params::Params(std::span<const ParamSpec> specs, const ParamMap& given, std::string_view where) {
  std::vector<std::string> names;
  for (const ParamSpec& spec : specs) {
    names.push_back(spec.name);
    values_[spec.name] = spec.fallback;
  }
  for (const auto& [name, value] : given) {
    if (!values_.contains(name)) {
      throw Error::make(ErrorKind::kUsage, "{}: unknown parameter '{}', expected one of: {}{}",
                        where, name, names.empty() ? "(it has none)" : joined(names, ", "),
                        did_you_mean(name, names));
    }
    values_[name] = value;
  }
  for (const ParamSpec& spec : specs) {
    if (const std::string problem = problem_of(spec, values_[spec.name]); !problem.empty()) {
      throw Error::make(ErrorKind::kUsage, "{}: {}", where, problem);
    }
  }
}

int64_t Params::integer(const std::string& name) const { return parse_integer(text(name), name); }

double Params::real(const std::string& name) const {
  const auto value = parse_real(text(name));
  EBB_CHECK(value.has_value());
  return *value;
}

Ratio Params::ratio(const std::string& name) const { return Ratio::parse(text(name)); }

const std::string& Params::text(const std::string& name) const {
  const auto found = values_.find(name);
  EBB_CHECK(found != values_.end());
  return found->second;
}

std::vector<std::string> split_list(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const size_t cut = text.find(separator);
    std::string_view part = text.substr(0, cut);
    text = cut == std::string_view::npos ? std::string_view{} : text.substr(cut + 1);
    while (!part.empty() && part.front() == ' ') part.remove_prefix(1);
    while (!part.empty() && part.back() == ' ') part.remove_suffix(1);
    if (!part.empty()) parts.emplace_back(part);
  }
  return parts;
}

int64_t parse_integer(std::string_view text, std::string_view where) {
  int64_t value = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || status != std::errc{} || end != text.data() + text.size()) {
    throw Error::make(ErrorKind::kUsage, "{}: '{}' is not an integer", where, text);
  }
  return value;
}

}  // namespace ebb::policy
