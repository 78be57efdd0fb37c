// One head's cells for the attention tests: random keys and values, laid out over pages of any
// shape, and attention over them as the formula says it, in double precision.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <span>
#include <vector>

#include "kernels/attention.h"
#include "kernels/numbers.h"

namespace ebb::kernels {

inline std::vector<float> normal_floats(size_t n, uint32_t seed, float scale = 1.0F) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0.0F, scale);
  std::vector<float> out(n);
  for (float& x : out) x = normal(generator);
  return out;
}

// Cells as numbers; keys and values already rounded to the type they are stored in.
struct HeadCase {
  AttentionShape shape;
  std::vector<uint32_t> ordinals;
  std::vector<float> keys;    // [head_dim, n_cells]
  std::vector<float> values;  // [head_dim, n_cells]
  std::vector<uint8_t> hidden;

  HeadCase(AttentionShape s, std::vector<uint32_t> cell_ordinals, uint32_t seed = 1)
      : shape(s), ordinals(std::move(cell_ordinals)), hidden(ordinals.size(), 0) {
    keys = rounded(normal_floats(ordinals.size() * dim(), seed, 1.5F));
    values = rounded(normal_floats(ordinals.size() * dim(), seed + 1));
  }

  size_t dim() const { return static_cast<size_t>(shape.head_dim); }
  size_t n_cells() const { return ordinals.size(); }

  // The same cells without those that are hidden.
  HeadCase without_hidden() const {
    HeadCase out = *this;
    out.ordinals.clear();
    out.keys.clear();
    out.values.clear();
    for (size_t i = 0; i < n_cells(); ++i) {
      if (hidden[i] != 0) continue;
      out.ordinals.push_back(ordinals[i]);
      const auto at = static_cast<std::ptrdiff_t>(i * dim());
      const auto d = static_cast<std::ptrdiff_t>(dim());
      out.keys.insert(out.keys.end(), keys.begin() + at, keys.begin() + at + d);
      out.values.insert(out.values.end(), values.begin() + at, values.begin() + at + d);
    }
    out.hidden.assign(out.ordinals.size(), 0);
    return out;
  }

 private:
  std::vector<float> rounded(std::vector<float> numbers) const {
    std::vector<std::byte> stored(numbers.size() * cell_type_bytes(shape.type));
    from_floats(shape.type, numbers.data(), numbers.size(), stored.data());
    to_floats(shape.type, stored.data(), numbers.size(), numbers.data());
    return numbers;
  }
};

// How many cells a page holds, and how many dead cells (NaN) stand before them in the page.
struct PageShape {
  uint32_t n_cells = 0;
  uint32_t n_dead = 0;
};

// The cells in memory as kv/ lays them out. Dead cells and unused lanes are NaN.
class PagedHead {
 public:
  // Pages past the end of `pages` repeat the last one.
  PagedHead(const HeadCase& head, std::span<const PageShape> pages) {
    for (size_t at = 0, p = 0; at < head.n_cells(); ++p) {
      const PageShape& page = pages[std::min(p, pages.size() - 1)];
      const auto left = static_cast<uint32_t>(head.n_cells() - at);
      const uint32_t n = std::min(page.n_cells, left);
      add_page(head, at, n, page.n_dead);
      at += n;
    }
    for (const PageMemory& page : memory_) {
      CellRun& run = runs.emplace_back();
      run.keys = page.keys.data();
      run.values = page.values.data();
      run.hidden = page.any_hidden ? page.hidden.data() : nullptr;
      run.begin = page.n_dead;
      run.end = static_cast<uint32_t>(page.ordinals.size());
      run.first = page.ordinals[page.n_dead];
      run.last = page.ordinals.back();
      if (run.has_gaps()) run.ordinals = page.ordinals.data();  // else nobody may want them
    }
  }

  std::vector<CellRun> runs;

 private:
  struct PageMemory {
    std::vector<std::byte> keys;
    std::vector<std::byte> values;
    std::vector<Ordinal> ordinals;
    std::vector<uint8_t> hidden;
    uint32_t n_dead = 0;
    bool any_hidden = false;
  };

