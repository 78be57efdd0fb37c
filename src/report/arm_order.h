// The order of everything that is printed: arms as the study lists them, then conversations, seeds.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "record/study_records.h"

namespace ebb::report {

class ArmOrder {
 public:
  explicit ArmOrder(const record::StudyInfo& study) {
    for (const record::ArmInfo& arm : study.arms) places_.emplace(arm.name, places_.size());
  }
  // Arms that the study does not list come last.
  size_t place(const std::string& arm) const {
    const auto found = places_.find(arm);
    return found == places_.end() ? places_.size() : found->second;
  }

 private:
  std::map<std::string, size_t> places_;
};

// The first arm of this kind, or null.
inline const record::ArmInfo* arm_of_kind(const record::StudyInfo& study, std::string_view kind) {
  for (const record::ArmInfo& arm : study.arms) {
    if (arm.kind == kind) return &arm;
  }
  return nullptr;
}

}  // namespace ebb::report
