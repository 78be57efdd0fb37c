#include "bench/hf_golden.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>

#include "base/error.h"
#include "record/npy.h"

namespace ebb::bench {
namespace {

// int32 [n_rows, 256] in C order, as NumPy writes it.
std::vector<int32_t> read_top(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(in), {}};
  if (!in || bytes.substr(0, 128).find("'<i4'") == std::string::npos) {
    throw Error::make(ErrorKind::kStorage, "{}: found no int32 array", path.string());
  }
  const size_t header = 10 + static_cast<uint8_t>(bytes[8]) + 256U * static_cast<uint8_t>(bytes[9]);
  std::vector<int32_t> out((bytes.size() - header) / sizeof(int32_t));
  std::memcpy(out.data(), bytes.data() + header, out.size() * sizeof(int32_t));
  return out;
}

}  // namespace

HfGolden::HfGolden(const std::filesystem::path& base)
    : top_(read_top(base.string() + ".top.npy")),
      logprob_(record::read_npy(base.string() + ".logprob.npy").values) {
  EBB_CHECK(logprob_.size() == n_rows() * (kTop + 1));
}

double HfGolden::kl(size_t row, std::span<const float> logits) const {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double total = 0.0;
  for (const float x : logits) total += std::exp(x - largest);
  const double norm = largest + std::log(total);
  double rest = 1.0;
  double out = 0.0;
  for (size_t i = 0; i < kTop; ++i) {
    const double p = logprob_[row * (kTop + 1) + i];
    const double q = logits[static_cast<size_t>(top_[row * kTop + i])] - norm;
    out += std::exp(p) * (p - q);
    rest -= std::exp(q);
  }
  const double p_rest = logprob_[row * (kTop + 1) + kTop];
  return out + std::exp(p_rest) * (p_rest - std::log(std::max(rest, 1e-30)));
}

}  // namespace ebb::bench
