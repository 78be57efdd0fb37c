// The cell store written down plainly: a vector of cells per layer and head. The tests drive it and
// the real store with the same operations and compare everything that can be read.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "kv/sequence_cells.h"

namespace ebb::kv {

// A key is its tag in every channel, plus the positions it was turned by: turning adds.
inline void add_to_keys(const CellFormat& format, const Page& page, std::span<const int32_t> deltas,
                        std::byte* dst) {
  for (uint32_t cell = 0; cell < page.n_cells; ++cell) {
    for (int c = 0; c < format.head_dim; ++c) {
      const size_t at = format.key_at(cell, c);
      reinterpret_cast<float*>(dst)[at] =
          reinterpret_cast<const float*>(page.data)[at] + static_cast<float>(deltas[cell]);
    }
  }
}

struct ModelCell {
  uint32_t ordinal = 0;
  uint16_t span = 0;
  float tag = 0.0F;   // what key and value were written as
  int32_t delta = 0;  // positions that the key was turned by
  bool hidden = false;

  bool operator==(const ModelCell&) const = default;
};

struct ModelHead {
  std::vector<ModelCell> cells;
  int32_t pos_shift = 0;
};

// One sequence in both stores.
class ComparedSequence {
 public:
  ComparedSequence(PagePool& pool, const StoreShape& shape, PositionMode mode)
      : cells_(pool, shape, mode),
        model_(static_cast<size_t>(shape.n_layers()),
               std::vector<ModelHead>(static_cast<size_t>(shape.n_kv_heads))) {}

  // What was appended before cannot be taken back after this: its pages are shared.
  ComparedSequence fork() {
    n_fresh_ = 0;
    return ComparedSequence(*this, cells_.fork());
  }
  const SequenceCells& cells() const { return cells_; }
  const std::vector<std::vector<ModelHead>>& model() const { return model_; }

  // Appends n tokens and writes them as the engine does; every written number is unique.
  void append(uint32_t n, float& next_tag) {
    std::vector<SpanId> spans;
    for (uint32_t i = 0; i < n; ++i)
      spans.push_back(SpanId{static_cast<uint16_t>((next_ + i) % 7)});
    cells_.append(spans);
    for_each_head([&](int layer, int h, ModelHead& head) {
      const float first_tag = next_tag;
      for (uint32_t i = 0; i < n; ++i) {
        const bool turns = derives(head) && cells_.mode() == PositionMode::kCompact;
        head.cells.push_back({next_ + i, spans[i].value, next_tag++, turns ? head.pos_shift : 0});
      }
      write_tail(cells_.head(layer, h), n, first_tag);
    });
    next_ += n;
    n_fresh_ = n;
  }

  // Takes back tokens of the newest append only, as the engine does after a failed step.
  void truncate(uint32_t n) {
    n = std::min(n, n_fresh_);
    cells_.truncate(n);
    for_each_head([&](int, int, ModelHead& head) { head.cells.resize(head.cells.size() - n); });
    next_ -= n;
    n_fresh_ -= n;
  }

  void drop_invisible() {
    uint64_t n_dropped = 0;
    for_each_head([&](int layer, int, ModelHead& head) {
      const uint32_t window = cells_.shape().windows[static_cast<size_t>(layer)];
      if (window == 0) return;
      n_dropped += std::erase_if(
          head.cells, [&](const ModelCell& cell) { return next_ - cell.ordinal >= window; });
    });
    n_fresh_ = 0;
    EXPECT_EQ(cells_.drop_invisible(), n_dropped);
  }

  // keeps(layer, head, i) says whether the i-th cell stays.
  template <typename Keeps>
  void evict(Keeps keeps) {
    const KeptCells kept = select(keeps);
    const CellLoss loss = cells_.evict(
        kept, [this](int, const Page& page, std::span<const int32_t> deltas, std::byte* dst) {
          add_to_keys(cells_.format(), page, deltas, dst);
        });
    uint64_t n_gone = 0;
    for_each_head([&](int layer, int h, ModelHead& head) {
      const auto& mine = kept[static_cast<size_t>(layer)][static_cast<size_t>(h)];
      if (mine.size() == head.cells.size()) return;
      n_gone += head.cells.size() - mine.size();
      std::vector<ModelCell> left;
      for (const uint32_t i : mine) left.push_back(head.cells[i]);
      head.cells = std::move(left);
      renumber(head);
    });
    n_fresh_ = 0;
    EXPECT_EQ(loss.n_by_treatment, n_gone);
  }

  template <typename Keeps>
  void hide(Keeps keeps) {
    const KeptCells kept = select(keeps);
    cells_.hide_all_but(kept);
    for_each_head([&](int layer, int h, ModelHead& head) {
      const auto& mine = kept[static_cast<size_t>(layer)][static_cast<size_t>(h)];
      for (uint32_t i = 0; i < head.cells.size(); ++i) {
        if (!std::binary_search(mine.begin(), mine.end(), i)) head.cells[i].hidden = true;
      }
    });
    n_fresh_ = 0;
  }

  // What differs between the two stores, in words; empty = nothing.
  std::string difference() const {
    if (cells_.next_ordinal().value != next_) return "next ordinal";
    uint64_t n_total = 0;
    for (size_t layer = 0; layer < model_.size(); ++layer) {
      for (size_t h = 0; h < model_[layer].size(); ++h) {
        const ModelHead& want = model_[layer][h];
        const HeadCells& have = cells_.head(static_cast<int>(layer), static_cast<int>(h));
        const std::string where =
            " in layer " + std::to_string(layer) + " head " + std::to_string(h);
        if (have.n_cells() != want.cells.size()) return "n_cells" + where;
        if (have.pos_shift() != want.pos_shift) return "pos_shift" + where;
        if (read(have) != want.cells) return "cells" + where;
        n_total += want.cells.size();
      }
    }
    if (cells_.n_cells_total() != n_total) return "n_cells_total";
    if (cells_.bytes_cells() != n_total * cells_.format().cell_bytes()) return "bytes_cells";
    return "";
  }

