// How an arm's predictions over the baseline's own reply differ from the baseline's, token by
// token.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "record/study_records.h"

namespace ebb::experiment {

// Logits of one reply as the baseline had them.
class ReplyLogits {
 public:
  void add(std::span<const float> logits);
  size_t n_rows() const { return n_rows_; }
  std::span<const float> row(size_t i) const;
  size_t bytes() const { return values_.size() * sizeof(float); }

 private:
  size_t n_rows_ = 0;
  size_t n_vocab_ = 0;
  std::vector<float> values_;  // [n_vocab, n_rows]
};

class FidelitySum {
 public:
  // Rows of the same reply token; `id` is the token that the baseline wrote.
  void add(std::span<const float> baseline, std::span<const float> arm, int32_t id);
  record::Fidelity result() const;

 private:
  record::Fidelity sum_;
  int n_same_top_ = 0;
};

}  // namespace ebb::experiment
