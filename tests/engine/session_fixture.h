// What tests of sessions share: a tiny model with its tokenizer, and something to say to it.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/session.h"
#include "engine_fixture.h"
#include "model/chat_template.h"
#include "policy/catalogue.h"
#include "policy/treatment_text.h"

namespace ebb::engine {

struct Stage {
  std::filesystem::path path;
  std::shared_ptr<const model::Tokenizer> tokenizer;
  model::ChatFormat format;
  Engine engine;

  explicit Stage(const std::string& name,
                 const EngineOptions& options = with_numerics(Numerics::kStrict))
      : path(fixture("tiny/" + name + ".gguf")),
        tokenizer(model::Tokenizer::load(path)),
        format(model::ChatTemplate::find(*tokenizer).format()),
        engine(model::Model::load(path), options) {}

  std::unique_ptr<Session> session(const std::string& policy,
                                   const policy::ParamMap& params = {}) const {
    SessionOptions options;
    options.conversation_id = "c";
    options.treatment = policy::make_treatment(policy, params);
    return std::make_unique<Session>(engine, tokenizer, format, std::move(options));
  }
};

inline model::TurnInput say(const std::string& text) {
  model::TurnInput input;
  input.parts.push_back({"Answer in one line.", Role::kInstruction, "i1"});
  input.parts.push_back({text, Role::kContent, ""});
  return input;
}

// Of policies and named combinations.
inline std::vector<std::string> every_treatment_name() {
  std::vector<std::string> names;
  for (const policy::PolicySpec& spec : policy::catalogue()) names.push_back(spec.name);
  for (const policy::NamedTreatment& named : policy::named_treatments())
    names.push_back(named.name);
  return names;
}

}  // namespace ebb::engine
