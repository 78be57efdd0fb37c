#include "engine/token_table.h"

#include "base/platform.h"
#include "tensor/types.h"

namespace ebb::engine {

TokenTable::TokenTable(const model::Model& model, size_t most_bytes_mapped)
    : table_(model.token_embedding()),
      row_bytes_(tensor::row_size_bytes(table_.type, table_.n_in)),
      scale_(model.config().embedding_scale),
      n_rows_most_(most_bytes_mapped / kFaultAroundBytes) {}

void TokenTable::read(int32_t id, std::span<float> out) const {
  const char* row = static_cast<const char*>(table_.data) + row_bytes_ * static_cast<size_t>(id);
  tensor::dequantise_row(table_.type, row, out);
  if (scale_ == 1.0F) return;
  for (float& x : out) x *= scale_;
}

void TokenTable::note_read(size_t n_rows) {
  n_rows_read_ += n_rows;
  if (n_rows_read_ < n_rows_most_) return;
  platform::forget_file_pages(table_.data, table_.size_bytes());
  n_rows_read_ = 0;
}

}  // namespace ebb::engine
