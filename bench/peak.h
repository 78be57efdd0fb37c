// The most products of small integers that the processor's vector units do, measured: what bounds a
// long prompt, as memory bounds a single sequence.
#pragma once

#include <string>

namespace ebb::bench {

struct ProductPeak {
  double per_second = 0.0;  // multiply-adds over all threads; 0 where nothing here measures them
  std::string instruction;
};
ProductPeak measure_product_peak(int n_threads);

}  // namespace ebb::bench
