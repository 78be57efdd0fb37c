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
  // Numbers of threads: 1, 2, 4 ... n_max.
  struct Level {
    double seconds_per_row = 0;  // moving average; 0 = not tried
  };
  // Steps of about as many rows, whose times can be compared.
  struct Size {
    std::vector<Level> levels;
    size_t best = 0;
    uint32_t n_steps = 0;
    size_t trial = 0;  // the level tried last
  };

  std::vector<int> counts_;
  std::array<Size, 24> sizes_;  // by log2 of the rows
  Size* size_ = nullptr;        // of the step under way
  size_t level_ = 0;
  size_t n_rows_ = 1;
};

}  // namespace ebb::engine
