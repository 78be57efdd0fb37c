// Content-hashed names of units: everything that can change a result is in the hash, so a finished
// unit is recognised on resume, and one that was made otherwise never is.
#pragma once

#include <string>
#include <vector>

#include "engine/engine.h"
#include "experiment/conversation.h"
#include "experiment/study.h"
#include "model/chat_template.h"

namespace ebb::experiment {

// Changed when the same inputs would give other results or the record other meaning.
inline constexpr int kResultVersion = 3;

// What all units of a run share: model bytes, turn format, numerics, kernels and cells, history,
// sampling, reply length, measures.
std::string study_key(const Study& study, const engine::Engine& engine,
                      const model::ChatTemplate& format, const std::string& model_sha256);
// Of that, what no other field of a study's record says: version of records, turn format, cells,
// contents of budget files. Two runs into one study must agree in it.
std::string inputs_text(const Study& study, const engine::Engine& engine,
                        const model::ChatTemplate& format);
// Kernels, numerics, CPU features and the libraries that compute: "strict" promises equal bits
// within one.
std::string fingerprint_of(const engine::Engine& engine);
struct FingerprintParts {
  std::string kernels, numerics;
  std::vector<std::string> cpu_features;
  std::string ggml;         // version and commit of the library that computes norms and activations
  std::string mathematics;  // the C library, whose sines and exponentials differ by version
};
std::string fingerprint_text(const FingerprintParts& parts);

// An arm's settings with every default, whatever its name is.
std::string arm_key(const Study& study, const StudyArm& arm);

// 32 hexadecimal digits.
std::string unit_id(const std::string& key, const Conversation& conversation, const Study& study,
                    const StudyArm& arm, uint64_t seed);

}  // namespace ebb::experiment
