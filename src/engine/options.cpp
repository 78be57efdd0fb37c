#include "engine/options.h"

#include <fmt/format.h>
#include <ggml.h>

#include <string>
#include <vector>

#include "base/error.h"
#include "base/text.h"

namespace ebb::engine {

std::string_view numerics_name(Numerics numerics) {
  switch (numerics) {
    case Numerics::kReference:
      return "reference";
    case Numerics::kStrict:
      return "strict";
    case Numerics::kFast:
      return "fast";
  }
  return "?";
}

std::string_view arithmetic_edition(Numerics numerics) {
  // 2: the last feed-forward has 15-bit activations.
  return numerics == Numerics::kFast ? "fast.2" : numerics_name(numerics);
}

Numerics parse_numerics(std::string_view name) {
  for (const Numerics numerics : {Numerics::kReference, Numerics::kStrict, Numerics::kFast}) {
    if (name == numerics_name(numerics)) return numerics;
  }
  const std::vector<std::string> known{"reference", "strict", "fast"};
  throw Error::make(ErrorKind::kUsage,
                    "unknown numerics '{}': expected reference, strict or fast{}", name,
                    did_you_mean(name, known));
}

LinearKernels parse_kernels(std::string_view name) {
  if (name == "own") return LinearKernels::kOwn;
  if (name == "ggml") return LinearKernels::kGgml;
  throw Error::make(ErrorKind::kUsage, "unknown kernels '{}': expected own or ggml", name);
}

std::string tensor_library() {
  const std::string commit = ggml_commit();
  const bool is_known = !commit.empty() && commit != "unknown";
  return fmt::format("ggml-{}{}{}", ggml_version(), is_known ? "-" : "", is_known ? commit : "");
}

}  // namespace ebb::engine
