// Attention of sequences that share their first cells, and of one that is cut into parts: not one
// bit may differ from attend() of each alone.
#include <gtest/gtest.h>

#include "attention_case.h"
#include "dice.h"
#include "property.h"

namespace ebb::kernels {
namespace {

std::vector<uint32_t> ordinals_from(uint32_t first, size_t n, Dice& dice) {
  std::vector<uint32_t> out;
  for (size_t i = 0; i < n; ++i) out.push_back(first += 1 + dice(3));
  return out;
}

std::vector<PageShape> random_pages(Dice& dice) {
  std::vector<PageShape> pages;
  for (int i = 0; i < 6; ++i) pages.push_back({1 + dice(64), dice(16)});
  return pages;
}

// Rows of one sequence, and where attend() and the other way put their results.
struct Rows {
  Rows(const HeadCase& head, std::span<const uint32_t> at, uint32_t seed)
      : queries(make_queries(head, at, seed)),
        alone(queries.size() * head.dim()),
        other(queries.size() * head.dim(), -1.0F) {}

  std::vector<QueryRow> into(std::vector<float>& out) const {
    const size_t d = out.size() / queries.size();
    std::vector<QueryRow> rows;
    for (size_t i = 0; i < queries.size(); ++i) {
      rows.push_back({queries[i].numbers.data(), Ordinal{queries[i].ordinal}, &out[i * d]});
    }
    return rows;
  }

  std::vector<Query> queries;
  std::vector<float> alone;
  std::vector<float> other;
};

AttentionShape random_shape() {
  return {.head_dim = *rc::gen::element(16, 64, 80),
          .type = *rc::gen::element(CellType::kF32, CellType::kF16, CellType::kBf16),
          .scale = 0.2F,
          .softcap = *rc::gen::element(0.0F, 3.0F),
          .window = *rc::gen::element(0U, 40U, 600U)};
}

TEST(AttentionOfSharedCells, DiffersInNoBitFromEachAlone) {
  check_property(100, [] {
    const AttentionShape shape = random_shape();
    const auto seed = *rc::gen::arbitrary<uint32_t>();
    Dice dice(seed);
    // The members share cells past the last whole block as well: those are read with their own.
    const HeadCase head(shape, ordinals_from(0, 300 + dice(700), dice), seed);
    const uint32_t last = head.ordinals.back();
    const uint32_t n_shared = last / kOrdinalBlock * kOrdinalBlock;
    const PagedHead prefix(head, random_pages(dice));
    const size_t n_members = 1 + dice(8);
    std::vector<PagedHead> tails;
    std::vector<std::vector<CellRun>> runs;
    std::vector<Rows> rows;
    for (uint32_t m = 0; m < n_members; ++m) {
      const HeadCase tail(shape, ordinals_from(last, 1 + dice(400), dice), seed + m + 1);
      tails.emplace_back(tail, random_pages(dice));
      runs.push_back(prefix.runs);
      runs.back().insert(runs.back().end(), tails.back().runs.begin(), tails.back().runs.end());
      std::vector<uint32_t> at;
      for (uint32_t i = 0; i < 1 + dice(6); ++i) at.push_back(tail.ordinals.back() + dice(20));
      rows.emplace_back(tail, at, seed + 100 * m);
    }
    AttentionScratch scratch;
    std::vector<AttentionMember> members;
    std::vector<std::vector<QueryRow>> kept;
    for (size_t m = 0; m < n_members; ++m) {
      attend(shape, runs[m], rows[m].into(rows[m].alone), scratch);
      kept.push_back(rows[m].into(rows[m].other));
    }
    for (size_t m = 0; m < n_members; ++m) members.push_back({runs[m], kept[m]});
    attend_shared(shape, members, n_shared, scratch);
    for (const Rows& one : rows) RC_ASSERT(one.alone == one.other);
  });
}

// What a thread reads next is asked for ahead. That changes no number; what can go wrong is a place
// outside the lists, which the sanitizers see.
TEST(AttentionAhead, WhatIsExpectedChangesNoBit) {
  check_property(100, [] {
    const AttentionShape shape = random_shape();
    const auto seed = *rc::gen::arbitrary<uint32_t>();
    Dice dice(seed);
    const HeadCase head(shape, ordinals_from(0, 1 + dice(700), dice), seed);
    const HeadCase after(shape, ordinals_from(dice(600), 1 + dice(700), dice), seed + 1);
    const PagedHead paged(head, random_pages(dice));
    const PagedHead next(after, random_pages(dice));
    std::vector<uint32_t> at;
    for (uint32_t i = 0; i < 1 + dice(6); ++i) at.push_back(dice(head.ordinals.back() + 20));
    Rows rows(head, at, seed);
    AttentionScratch scratch;
    attend(shape, paged.runs, rows.into(rows.alone), scratch);
    scratch.expect(next.runs, dice(2) == 0 ? 0 : dice(800));
    attend(shape, paged.runs, rows.into(rows.other), scratch);
    RC_ASSERT(rows.alone == rows.other);
  });
}

TEST(AttentionInParts, DiffersInNoBitFromOnePass) {
  check_property(100, [] {
    const AttentionShape shape = random_shape();
    const auto seed = *rc::gen::arbitrary<uint32_t>();
    Dice dice(seed);
    const HeadCase head(shape, ordinals_from(0, 1 + dice(1500), dice), seed);
    const PagedHead paged(head, random_pages(dice));
    std::vector<uint32_t> at;
    for (uint32_t i = 0; i < 1 + dice(6); ++i) at.push_back(dice(head.ordinals.back() + 20));
    Rows rows(head, at, seed);
    AttentionScratch scratch;
    attend(shape, paged.runs, rows.into(rows.alone), scratch);
    const std::vector<QueryRow> cut = rows.into(rows.other);
    BlockResults results;
    results.reserve(n_blocks_at_most(paged.runs), cut.size(), head.dim());
    const size_t n_parts = 1 + dice(5);
    for (size_t part = n_parts; part-- > 0;) {  // whichever comes first
      attend_part(shape, paged.runs, cut, part, n_parts, results, scratch);
    }
    merge_parts(shape, cut, results);
    RC_ASSERT(rows.alone == rows.other);
  });
}

}  // namespace
}  // namespace ebb::kernels
