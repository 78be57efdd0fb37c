// The rows of the embedding table, read from the mapped file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "model/model.h"

namespace ebb::engine {

// What a row brings along that lies far from all others: a page fault on a cached file maps its
// neighbours too. Measured on Linux: 130 kB a row, over 2,048 rows of the shape of Gemma 3 12B.
constexpr size_t kFaultAroundBytes = size_t{128} << 10;
// What rows that were read may keep mapped, unless told otherwise. A step may go over it.
constexpr size_t kTableBytesMapped = size_t{64} << 20;

// Threads: read() any number, also of other engines on the same model while note_read() gives pages
// back: the file is mapped read-only, and a page that is read again comes back.
class TokenTable {
 public:
  explicit TokenTable(const model::Model& model, size_t most_bytes_mapped = kTableBytesMapped);

  // The row of a token times the model's embedding scale: out[n_embd].
  void read(int32_t id, std::span<float> out) const;
  // A few thousand rows far apart map the whole table, half a gigabyte for a large vocabulary.
  // After enough of them its pages are given back; those in use come back by themselves.
  void note_read(size_t n_rows);

 private:
  const model::Weight& table_;
  size_t row_bytes_;
  float scale_;
  size_t n_rows_most_;
  size_t n_rows_read_ = 0;
};

}  // namespace ebb::engine
