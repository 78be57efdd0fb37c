// Whole random numbers for tests, the same on every platform.
#pragma once

#include <cstdint>
#include <random>

namespace ebb {

class Dice {
 public:
  explicit Dice(uint32_t seed) : generator_(seed) {}
  // One of 0 .. n - 1.
  uint32_t operator()(uint32_t n) { return static_cast<uint32_t>(generator_() % n); }
  uint32_t operator()() { return static_cast<uint32_t>(generator_()); }

 private:
  std::mt19937 generator_;
};

}  // namespace ebb
