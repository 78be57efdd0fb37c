// Random numbers that are keyed, never streamed: the same key gives the same number whatever else
// ran before, in which batch place, arm or thread. Philox4x32-10 (Salmon et al., SC 2011) from
// Random123.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace ebb {

// Keeps draws for different purposes apart where their other key words are equal.
enum class RandomUse : uint32_t { kEviction = 1, kSampling = 2, kData = 3, kStatistics = 4 };

// A stable 64-bit key of a conversation's id (the first eight bytes of its SHA-256).
uint64_t conversation_key(std::string_view conversation_id);

class KeyedRandom {
 public:
  KeyedRandom(uint64_t seed, uint64_t conversation, RandomUse use);

  // One number per (a, b, c, d); for an eviction these are ordinal, layer, head and event.
  uint32_t u32(uint32_t a, uint32_t b = 0, uint32_t c = 0, uint32_t d = 0) const;
  uint64_t u64(uint32_t a, uint32_t b = 0, uint32_t c = 0, uint32_t d = 0) const;
  // In [0, 1), a multiple of 2^-53.
  double uniform(uint32_t a, uint32_t b = 0, uint32_t c = 0, uint32_t d = 0) const;

 private:
  std::array<uint32_t, 2> key_;  // Philox key, itself a Philox output of (seed, conversation, use)
};

}  // namespace ebb
