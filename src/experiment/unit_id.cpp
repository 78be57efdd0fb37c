#include "experiment/unit_id.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/platform.h"
#include "base/sha256.h"
#include "experiment/conversation_record.h"
#include "policy/treatment_text.h"

namespace ebb::experiment {
namespace {

// An arm's settings with every default, whatever its name is.
std::string arm_key(const Study& study, const StudyArm& arm) {
  std::string out = fmt::format("kind={};share={};", to_text(arm.kind), arm.share);
  for (const auto& [key, value] : policy::settings_of(treatment_of(arm, {1}))) {
    if (arm.share.empty() || key != "schedule") out += fmt::format("{}={};", key, value);
  }
  for (const StudyArm& other : study.arms) {
    if (other.name == arm.repeats) out += "of:" + arm_key(study, other);
  }
  return out;
}

}  // namespace

std::string fingerprint_text(const FingerprintParts& parts) {
  return fmt::format("{}/{}/cpu-{}/{}/{}", parts.kernels, parts.numerics,
                     sha256_hex(fmt::format("{}", fmt::join(parts.cpu_features, " "))).substr(0, 8),
                     parts.ggml, parts.mathematics);
}

std::string fingerprint_of(const engine::Engine& engine) {
  return fingerprint_text(
      {.kernels = std::string(engine.kernels_name()),
       .numerics = std::string(engine::numerics_name(engine.options().numerics)),
       .cpu_features = platform::cpu_info().features,
       .ggml = engine::tensor_library(),
       .mathematics = platform::c_library()});
}

std::string study_key(const Study& study, const engine::Engine& engine,
                      const model::ChatTemplate& format, const std::string& model_sha256) {
  const std::string cells = engine.options().cell_type
                                ? std::to_string(static_cast<int>(*engine.options().cell_type))
                                : "default";
  return fmt::format(
      "version={};model={};format={};numerics={};cells={};history={};temperature={:.9g};"
      "top_p={:.9g};max_new={};generate={};fidelity={};recall={};",
      kResultVersion, model_sha256, format.format_sha256(), fingerprint_of(engine), cells,
      to_text(study.history), study.sampling.temperature, study.sampling.top_p, study.max_new,
      study.measures.generate, study.measures.fidelity, study.measures.recall);
}

std::string unit_id(const std::string& key, const Conversation& conversation, const Study& study,
                    const StudyArm& arm, uint64_t seed) {
  return sha256_hex(key + record::to_json(to_record(conversation)) + arm_key(study, arm) +
                    fmt::format("seed={}", seed))
      .substr(0, 32);
}

}  // namespace ebb::experiment
