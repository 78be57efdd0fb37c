#include "tensor/types.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "base/error.h"

namespace ebb::tensor {
namespace {

constexpr std::array kSupported = {GGML_TYPE_F32,  GGML_TYPE_F16,  GGML_TYPE_BF16, GGML_TYPE_Q4_0,
                                   GGML_TYPE_Q4_1, GGML_TYPE_Q5_0, GGML_TYPE_Q5_1, GGML_TYPE_Q8_0,
                                   GGML_TYPE_Q4_K, GGML_TYPE_Q5_K, GGML_TYPE_Q6_K};

}  // namespace

std::span<const ggml_type> supported_weight_types() { return kSupported; }

bool is_supported_weight_type(ggml_type type) {
  return std::find(kSupported.begin(), kSupported.end(), type) != kSupported.end();
}

std::string supported_weight_type_names() {
  std::vector<std::string> names;
  for (const ggml_type type : kSupported) names.push_back(type_name(type));
  return fmt::format("{}", fmt::join(names, ", "));
}

std::string type_name(int64_t type) {
  if (!is_storable_type(type)) return fmt::format("type {}", type);
  std::string name = ggml_type_name(static_cast<ggml_type>(type));
  std::transform(name.begin(), name.end(), name.begin(), [](char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  });
  return name;
}

bool is_storable_type(int64_t type) {
  if (type < 0 || type >= GGML_TYPE_COUNT) return false;
  const auto known = static_cast<ggml_type>(type);
  return ggml_blck_size(known) > 0 && ggml_type_size(known) > 0;
}

int64_t block_length(ggml_type type) {
  EBB_CHECK(is_storable_type(type));
  return ggml_blck_size(type);
}

size_t block_bytes(ggml_type type) {
  EBB_CHECK(is_storable_type(type));
  return ggml_type_size(type);
}

size_t row_size_bytes(ggml_type type, int64_t n) {
  const int64_t block = block_length(type);
  if (n <= 0 || n % block != 0) {
    throw Error::make(ErrorKind::kBadModel,
                      "a row of {}: found {} numbers, expected a multiple of {}", type_name(type),
                      n, block);
  }
  return static_cast<size_t>(n / block) * block_bytes(type);
}

void dequantise_row(ggml_type type, const void* row, std::span<float> out) {
  if (!is_supported_weight_type(type)) {
    throw Error::make(ErrorKind::kBadModel, "found {}, expected one of {}", type_name(type),
                      supported_weight_type_names());
  }
  const size_t n_bytes = row_size_bytes(type, static_cast<int64_t>(out.size()));
  if (type == GGML_TYPE_F32) {  // ggml has no conversion for it
    std::memcpy(out.data(), row, n_bytes);
    return;
  }
  ggml_get_type_traits(type)->to_float(row, out.data(), static_cast<int64_t>(out.size()));
}

}  // namespace ebb::tensor
