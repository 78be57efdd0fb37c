#include "engine/thread_choice.h"

#include <algorithm>
#include <bit>

#include "base/error.h"

namespace ebb::engine {
namespace {

// One step in so many tries another number. On two cores that costs under one in a hundred of the
// time; on many more, since a trial with one thread takes as many times longer.
constexpr uint32_t kTrialEvery = 96;
constexpr uint32_t kFirstTrial = 8;
// Of a new time in the average: one step may meet an accident.
constexpr double kWeight = 0.25;
// What one trial of another number must gain over the average: otherwise noise would move the
// choice to and fro.
constexpr double kGain = 0.95;

}  // namespace

ThreadChoice::ThreadChoice(int n_max) {
  EBB_CHECK(n_max >= 1);
  for (int n = 1; n < n_max; n *= 2) counts_.push_back(n);
  counts_.push_back(n_max);
  for (Size& size : sizes_) {
    size.seconds_per_row.resize(counts_.size());
    size.best = size.trial = counts_.size() - 1;
  }
}

int ThreadChoice::choose(size_t n_rows, int n_useful) {
  n_rows_ = std::max<size_t>(n_rows, 1);
  const auto bucket = static_cast<size_t>(std::bit_width(n_rows_)) - 1;
  size_ = &sizes_[std::min(bucket, sizes_.size() - 1)];
  level_ = size_->best;
  if (++size_->n_steps % kTrialEvery == kFirstTrial && counts_.size() > 1) {
    do {
      size_->trial = (size_->trial + counts_.size() - 1) % counts_.size();
    } while (size_->trial == size_->best);
    level_ = size_->trial;
  }
  while (level_ > 0 && counts_[level_ - 1] >= n_useful) --level_;
  return std::min(counts_[level_], std::max(n_useful, 1));
}

void ThreadChoice::note(double seconds) {
  EBB_CHECK(size_ != nullptr);
  double& average = size_->seconds_per_row[level_];
  const double each = seconds / static_cast<double>(n_rows_);
  average = average == 0 ? each : (1 - kWeight) * average + kWeight * each;
  if (level_ == size_->best) return;
  const double now = size_->seconds_per_row[size_->best];
  if (now > 0 && each < kGain * now) size_->best = level_;
}

}  // namespace ebb::engine
