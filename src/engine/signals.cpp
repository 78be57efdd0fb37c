#include "engine/signals.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "kernels/attention.h"
#include "kernels/moments.h"
#include "policy/needs.h"

namespace ebb::engine {
namespace {

// Grows as push_back would: step by step to the exact size would copy everything every time.
template <typename T>
void reserve_grown(std::vector<T>& values, size_t n) {
  if (n > values.capacity()) values.reserve(std::max(n, 2 * values.size()));
}

}  // namespace

QueryRing::QueryRing(int capacity, const model::ModelConfig& config)
    : capacity_(static_cast<size_t>(capacity)),
      width_(static_cast<size_t>(config.n_q_heads) * static_cast<size_t>(config.head_dim)),
      ordinals_(capacity_),
      rows_(static_cast<size_t>(config.n_layers), std::vector<float>(width_ * capacity_)) {}

int QueryRing::place(Ordinal ordinal) noexcept {
  if (capacity_ == 0) return -1;
  const size_t at = n_written_++ % capacity_;
  ordinals_[at] = ordinal;
  return static_cast<int>(at);
}

float* QueryRing::row(int layer, int place) {
  return rows_[static_cast<size_t>(layer)].data() + static_cast<size_t>(place) * width_;
}

const float* QueryRing::row(int layer, int place) const {
  return rows_[static_cast<size_t>(layer)].data() + static_cast<size_t>(place) * width_;
}

std::vector<int> QueryRing::places() const {
  std::vector<int> out;
  const size_t n = std::min(n_written_, capacity_);
  for (size_t i = 0; i < n; ++i) {
    out.push_back(static_cast<int>((n_written_ - n + i) % capacity_));
  }
  return out;
}

QueryRing QueryRing::newest(int capacity, const model::ModelConfig& config) const {
  EBB_CHECK(static_cast<size_t>(capacity) <= capacity_);
  QueryRing out(capacity, config);
  const std::vector<int> all = places();
  const size_t n = std::min(all.size(), out.capacity_);
  for (size_t i = all.size() - n; i < all.size(); ++i) {
    const int to = out.place(ordinal(all[i]));
    for (int layer = 0; layer < config.n_layers; ++layer) {
      std::copy_n(row(layer, all[i]), width_, out.row(layer, to));
    }
  }
  return out;
}

size_t QueryRing::bytes() const {
  return rows_.size() * width_ * capacity_ * sizeof(float) + capacity_ * sizeof(Ordinal);
}

SequenceSignals::SequenceSignals(const policy::Needs& needs, const model::ModelConfig& config)
    : needs_(needs),
      config_(&config),
      observed_(needs.attention_window, config),
      tail_(needs.attention_window, config) {
  if (needs_.attention_sum) {
    sums_.resize(static_cast<size_t>(config.n_layers * config.n_kv_heads));
  }
  if (needs_.query_moments) {
    const auto d = static_cast<size_t>(config.head_dim);
    const auto n = static_cast<size_t>(config.n_layers * config.n_q_heads);
    query_sums_.assign(n, std::vector<float>(d));
    query_outers_.assign(n, std::vector<float>(d * d));
  }
}

SequenceSignals::SequenceSignals(const SequenceSignals& other)
    : needs_(other.needs_),
      config_(other.config_),
      sums_(other.sums_),
      observed_(other.observed_),
      tail_(other.tail_),
      n_moment_queries_(other.n_moment_queries_),
      is_torn_(other.is_torn_),
      query_sums_(other.query_sums_),
      query_outers_(other.query_outers_) {}

SequenceSignals::SequenceSignals(const SequenceSignals& other, const policy::Needs& needs,
                                 WindowOf window)
    : needs_(needs),
      config_(other.config_),
      observed_((window == WindowOf::kTail ? other.tail_ : other.observed_)
                    .newest(needs.attention_window, *other.config_)),
      tail_(other.tail_.newest(needs.attention_window, *other.config_)) {
  EBB_CHECK(policy::covers(other.needs_, needs) && !other.is_torn_);
  if (needs_.attention_sum) sums_ = other.sums_;
  if (needs_.query_moments) {
    n_moment_queries_ = other.n_moment_queries_;
    query_sums_ = other.query_sums_;
    query_outers_ = other.query_outers_;
  }
}

void SequenceSignals::reserve_step(const kv::SequenceCells& cells, size_t n_tokens) {
  for (size_t i = 0; i < sums_.size(); ++i) {
    const int n_heads = config_->n_kv_heads;
    const int at = static_cast<int>(i);
    reserve_grown(sums_[i], cells.head(at / n_heads, at % n_heads).n_cells());
  }
  reserve_grown(observed_places_, n_tokens);
  reserve_grown(tail_places_, n_tokens);
}

void SequenceSignals::begin_step(const kv::SequenceCells& cells, Ordinal first,
                                 std::span<const uint8_t> observed) noexcept {
  for (size_t i = 0; i < sums_.size(); ++i) {
    const int n_heads = config_->n_kv_heads;
    const int at = static_cast<int>(i);
    sums_[i].resize(cells.head(at / n_heads, at % n_heads).n_cells());
  }
  observed_places_.assign(observed.size(), -1);
  tail_places_.assign(observed.size(), -1);
  if (needs_.attention_window > 0) {
    for (size_t i = 0; i < observed.size(); ++i) {
      const Ordinal ordinal{first.value + static_cast<uint32_t>(i)};
      tail_places_[i] = tail_.place(ordinal);
      if (observed[i] != 0) observed_places_[i] = observed_.place(ordinal);
    }
  }
  const auto skip = static_cast<uint32_t>(needs_.moments_skip_first);
  n_skipped_ = first.value >= skip ? 0 : std::min<size_t>(skip - first.value, observed.size());
  n_moment_queries_ += static_cast<int64_t>(observed.size() - n_skipped_);
}

void SequenceSignals::take_queries(int layer, int q_head, const float* raw, size_t stride) {
  const auto d = static_cast<size_t>(config_->head_dim);
  const size_t at = static_cast<size_t>(q_head) * d;
  for (size_t i = 0; i < tail_places_.size(); ++i) {
    const float* query = raw + i * stride;
    if (tail_places_[i] >= 0) std::copy_n(query, d, tail_.row(layer, tail_places_[i]) + at);
    if (observed_places_[i] >= 0) {
      std::copy_n(query, d, observed_.row(layer, observed_places_[i]) + at);
    }
  }
  if (!needs_.query_moments) return;
  const auto head = static_cast<size_t>(layer * config_->n_q_heads + q_head);
  kernels::add_outer_products(raw + n_skipped_ * stride, stride, tail_places_.size() - n_skipped_,
                              d, query_sums_[head].data(), query_outers_[head].data());
}

void SequenceSignals::add_weights(int layer, int kv_head, std::span<const int64_t> sums) {
  const std::lock_guard lock(mutex_);
  std::vector<int64_t>& mine = sums_[head_at(layer, kv_head)];
  EBB_DCHECK(mine.size() == sums.size());
  constexpr int64_t kNaN = kernels::WeightSums::kNotANumber;
  for (size_t i = 0; i < sums.size(); ++i) {
    mine[i] = mine[i] < 0 || sums[i] < 0 ? kNaN : mine[i] + sums[i];
  }
}

void SequenceSignals::follow_drop(const kv::SequenceCells& cells) {
  for (size_t i = 0; i < sums_.size(); ++i) {
    const int at = static_cast<int>(i);
    const size_t n = cells.head(at / config_->n_kv_heads, at % config_->n_kv_heads).n_cells();
    EBB_CHECK(sums_[i].size() >= n);
    sums_[i].erase(sums_[i].begin(), sums_[i].end() - static_cast<ptrdiff_t>(n));
  }
}

void SequenceSignals::follow_evict(const kv::KeptCells& kept) {
  for (size_t i = 0; i < sums_.size(); ++i) {
    const auto n_heads = static_cast<size_t>(config_->n_kv_heads);
    std::vector<int64_t> out;
    for (const uint32_t cell : kept[i / n_heads][i % n_heads]) out.push_back(sums_[i][cell]);
    sums_[i] = std::move(out);
  }
}

void SequenceSignals::moments(int layer, int q_head, std::span<float> mean,
                              std::span<float> covariance) const {
  const auto d = static_cast<size_t>(config_->head_dim);
  const auto head = static_cast<size_t>(layer * config_->n_q_heads + q_head);
  const double part = 1.0 / static_cast<double>(std::max<int64_t>(1, n_moment_queries_));
  const float* sums = query_sums_[head].data();
  const float* outers = query_outers_[head].data();
  for (size_t a = 0; a < d; ++a) {
    const double centre = sums[a] * part;
    mean[a] = static_cast<float>(centre);
    for (size_t b = a; b < d; ++b) {
      const double here = outers[a * d + b] * part - centre * (sums[b] * part);
      covariance[a * d + b] = static_cast<float>(here);
    }
  }
  // The lower triangle, in squares that stay in the cache.
  constexpr size_t kSide = 16;
  for (size_t first = 0; first < d; first += kSide) {
    for (size_t column = 0; column <= first; column += kSide) {
      for (size_t a = first; a < std::min(first + kSide, d); ++a) {
        for (size_t b = column; b < std::min(column + kSide, a); ++b) {
          covariance[a * d + b] = covariance[b * d + a];
        }
      }
    }
  }
}

size_t SequenceSignals::bytes() const {
  size_t n = observed_.bytes() + tail_.bytes();
  for (const auto& sums : sums_) n += sums.size() * sizeof(int64_t);
  for (const auto& sums : query_sums_) n += sums.size() * sizeof(float);
  for (const auto& outer : query_outers_) n += outer.size() * sizeof(float);
  return n;
}

}  // namespace ebb::engine