  void add_page(const HeadCase& head, size_t first, uint32_t n, uint32_t n_dead) {
    const size_t d = head.dim();
    const size_t width = cell_type_bytes(head.shape.type);
    const size_t capacity = (n_dead + n + 15) / 16 * 16;
    std::vector<float> keys(capacity * d, std::numeric_limits<float>::quiet_NaN());
    std::vector<float> values = keys;
    PageMemory& page = memory_.emplace_back();
    page.n_dead = n_dead;
    page.ordinals.assign(n_dead, Ordinal{0});
    page.hidden.assign(n_dead, 0);
    for (uint32_t i = 0; i < n; ++i) {
      const size_t cell = n_dead + i;
      for (size_t c = 0; c < d; ++c) {
        keys[(cell / 16 * d + c) * 16 + cell % 16] = head.keys[(first + i) * d + c];
        values[cell * d + c] = head.values[(first + i) * d + c];
      }
      page.ordinals.push_back(Ordinal{head.ordinals[first + i]});
      page.hidden.push_back(head.hidden[first + i]);
      page.any_hidden = page.any_hidden || head.hidden[first + i] != 0;
    }
    page.keys.resize(capacity * d * width);
    page.values.resize(capacity * d * width);
    from_floats(head.shape.type, keys.data(), keys.size(), page.keys.data());
    from_floats(head.shape.type, values.data(), values.size(), page.values.data());
  }

  std::vector<PageMemory> memory_;  // moving a page does not move what its vectors hold
};

// One query head of one token, as a test states it.
struct Query {
  uint32_t ordinal = 0;
  std::vector<float> numbers;  // [head_dim]
};

inline std::vector<Query> make_queries(const HeadCase& head, std::span<const uint32_t> ordinals,
                                       uint32_t seed = 77) {
  std::vector<Query> out;
  for (const uint32_t ordinal : ordinals) {
    out.push_back({ordinal, normal_floats(head.dim(), seed++)});
  }
  return out;
}

// Output [head_dim, n_rows] of all queries in one call.
inline std::vector<float> attend_paged(const AttentionShape& shape, const PagedHead& head,
                                       std::span<const Query> queries,
                                       const WeightSums& statistics = {}) {
  const auto d = static_cast<size_t>(shape.head_dim);
  std::vector<float> out(queries.size() * d, -1.0F);
  std::vector<QueryRow> rows;
  for (size_t i = 0; i < queries.size(); ++i) {
    rows.push_back({queries[i].numbers.data(), Ordinal{queries[i].ordinal}, out.data() + i * d});
  }
  AttentionScratch scratch;
  attend(shape, head.runs, rows, scratch, statistics);
  return out;
}

struct ReferenceRow {
  std::vector<double> weights;  // [n_cells], 0 where not seen
  std::vector<double> out;      // [head_dim]
};

// softmax(cap(scale * K q) + mask) V in double.
inline ReferenceRow attend_reference(const HeadCase& head, const Query& query) {
  ReferenceRow out{std::vector<double>(head.n_cells(), 0.0), std::vector<double>(head.dim(), 0.0)};
  std::vector<double> scores(head.n_cells(), -std::numeric_limits<double>::infinity());
  for (size_t i = 0; i < head.n_cells(); ++i) {
    const uint32_t ordinal = head.ordinals[i];
    if (head.hidden[i] != 0 || ordinal > query.ordinal) continue;
    if (head.shape.window > 0 && query.ordinal - ordinal >= head.shape.window) continue;
    double dot = 0.0;
    for (size_t c = 0; c < head.dim(); ++c) {
      dot += static_cast<double>(query.numbers[c]) * head.keys[i * head.dim() + c];
    }
    scores[i] = dot * head.shape.scale;
    if (head.shape.softcap > 0.0F) {
      scores[i] = head.shape.softcap * std::tanh(scores[i] / head.shape.softcap);
    }
  }
  const double top = *std::max_element(scores.begin(), scores.end());
  if (std::isinf(top)) return out;
  double sum = 0.0;
  for (const double s : scores) sum += std::exp(s - top);
  for (size_t i = 0; i < head.n_cells(); ++i) {
    out.weights[i] = std::exp(scores[i] - top) / sum;
    for (size_t c = 0; c < head.dim(); ++c) {
      out.out[c] += out.weights[i] * head.values[i * head.dim() + c];
    }
  }
  return out;
}

}  // namespace ebb::kernels
