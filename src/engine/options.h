// How an engine computes. Every record names these.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/cell_type.h"

namespace ebb::engine {

// reference: float32 everywhere. strict: one arithmetic for every batch size, chunking and thread
// count. fast: per shape the fastest kernel. docs/methods.md has what each promises.
enum class Numerics { kReference, kStrict, kFast };

// Whose matrix products: ours, or ggml's for comparison with libllama.
enum class LinearKernels { kOwn, kGgml };

struct EngineOptions {
  Numerics numerics = Numerics::kStrict;
  LinearKernels kernels = LinearKernels::kOwn;
  int n_threads = 0;  // 0 = all usable cores, fewer for steps too small for them
  int n_rows_max =
      512;  // tokens computed together; changes speed and memory, never a strict result
  std::optional<CellType> cell_type;  // default: f32 for reference, f16 else
};

std::string_view numerics_name(Numerics numerics);
// The same with the edition of its arithmetic: another one where the same inputs give other bits
// than in an earlier version of ebb.
std::string_view arithmetic_edition(Numerics numerics);
// Throws: kUsage with the nearest name.
Numerics parse_numerics(std::string_view name);
LinearKernels parse_kernels(std::string_view name);

// The library that computes norms, activations and rotations: "ggml-0.25.3", with its commit where
// it knows it.
std::string tensor_library();

}  // namespace ebb::engine
