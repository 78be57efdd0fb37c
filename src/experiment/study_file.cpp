// Study files: TOML in, a checked Study out.
#include <algorithm>
#include <functional>
#include <set>

#include "base/error.h"
#include "base/text.h"
#include "experiment/study.h"
#include "experiment/toml_parser.h"

namespace ebb::experiment {
namespace {

const std::vector<std::pair<std::string, StudyArmKind>> kKinds = {
    {"baseline", StudyArmKind::kBaseline},
    {"treatment", StudyArmKind::kTreatment},
    {"no_instruction", StudyArmKind::kNoInstruction},
    {"reminder", StudyArmKind::kReminder},
    {"text_removal", StudyArmKind::kTextRemoval}};
const std::vector<std::pair<std::string, History>> kHistories = {
    {"own", History::kOwn}, {"recorded", History::kRecorded}, {"teacher_forced", History::kForced}};

template <typename Value>
Value named(const std::vector<std::pair<std::string, Value>>& table, const std::string& text,
            const std::string& where) {
  std::vector<std::string> known;
  for (const auto& [name, value] : table) {
    if (name == text) return value;
    known.push_back(name);
  }
  throw Error::make(ErrorKind::kUsage, "{}: found '{}', expected {}{}", where, text,
                    fmt::join(known, ", "), did_you_mean(text, known));
}

// A scalar as the text that settings are made of.
std::optional<std::string> scalar_text(const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* number = node.as_integer()) return std::to_string(number->get());
  if (const auto* real = node.as_floating_point()) return fmt::format("{}", real->get());
  if (const auto* flag = node.as_boolean()) return flag->get() ? "on" : "off";
  return std::nullopt;
}

// Reads the keys of one table, remembers which it knows, and reports the others at the end.
class Table {
 public:
  Table(const toml::table& table, std::string where) : table_(table), where_(std::move(where)) {}

  template <typename Value>
  void read(const char* name, Value& out) {
    known_.emplace_back(name);
    const toml::node* node = table_.get(name);
    if (node == nullptr) return;
    if constexpr (std::is_same_v<Value, double>) {
      const auto value = node->value<double>();
      if (!value) fail(name, "a number", *node);
      out = *value;
    } else if constexpr (std::is_same_v<Value, uint64_t>) {
      const auto value = node->value_exact<int64_t>();
      if (!value || *value < 0) fail(name, "a whole number of at least 0", *node);
      out = static_cast<uint64_t>(*value);
    } else {
      const auto value = node->value_exact<Value>();
      if (!value) fail(name, kind_name<Value>(), *node);
      out = *value;
    }
  }
  const toml::node* take(const char* name) {
    known_.emplace_back(name);
    return table_.get(name);
  }
  const std::string& where() const { return where_; }

  // Throws: kUsage for a key that nobody asked for.
  void finish() const {
    for (const auto& [key, node] : table_) {
      const std::string name(key.str());
      if (std::find(known_.begin(), known_.end(), name) != known_.end()) continue;
      throw Error::make(ErrorKind::kUsage, "{}: line {}: unknown key '{}'{}", where_,
                        node.source().begin.line, name, did_you_mean(name, known_));
    }
  }

 private:
  template <typename Value>
  static const char* kind_name() {
    if constexpr (std::is_same_v<Value, std::string>) return "text";
    if constexpr (std::is_same_v<Value, bool>) return "true or false";
    return "a whole number";
  }
  [[noreturn]] void fail(const char* name, const char* expected, const toml::node& node) const {
    throw Error::make(ErrorKind::kUsage, "{}: line {}: {}: found {}, expected {}", where_,
                      node.source().begin.line, name, scalar_text(node).value_or("a list or table"),
                      expected);
  }

