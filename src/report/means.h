// Means in which seeds are repeats: averaged within a conversation first, then over conversations.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "stats/descriptive.h"

namespace ebb::report {

// The same values in another order give the same bits: units finish in any order.
inline double ordered_mean(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return stats::summarize(values).mean;
}

class ConversationMeans {
 public:
  void add(const std::string& conversation, double value) {
    values_[conversation].push_back(value);
  }
  // One value a conversation, in the order of their ids.
  std::vector<double> values() const {
    std::vector<double> out;
    for (const auto& [conversation, values] : values_) {
      out.push_back(ordered_mean(values));
    }
    return out;
  }
  std::optional<double> of(const std::string& conversation) const {
    const auto found = values_.find(conversation);
    if (found == values_.end()) return std::nullopt;
    return ordered_mean(found->second);
  }
  std::optional<double> mean() const {
    if (values_.empty()) return std::nullopt;
    return stats::summarize(values()).mean;
  }
  const std::map<std::string, std::vector<double>>& all() const { return values_; }

 private:
  std::map<std::string, std::vector<double>> values_;
};

}  // namespace ebb::report
