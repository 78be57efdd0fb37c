// How many threads the next step takes, learnt from how long steps took. Every operation of a step
// ends with a barrier; on cores that other programs use, a thread that was put aside keeps all
// others waiting, and fewer threads are faster. Results do not depend on the number.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace ebb::engine {

class ThreadChoice {
 public:
  // Requires: n_max >= 1.
  explicit ThreadChoice(int n_max);

  // For a step of n_rows that is worth at most n_useful threads: mostly what was fastest, now and
  // then another number in turn, which may have become faster.
  int choose(size_t n_rows, int n_useful);
  // The last step took so long with what was chosen for it.
  void note(double seconds);

 private:
  // Steps of about as many rows, whose times can be compared. A level is an index into counts_.
  struct Size {
    std::vector<double> seconds_per_row;  // [n_levels] moving average; 0 = not tried
    size_t best = 0;
    uint32_t n_steps = 0;
    size_t trial = 0;  // the level tried last
  };

  std::vector<int> counts_;     // numbers of threads: 1, 2, 4 ... n_max
  std::array<Size, 24> sizes_;  // by log2 of the rows
  Size* size_ = nullptr;        // of the step under way
  size_t level_ = 0;
  size_t n_rows_ = 1;
};

}  // namespace ebb::engine
