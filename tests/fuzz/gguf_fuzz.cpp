// A model file: header, hyper-parameters, tensor set, vocabulary, weights.
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/error.h"
#include "model/first_touch.h"
#include "model/model.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const auto bytes = std::as_bytes(std::span(data, size));
    const auto model = ebb::model::Model::from_file(ebb::model::GgufFile::view(bytes, "fuzz.gguf"));
    ebb::model::check_weights_finite(model->file());
  } catch (const ebb::Error& error) {
    if (error.kind() != ebb::ErrorKind::kBadModel) __builtin_trap();
  }
  return 0;
}
