// What is aimed at, so that a table says beside a ratio whether it is enough. Goals hold for one
// class of machine each: matrix units (AMX) help ebb more than they help libllama.
#pragma once

#include <string_view>
#include <vector>

#include "bench/contest.h"
#include "bench/machine.h"

namespace ebb::bench {

enum class MachineClass { kOther, kVnni, kAmx };
MachineClass class_of(const Machine& machine);
std::string_view class_name(MachineClass machine);

// Writes each row's goal beside it, where there is one for such a machine.
void add_goals(Section& section, MachineClass machine);

}  // namespace ebb::bench
