#include "bench/goals.h"

#include <algorithm>
#include <array>

namespace ebb::bench {
namespace {

// A row's goal: the beginnings of its section's title, its work and its contestant.
struct Entry {
  std::string_view section;
  std::string_view work;
  std::string_view who;
  std::string_view amx;  // "" = none
  std::string_view vnni;
};

constexpr std::array<Entry, 16> kGoals = {{
    {"A whole study", "", "ebb strict", ">= 8", ">= 5"},
    {"A whole study", "", "ebb fast", ">= 12", ">= 6"},
    {"Speed beside", "prompt of", "ebb strict", ">= 10", ">= 4"},
    {"Speed beside", "prompt of", "ebb fast", ">= 10", ">= 4"},
    {"Speed beside", "1 sequence at", "ebb fast", ">= 2.2", ">= 2"},
    {"Speed beside", "16 sequences", "ebb strict", ">= 4", ">= 3"},
    {"Speed beside", "16 sequences", "ebb fast", ">= 5", ">= 4"},
    {"Speed beside", "64 sequences", "ebb strict", ">= 8", ">= 5"},
    {"Speed beside", "64 sequences", "ebb fast", ">= 9", ">= 5"},
    {"A hard cap", "cap of", "step with its eviction", "<= 1.10", "<= 1.10"},
    {"Growth of a study", "64 families", "seconds a family", "<= 1.10", "<= 1.10"},
    {"The shape of Gemma 3 12B", "prompt of", "ebb fast", ">= 5", ">= 3"},
    {"The shape of Gemma 3 12B", "1 sequence at", "ebb fast", ">= 1.1", ">= 1"},
    {"Memory of the shape", "", "ebb fast", "<= 2.5", "<= 2.5"},
    {"Distance to", "", "ebb strict", "KL <= 500", "KL <= 500"},
    {"Distance to", "", "ebb fast", "<= 1", "<= 1"},
}};

bool is_of(const Entry& entry, const Section& section, const Row& row) {
  // "ebb fast" is not "ebb fast, ggml's kernels".
  const bool is_who =
      row.who == entry.who ||
      (entry.who != "ebb strict" && entry.who != "ebb fast" && row.who.starts_with(entry.who));
  return !entry.section.empty() && section.title.starts_with(entry.section) &&
         row.work.starts_with(entry.work) && is_who;
}

bool has(const Machine& machine, std::string_view feature) {
  const auto& all = machine.vector_features;
  return std::find(all.begin(), all.end(), feature) != all.end();
}

}  // namespace

MachineClass class_of(const Machine& machine) {
  if (has(machine, "amx_int8")) return MachineClass::kAmx;
  return has(machine, "avx512_vnni") ? MachineClass::kVnni : MachineClass::kOther;
}

std::string_view class_name(MachineClass machine) {
  switch (machine) {
    case MachineClass::kAmx:
      return "with AMX";
    case MachineClass::kVnni:
      return "with AVX-512 VNNI and no AMX";
    case MachineClass::kOther:
      break;
  }
  return "without AVX-512 VNNI";
}

void add_goals(Section& section, MachineClass machine) {
  if (machine == MachineClass::kOther) return;
  for (Row& row : section.rows) {
    for (const Entry& entry : kGoals) {
      if (!is_of(entry, section, row)) continue;
      row.goal = machine == MachineClass::kAmx ? entry.amx : entry.vnni;
      break;
    }
  }
}

}  // namespace ebb::bench
