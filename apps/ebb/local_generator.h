// A judge from a GGUF file: our own engine with a whole cache (treatment `none`), greedy, in the
// model's own chat format. Nothing leaves the machine.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "command.h"
#include "eval/judge.h"
#include "model/chat_template.h"

namespace ebb::app {

class LocalGenerator final : public eval::TextGenerator {
 public:
  // is_cancelled is asked between steps; may be empty.
  // Throws: kBadModel, kUsage (no chat format), kOutOfMemory.
  LocalGenerator(const std::filesystem::path& path, const ComputeFlags& compute,
                 std::function<bool()> is_cancelled);

  // File name, the first half of the file's SHA-256 and numerics: what decides every answer.
  std::string name() const override { return name_; }
  eval::Answer generate(const eval::Prompt& prompt) override;

  const std::string& model_name() const { return model_name_; }
  const std::string& sha256() const { return sha256_; }

 private:
  std::string reply_to(const eval::Prompt& prompt);

  std::shared_ptr<const model::Model> model_;
  std::shared_ptr<const model::Tokenizer> tokenizer_;
  model::ChatFormat format_;
  std::unique_ptr<engine::Engine> engine_;
  std::function<bool()> is_cancelled_;
  std::string name_, model_name_, sha256_;
};

}  // namespace ebb::app
