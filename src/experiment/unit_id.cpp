#include "experiment/unit_id.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/platform.h"
#include "base/sha256.h"
#include "experiment/conversation_record.h"
#include "policy/treatment_text.h"

namespace ebb::experiment {
namespace {

// What a budget file says: its name alone would not tell that it was changed.
std::string budgets_text(const policy::Treatment& treatment) {
  std::string out;
  for (const auto& row : treatment.allocator.table) out += fmt::format("{};", fmt::join(row, ","));
  return out;
}

std::string cells_text(const engine::Engine& engine) {
  return engine.options().cell_type ? std::to_string(static_cast<int>(*engine.options().cell_type))
                                    : "default";
}

// Whose bytes are taken: of the same seed, or of the arm's only one.
std::string matched_seed_text(const Study& study, const StudyArm& arm, uint64_t seed) {
  for (const StudyArm& other : study.arms) {
    if (arm.match_bytes.empty() || other.name != arm.match_bytes) continue;
    const std::vector<uint64_t> seeds = seeds_of(study, other);
    const bool has_same = std::find(seeds.begin(), seeds.end(), seed) != seeds.end();
    return fmt::format("bytes-seed={};", has_same ? seed : seeds.front());
  }
  return "";
}

}  // namespace

std::string arm_key(const Study& study, const StudyArm& arm) {
  const policy::Treatment treatment = treatment_of(arm, {1});
  std::string out = fmt::format("kind={};share={};budgets={};", to_text(arm.kind), arm.share,
                                budgets_text(treatment));
  for (const auto& [key, value] : policy::settings_of(treatment)) {
    if (!is_matched(arm) || key != "schedule") out += fmt::format("{}={};", key, value);
  }
  for (const StudyArm& other : study.arms) {
    if (arm.kind == StudyArmKind::kTextRemoval && other.name == arm.repeats)
      out += "of:" + arm_key(study, other);
    if (other.name == arm.match_bytes) out += "bytes-of:" + arm_key(study, other);
  }
  return out;
}

std::string fingerprint_text(const FingerprintParts& parts) {
  return fmt::format("{}/{}/cpu-{}/{}/{}", parts.kernels, parts.numerics,
                     sha256_hex(fmt::format("{}", fmt::join(parts.cpu_features, " "))).substr(0, 8),
                     parts.ggml, parts.mathematics);
}

std::string fingerprint_of(const engine::Engine& engine) {
  return fingerprint_text(
      {.kernels = std::string(engine.kernels_name()),
       .numerics = std::string(engine::arithmetic_edition(engine.options().numerics)),
       .cpu_features = platform::cpu_info().features,
       .ggml = engine::tensor_library(),
       .mathematics = platform::c_library()});
}

std::string study_key(const Study& study, const engine::Engine& engine,
                      const model::ChatTemplate& format, const std::string& model_sha256) {
  return fmt::format(
      "version={};model={};format={};numerics={};cells={};history={};temperature={:.9g};"
      "top_p={:.9g};max_new={};generate={};fidelity={};recall={};",
      kResultVersion, model_sha256, format.format_sha256(), fingerprint_of(engine),
      cells_text(engine), to_text(study.history), study.sampling.temperature, study.sampling.top_p,
      study.max_new, study.measures.generate, study.measures.fidelity, study.measures.recall);
}

std::string inputs_text(const Study& study, const engine::Engine& engine,
                        const model::ChatTemplate& format) {
  std::string budgets;
  for (const StudyArm& arm : study.arms) budgets += budgets_text(treatment_of(arm, {1}));
  return fmt::format("records {}, format {}, cells {}, budget files {}", kResultVersion,
                     format.format_sha256().substr(0, 12), cells_text(engine),
                     budgets.empty() ? "none" : sha256_hex(budgets).substr(0, 12));
}

std::string unit_id(const std::string& key, const Conversation& conversation, const Study& study,
                    const StudyArm& arm, uint64_t seed) {
  return sha256_hex(key + record::to_json(to_record(conversation)) + arm_key(study, arm) +
                    matched_seed_text(study, arm, seed) + fmt::format("seed={}", seed))
      .substr(0, 32);
}

}  // namespace ebb::experiment
