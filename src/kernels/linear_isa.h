// Which instruction set the linear kernels run on. All give the same bits and the choice is only
// speed, but for many rows in kFast on kAmx (linear.h).
#pragma once

#include <cstdint>
#include <string_view>

namespace ebb::kernels {

enum class Isa : uint8_t { kBest, kPortable, kAvx2, kAvx512Vnni, kAmx };

// Whether this processor (and this build) can run it; kBest and kPortable always can.
bool can_run(Isa isa);
// kBest becomes the fastest that can run; others come back as they are.
// Throws: kBackend when the processor lacks it.
Isa resolve(Isa isa);
std::string_view name_of(Isa isa);

}  // namespace ebb::kernels
