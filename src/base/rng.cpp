#include "base/rng.h"

#include <Random123/philox.h>

#include <charconv>
#include <string>

#include "base/error.h"
#include "base/sha256.h"

namespace ebb {
namespace {

constexpr uint32_t low_word(uint64_t value) { return static_cast<uint32_t>(value); }
constexpr uint32_t high_word(uint64_t value) { return static_cast<uint32_t>(value >> 32U); }

std::array<uint32_t, 4> philox(std::array<uint32_t, 2> key, std::array<uint32_t, 4> counter) {
  const philox4x32_key_t k = {{key[0], key[1]}};
  const philox4x32_ctr_t c = {{counter[0], counter[1], counter[2], counter[3]}};
  const philox4x32_ctr_t out = philox4x32(c, k);
  return {out.v[0], out.v[1], out.v[2], out.v[3]};
}

}  // namespace

uint64_t conversation_key(std::string_view conversation_id) {
  const std::string hex = sha256_hex(conversation_id).substr(0, 16);
  uint64_t key = 0;
  const auto [end, status] = std::from_chars(hex.data(), hex.data() + hex.size(), key, 16);
  EBB_CHECK(status == std::errc{} && end == hex.data() + hex.size());
  return key;
}

KeyedRandom::KeyedRandom(uint64_t seed, uint64_t conversation, RandomUse use) {
  const auto words =
      philox({low_word(seed), high_word(seed)},
             {low_word(conversation), high_word(conversation), static_cast<uint32_t>(use), 0});
  key_ = {words[0], words[1]};
}

uint32_t KeyedRandom::u32(uint32_t a, uint32_t b, uint32_t c, uint32_t d) const {
  return philox(key_, {a, b, c, d})[0];
}

uint64_t KeyedRandom::u64(uint32_t a, uint32_t b, uint32_t c, uint32_t d) const {
  const auto words = philox(key_, {a, b, c, d});
  return (static_cast<uint64_t>(words[0]) << 32U) | words[1];
}

double KeyedRandom::uniform(uint32_t a, uint32_t b, uint32_t c, uint32_t d) const {
  return static_cast<double>(u64(a, b, c, d) >> 11U) * 0x1p-53;
}

}  // namespace ebb
