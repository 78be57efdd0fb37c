// Copies cells, content and description, between pages of one format.
#pragma once

#include <cstdint>

#include "kv/page.h"

namespace ebb::kv {

// Appends the cells [first, first + n) of one page to another, which has room.
void copy_cells(const CellFormat& format, const Page& from, uint32_t first, uint32_t n, Page& to);

// Copies one cell over another; both pages hold it already.
void move_cell(const CellFormat& format, const Page& from, uint32_t from_cell, Page& to,
               uint32_t to_cell);
// Copies the cells [first, first + n) of one page to [first + 1, first + n + 1), which are there.
void move_cells_up(const CellFormat& format, Page& page, uint32_t first, uint32_t n);

}  // namespace ebb::kv
