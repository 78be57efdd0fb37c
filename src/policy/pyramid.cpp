// PyramidKV's budgets (arXiv:2406.02069): a straight line over the layers, more cells in low
// layers. Two forms: the paper's, with the window on top of the line and a total that is exact, and
// kvpress' (window inside the line, every layer rounded by itself). Both say so when they fall back
// to uniform.
#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "policy/allocator.h"

namespace ebb::policy {

std::vector<std::string> allocate_pyramid(const Allocator& allocator,
                                          std::span<const std::span<HeadWork>> layers);

namespace {

struct LayerSize {
  int64_t budget = 0;
  int64_t n_cells = 0;
  int64_t window = 0;
};

// Of the fullest head: heads of a layer share one budget here.
LayerSize size_of(std::span<const HeadWork> heads) {
  LayerSize size;
  for (const HeadWork& head : heads) {
    size.budget = std::max(size.budget, head.budget);
    size.n_cells = std::max(size.n_cells, head.n_cells());
    size.window = std::max(size.window, std::min(head.forced.last_cells, head.n_cells()));
  }
  return size;
}

void set_layer(std::span<HeadWork> heads, int64_t count) {
  for (HeadWork& head : heads) head.count = std::clamp<int64_t>(count, 0, head.n_cells());
}

std::string fell_back(std::string_view name, const std::string& reason) {
  return fmt::format("allocator {} fell back to uniform: {}", name, reason);
}

std::vector<std::string> uniform(std::span<const std::span<HeadWork>> layers, std::string notice) {
  for (const auto& heads : layers) {
    for (HeadWork& head : heads) head.count = head.budget;
  }
  return {std::move(notice)};
}

// kvpress: mn = B / beta, mx = 2B - mn, clipped to n - w; round() is to even.
std::vector<std::string> as_kvpress(const Allocator& allocator,
                                    std::span<const std::span<HeadWork>> layers) {
  const auto last = static_cast<double>(layers.size() - 1);
  std::vector<int64_t> counts;
  for (size_t l = 0; l < layers.size(); ++l) {
    const LayerSize size = size_of(layers[l]);
    const auto budget = static_cast<double>(size.budget);
    double low = budget / static_cast<double>(allocator.beta);
    double high = 2.0 * budget - low;
    if (high >= static_cast<double>(size.n_cells - size.window)) {
      high = static_cast<double>(size.n_cells - size.window);
      low = 2.0 * budget - high;
    }
    const bool fits = static_cast<double>(size.n_cells) >= high && high >= low &&
                      low >= static_cast<double>(size.window);
    if (!fits) {
      return uniform(layers,
                     fell_back("pyramid_kvpress",
                               fmt::format("the top layer would keep {:.1f} cells, fewer than "
                                           "the window of {}, or more than there are",
                                           low, size.window)));
    }
    counts.push_back(std::llrint(high - static_cast<double>(l) * (high - low) / last));
  }
  for (size_t l = 0; l < layers.size(); ++l) set_layer(layers[l], counts[l]);
  return {};
}

// The authors' code: base = B - w, mn = base / beta in integers, mx = 2 base - mn, plus w
// everywhere. Deviation: the line is rounded by largest remainder, so that the layers add up to
// n_layers * B.
std::vector<std::string> as_paper(const Allocator& allocator,
                                  std::span<const std::span<HeadWork>> layers) {
  std::vector<int64_t> weights;
  std::vector<int64_t> lower(layers.size(), 0);
  std::vector<int64_t> upper;
  std::vector<int64_t> windows;
  int64_t total = 0;
  const auto last = static_cast<int64_t>(layers.size()) - 1;
  for (int64_t l = 0; l <= last; ++l) {
    const LayerSize size = size_of(layers[static_cast<size_t>(l)]);
    const int64_t base = size.budget - size.window;
    const int64_t room = size.n_cells - size.window;
    if (base < 1) return uniform(layers, fell_back("pyramid", "the window takes the whole budget"));
    if (size.n_cells < 2 * base && size.n_cells > size.budget) {
      return uniform(layers,
                     fell_back("pyramid", fmt::format("{} cells are fewer than twice the budget "
                                                      "without the window ({})",
                                                      size.n_cells, base)));
    }
    int64_t low = base / allocator.beta;
    int64_t high = 2 * base - low;
    if (high >= room) {
      high = room;
      low = std::max<int64_t>(0, 2 * base - high);
    }
    weights.push_back(high * last - l * (high - low));
    upper.push_back(room);
    windows.push_back(size.window);
    total += base;
  }
  const std::vector<int64_t> shares = apportion(total, weights, lower, upper);
  for (size_t l = 0; l < layers.size(); ++l) set_layer(layers[l], shares[l] + windows[l]);
  return {};
}

}  // namespace

std::vector<std::string> allocate_pyramid(const Allocator& allocator,
                                          std::span<const std::span<HeadWork>> layers) {
  const bool is_kvpress = allocator.kind == AllocatorKind::kPyramidKvpress;
  if (layers.size() < 2) {
    return uniform(layers,
                   fell_back(is_kvpress ? "pyramid_kvpress" : "pyramid", "fewer than two layers"));
  }
  return is_kvpress ? as_kvpress(allocator, layers) : as_paper(allocator, layers);
}

}  // namespace ebb::policy