  const toml::table& table_;
  std::string where_;
  std::vector<std::string> known_;
};

void set_field(StudyArm& arm, const std::string& name, const std::string& text,
               const std::string& where) {
  if (name == "name") {
    arm.name = text;
  } else if (name == "treatment") {
    arm.treatment = text;
  } else if (name == "share") {
    arm.share = text;
  } else if (name == "match_bytes") {
    arm.match_bytes = text;
  } else if (name == "repeats") {
    arm.repeats = text;
  } else if (name == "n_seeds") {
    arm.n_seeds = static_cast<int>(policy::parse_integer(text, where + ": n_seeds"));
  } else {
    arm.settings[name] = text;
  }
}

// All combinations of the lists among an arm's settings; the lists' values become part of its name.
std::vector<StudyArm> expand(const StudyArm& arm, const toml::table& lists,
                             const std::string& where) {
  std::vector<StudyArm> out{arm};
  for (const auto& [key, node] : lists) {
    const toml::array& values = *node.as_array();
    if (values.empty()) {
      throw Error::make(ErrorKind::kUsage, "{}: {}: found an empty list", where,
                        std::string(key.str()));
    }
    std::vector<StudyArm> next;
    for (const StudyArm& one : out) {
      for (const toml::node& value : values) {
        const auto text = scalar_text(value);
        if (!text) {
          throw Error::make(ErrorKind::kUsage, "{}: {}: expected a list of plain values", where,
                            std::string(key.str()));
        }
        StudyArm& made = next.emplace_back(one);
        made.name += fmt::format(" {}={}", std::string(key.str()), *text);
        set_field(made, std::string(key.str()), *text, where);
      }
    }
    out = std::move(next);
  }
  return out;
}

std::vector<StudyArm> parse_arm(const toml::table& table, const std::string& where) {
  StudyArm arm;
  toml::table lists;
  std::string kind = "treatment";
  for (const auto& [key, node] : table) {
    const std::string name(key.str());
    if (node.is_array() && name != "name" && name != "kind") {
      lists.insert(name, node);
      continue;
    }
    const auto text = scalar_text(node);
    if (!text) {
      throw Error::make(ErrorKind::kUsage, "{}: {}: found a table or a list, expected a value",
                        where, name);
    }
    if (name == "kind") {
      kind = *text;
    } else {
      set_field(arm, name, *text, where);
    }
  }
  if (arm.name.empty()) {
    throw Error::make(ErrorKind::kUsage, "{}: line {}: an arm has no name", where,
                      table.source().begin.line);
  }
  arm.kind = named(kKinds, kind, fmt::format("{}: arm '{}': kind", where, arm.name));
  return expand(arm, lists, where);
}

record::ContrastInfo parse_contrast(const toml::table& source, const Study& study,
                                    const std::string& where) {
  if (source.contains("margin")) {
    throw Error::make(ErrorKind::kUsage,
                      "{}: line {}: margin: one number cannot fit every endpoint: expected "
                      "equivalence = true here, and the margin in the table [equivalence], such as "
                      "{} = 0.1",
                      where, source.get("margin")->source().begin.line, study.primary_endpoint);
  }
  Table table(source, where + ": [[contrasts]]");
  record::ContrastInfo out;
  out.family = "exploratory";
  table.read("name", out.name);
  table.read("first", out.first);
  table.read("second", out.second);
  table.read("family", out.family);
  bool is_tested = false;
  table.read("equivalence", is_tested);
  if (is_tested) out.margins = study.margins;
  table.finish();
  if (out.name.empty()) out.name = out.first + " - " + out.second;
  return out;
}

// Tables of a list such as [[arms]].
void for_each_table(const toml::node* node, const std::string& where,
                    const std::function<void(const toml::table&)>& visit) {
  if (node == nullptr) return;
  const toml::array* list = node->as_array();
  const bool is_list = list != nullptr && list->is_homogeneous(toml::node_type::table);
  if (!is_list) throw Error::make(ErrorKind::kUsage, "{}: expected a list of tables", where);
  for (const toml::node& item : *list) visit(*item.as_table());
}

void parse_sections(Table& root, const std::string& where, Study& study) {
  const toml::table empty;
  const auto section = [&](const char* name) {
    const toml::node* node = root.take(name);
    if (node != nullptr && !node->is_table()) {
      throw Error::make(ErrorKind::kUsage, "{}: {}: expected a table", where, name);
    }
    return Table(node == nullptr ? empty : *node->as_table(), fmt::format("{}: [{}]", where, name));
  };
  Table sampling = section("sampling");
  double temperature = study.sampling.temperature;
  double top_p = study.sampling.top_p;
  sampling.read("temperature", temperature);
  sampling.read("top_p", top_p);
  sampling.finish();
  study.sampling.temperature = static_cast<float>(temperature);
  study.sampling.top_p = static_cast<float>(top_p);
  Table measures = section("measures");
  measures.read("generate", study.measures.generate);
  measures.read("fidelity", study.measures.fidelity);
  measures.read("recall", study.measures.recall);
  measures.read("cache_maps", study.measures.n_cache_maps);
  measures.finish();
  Table statistics = section("statistics");
  statistics.read("primary", study.primary_endpoint);
  statistics.read("alpha", study.alpha);
  statistics.read("test", study.test);
  statistics.read("confirmatory", study.confirmatory_correction);
  statistics.read("exploratory", study.exploratory_correction);
  statistics.read("seed", study.statistics_seed);
  statistics.read("rule_weight", study.rule_weight);
  statistics.read("judge_weight", study.judge_weight);
  statistics.finish();
  Table equivalence = section("equivalence");
  for (auto& [endpoint, margin] : study.margins) equivalence.read(endpoint.c_str(), margin);
  equivalence.finish();
}

// A count n (0, 1 ... n - 1), or a list.
std::vector<uint64_t> parse_seeds(const toml::node& node, const std::string& where) {
  constexpr int64_t kMost = 1'000'000;
  std::vector<uint64_t> seeds;
  const auto fail = [&](const std::string& found) {
    return Error::make(ErrorKind::kUsage,
                       "{}: line {}: seeds: found {}, expected a count from 1 to {} or a list of "
                       "whole numbers of at least 0",
                       where, node.source().begin.line, found, kMost);
  };
  if (const auto n = node.value_exact<int64_t>()) {
    if (*n < 1 || *n > kMost) throw fail(std::to_string(*n));
    for (int64_t i = 0; i < *n; ++i) seeds.push_back(static_cast<uint64_t>(i));
    return seeds;
  }
  const toml::array* list = node.as_array();
  if (list == nullptr || list->empty()) throw fail(scalar_text(node).value_or("an empty list"));
  for (const toml::node& seed : *list) {
    const auto value = seed.value_exact<int64_t>();
    if (!value || *value < 0) throw fail(scalar_text(seed).value_or("a list or table"));
    seeds.push_back(static_cast<uint64_t>(*value));
  }
  return seeds;
}

Study read_study(const toml::table& source, const std::string& where) {
  Study study;
  Table root(source, where);
  root.read("name", study.name);
  root.read("title", study.title);
  root.read("question", study.question);
  root.read("model", study.model);
  root.read("data", study.data);
  root.read("limit", study.limit);
  root.read("max_new", study.max_new);
  std::string history = to_text(study.history);
  root.read("history", history);
  study.history = named(kHistories, history, where + ": history");
  if (const toml::node* seeds = root.take("seeds")) study.seeds = parse_seeds(*seeds, where);
  parse_sections(root, where, study);
  for_each_table(root.take("arms"), where + ": arms", [&](const toml::table& table) {
    for (StudyArm& arm : parse_arm(table, where)) study.arms.push_back(std::move(arm));
  });
  for_each_table(root.take("contrasts"), where + ": contrasts", [&](const toml::table& table) {
    study.contrasts.push_back(parse_contrast(table, study, where));
  });
  root.finish();
  return study;
}

// "--set max_new=40": put into the tree before it is read, so that one code checks both.
void apply_override(toml::table& root, const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    throw Error::make(ErrorKind::kUsage, "--set '{}': expected key=value", text);
  }
  std::string key = text.substr(0, equals);
  toml::table* table = &root;
  if (const size_t dot = key.find('.'); dot != std::string::npos) {
    const std::string section = key.substr(0, dot);
    if (table->get(section) == nullptr) table->insert(section, toml::table{});
    table = table->get_as<toml::table>(section);
    if (table == nullptr) throw Error::make(ErrorKind::kUsage, "--set '{}': no such table", text);
    key = key.substr(dot + 1);
  }
  const std::string value = text.substr(equals + 1);
  toml::table parsed;
  try {  // a TOML value, or else plain text
    parsed = toml::parse("v = " + value);
  } catch (const toml::parse_error&) {
    parsed.insert("v", value);
  }
  table->insert_or_assign(key, *parsed.get("v"));
}

}  // namespace

std::string to_text(StudyArmKind kind) {
  for (const auto& [name, value] : kKinds) {
    if (value == kind) return name;
  }
  return "";
}

std::string to_text(History history) {
  for (const auto& [name, value] : kHistories) {
    if (value == history) return name;
  }
  return "";
}

Study parse_study(const std::string& text, const std::string& where,
                  const std::vector<std::string>& overrides) {
  toml::table root;
  try {
    root = toml::parse(text, where);
  } catch (const toml::parse_error& error) {
    throw Error::make(ErrorKind::kUsage, "{}:{}: not TOML: {}", where, error.source().begin.line,
                      error.description());
  }
  for (const std::string& one : overrides) apply_override(root, one);
  Study study = read_study(root, where);
  check_study(study, where);
  return study;
}

}  // namespace ebb::experiment