 private:
  ComparedSequence(const ComparedSequence& other, SequenceCells cells)
      : cells_(std::move(cells)), model_(other.model_), next_(other.next_) {}

  static bool derives(const ModelHead& head) { return head.pos_shift != 0; }

  void renumber(ModelHead& head) const {
    if (cells_.mode() == PositionMode::kOriginal) return;
    head.pos_shift = static_cast<int32_t>(head.cells.size()) - static_cast<int32_t>(next_);
    if (cells_.mode() == PositionMode::kColliding) return;
    for (size_t i = 0; i < head.cells.size(); ++i) {
      head.cells[i].delta = static_cast<int32_t>(i) - static_cast<int32_t>(head.cells[i].ordinal);
    }
  }

  template <typename Visit>
  void for_each_head(Visit visit) {
    for (size_t layer = 0; layer < model_.size(); ++layer) {
      for (size_t h = 0; h < model_[layer].size(); ++h) {
        visit(static_cast<int>(layer), static_cast<int>(h), model_[layer][h]);
      }
    }
  }

  template <typename Keeps>
  KeptCells select(Keeps keeps) {
    KeptCells kept(model_.size());
    for_each_head([&](int layer, int h, ModelHead& head) {
      auto& mine = kept[static_cast<size_t>(layer)].emplace_back();
      for (uint32_t i = 0; i < head.cells.size(); ++i) {
        if (keeps(layer, h, i)) mine.push_back(i);
      }
    });
    return kept;
  }

  void write_tail(const HeadCells& head, uint32_t n, float first_tag) {
    const CellFormat& format = cells_.format();
    for (size_t p = head.parts().size(); p-- > 0 && n > 0;) {
      const HeadCells::Part& part = head.parts()[p];
      for (uint32_t cell = part.page->n_cells; cell-- > 0 && n > 0;) {
        --n;
        const float tag = first_tag + static_cast<float>(n);
        auto* keys = reinterpret_cast<float*>(part.page->data);
        auto* values = reinterpret_cast<float*>(part.page->data + format.key_page_bytes());
        for (int c = 0; c < format.head_dim; ++c) {
          keys[format.key_at(cell, c)] = tag;
          values[format.value_at(cell, c)] = tag;
          if (part.keys == nullptr) continue;
          reinterpret_cast<float*>(part.keys->data)[format.key_at(cell, c)] =
              tag + static_cast<float>(head.pos_shift());
        }
      }
    }
    EXPECT_EQ(n, 0U);
  }

  // What a part says of its page is what the page holds.
  static void expect_described(const HeadCells::Part& part) {
    const Page& page = *part.page;
    ASSERT_EQ(part.n_cells, page.n_cells);
    EXPECT_EQ(part.page_data, page.data);
    EXPECT_EQ(part.key_data, part.keys == nullptr ? page.data : part.keys->data);
    EXPECT_EQ(part.has_hidden, page.has_hidden);
    ASSERT_GT(page.n_cells, 0U);
    EXPECT_EQ(part.first, page.ordinals.front());
    EXPECT_EQ(part.last, page.ordinals.back());
    for (const SpanId span : page.spans) {
      if (part.has_one_span) {
        EXPECT_EQ(span, part.span);
      }
    }
  }

  // Reads every cell; a tag of -1 where channels disagree, the delta from the keys in use.
  std::vector<ModelCell> read(const HeadCells& head) const {
    const CellFormat& format = cells_.format();
    std::vector<ModelCell> out;
    uint32_t first = head.n_skipped();
    for (const HeadCells::Part& part : head.parts()) {
      expect_described(part);
      const auto* stored = reinterpret_cast<const float*>(part.page->data);
      const auto* used = part.keys == nullptr ? stored : reinterpret_cast<float*>(part.keys->data);
      const auto* values = reinterpret_cast<float*>(part.page->data + format.key_page_bytes());
      for (uint32_t cell = first; cell < part.page->n_cells; ++cell) {
        float tag = stored[format.key_at(cell, 0)];
        const float turned = used[format.key_at(cell, 0)] - tag;
        for (int c = 0; c < format.head_dim; ++c) {
          const size_t key = format.key_at(cell, c);
          if (stored[key] != tag || used[key] != tag + turned) tag = -1.0F;
          if (values[format.value_at(cell, c)] != tag) tag = -1.0F;
        }
        out.push_back({part.page->ordinals[cell].value, part.page->spans[cell].value, tag,
                       static_cast<int32_t>(turned), part.page->hidden[cell] != 0});
      }
      first = 0;
    }
    return out;
  }

  SequenceCells cells_;
  std::vector<std::vector<ModelHead>> model_;
  uint32_t next_ = 0;
  uint32_t n_fresh_ = 0;
};

// Physical bytes by walking every page of every sequence, shared ones once.
inline size_t count_live_bytes(const PagePool& pool, std::span<const SequenceCells* const> all) {
  std::set<const Page*> pages;
  std::set<const KeyPage*> keys;
  for (const SequenceCells* cells : all) {
    for (int layer = 0; layer < cells->shape().n_layers(); ++layer) {
      for (int h = 0; h < cells->shape().n_kv_heads; ++h) {
        for (const HeadCells::Part& part : cells->head(layer, h).parts()) {
          pages.insert(part.page);
          if (part.keys != nullptr) keys.insert(part.keys);
        }
      }
    }
  }
  return pages.size() * pool.page_cost() + keys.size() * pool.key_page_cost();
}

}  // namespace ebb::kv
