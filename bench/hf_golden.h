// What Hugging Face transformers computes in float32 on the two default models, as kept under
// tests/fixtures/hf, and how far logits are from it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

namespace ebb::bench {

class HfGolden {
 public:
  // Reads BASE.top.npy and BASE.logprob.npy.  Throws: kStorage, kBadData.
  explicit HfGolden(const std::filesystem::path& base);

  size_t n_rows() const { return top_.size() / kTop; }
  // KL of the golden's outcomes (the likeliest 256 tokens, and everything else as one more) from
  // the same ones under `logits`.
  double kl(size_t row, std::span<const float> logits) const;

 private:
  static constexpr size_t kTop = 256;
  std::vector<int32_t> top_;    // [kTop, n_rows]
  std::vector<float> logprob_;  // [kTop + 1, n_rows]
};

}  // namespace ebb::bench
