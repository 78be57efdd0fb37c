// A weight matrix repacked once for the linear kernels, at nearly the size it has in the file.
// It owns its copy, so the file's pages may be dropped afterwards.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "kernels/quantise.h"
#include "kernels/weight_type.h"

namespace ebb::kernels {

class PackedWeight {
 public:
  // Repacks rows that lie contiguously as in GGUF.  Shape: [n_in, n_out].
  // kReference keeps float32 copies; the others keep the file's integers and scales unchanged.
  // Throws: kBadModel when n_in is not a multiple of the type's block; kOutOfMemory.
  static PackedWeight pack(WeightType type, const void* data, int64_t n_in, int64_t n_out,
                           Arithmetic arithmetic, int n_threads);

  WeightType type() const { return type_; }  // as in the file
  Arithmetic arithmetic() const { return arithmetic_; }
  ActivationForm form() const { return activation_form(stored_type(), arithmetic_); }
  int64_t n_in() const { return n_in_; }
  int64_t n_out() const { return n_out_; }
  int64_t n_groups() const { return (n_out_ + 15) / 16; }
  size_t size_bytes() const { return group_bytes_ * static_cast<size_t>(n_groups()); }

  // What the kernels read: the type of the packed numbers and the groups of 16 outputs.
  WeightType stored_type() const {
    return arithmetic_ == Arithmetic::kReference ? WeightType::kF32 : type_;
  }
  size_t group_bytes() const { return group_bytes_; }
  const std::byte* group(int64_t index) const {
    return data_.get() + static_cast<size_t>(index) * group_bytes_;
  }

 private:
  struct Free {
    void operator()(std::byte* p) const { std::free(p); }
  };
  PackedWeight() = default;

  WeightType type_ = WeightType::kF32;
  Arithmetic arithmetic_ = Arithmetic::kStrict;
  int64_t n_in_ = 0;
  int64_t n_out_ = 0;
  size_t group_bytes_ = 0;
  std::unique_ptr<std::byte[], Free> data_;
};

}  // namespace ebb::kernels
