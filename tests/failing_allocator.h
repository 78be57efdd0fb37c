// Lets one chosen allocation of the program fail, so that a test can try every place in turn.
// Its source replaces operator new of the whole test program.
#pragma once

#include <atomic>

namespace ebb {

class FailingAllocator {
 public:
  enum class Threads { kThis, kOthers };

  // The n-th allocation from now on, counted from 0, throws std::bad_alloc; once.
  explicit FailingAllocator(long n, Threads threads = Threads::kThis) {
    is_mine_ = true;
    counts_mine_ = threads == Threads::kThis;
    has_failed_ = false;
    n_left_ = n;
  }
  ~FailingAllocator() {
    n_left_ = kNever;
    is_mine_ = false;
  }
  FailingAllocator(const FailingAllocator&) = delete;
  FailingAllocator& operator=(const FailingAllocator&) = delete;

  bool has_failed() const { return has_failed_; }

  static bool fails_now() {
    if (n_left_ < 0 || is_mine_ != counts_mine_) return false;
    if (n_left_-- != 0) return false;
    has_failed_ = true;
    return true;
  }

 private:
  static constexpr long kNever = -1;
  static inline std::atomic<long> n_left_{kNever};
  static inline std::atomic<bool> counts_mine_{true};
  static inline std::atomic<bool> has_failed_{false};
  static inline thread_local bool is_mine_ = false;
};

}  // namespace ebb
