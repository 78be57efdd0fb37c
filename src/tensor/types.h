// What is asked about ggml's number types: names, row sizes, conversion to float. Every argument is
// checked here, because ggml aborts the process on a wrong one.
#pragma once

#include <ggml.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace ebb::tensor {

// The weight types that ebb computes with.
std::span<const ggml_type> supported_weight_types();
bool is_supported_weight_type(ggml_type type);
// "F32, F16, ...", for messages.
std::string supported_weight_type_names();

// "Q4_K"; "type 999" for a number that is no type.
std::string type_name(int64_t type);

// Whether ggml knows a type of this number with a block size (some numbers are retired).
bool is_storable_type(int64_t type);
// Numbers and bytes in one block.  Requires: is_storable_type.
int64_t block_length(ggml_type type);
size_t block_bytes(ggml_type type);
// Throws: kBadModel when n is not a positive multiple of the block length.
size_t row_size_bytes(ggml_type type, int64_t n);

// Row of out.size() numbers as float32.  Throws: kBadModel for an unsupported type or a length that
// is no multiple of the block length.
void dequantise_row(ggml_type type, const void* row, std::span<float> out);

}  // namespace ebb::tensor
