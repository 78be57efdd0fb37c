// One face for the engines that are compared: compute a prompt, start again from it in n sequences,
// advance them together. Logits of every last token are read.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "bench/libllama_peer.h"
#include "engine/engine.h"

namespace ebb::bench {

class Runner {
 public:
  virtual ~Runner() = default;
  // Forgets everything.
  virtual void reset() = 0;
  // Requires: nothing since reset().
  virtual void compute_prompt(std::span<const int32_t> ids) = 0;
  // n sequences that each hold the prompt, in place of those of an earlier call.
  // Requires: a prompt, which stays.
  virtual void start(int n_sequences) = 0;
  // One token for each of them in one batch.
  virtual void advance(std::span<const int32_t> ids) = 0;
};

class EbbRunner final : public Runner {
 public:
  EbbRunner(std::shared_ptr<const model::Model> model, const engine::EngineOptions& options,
            const policy::Needs& needs = {});

  void reset() override;
  void compute_prompt(std::span<const int32_t> ids) override;
  void start(int n_sequences) override;
  void advance(std::span<const int32_t> ids) override;

  engine::Engine& engine() { return engine_; }

 private:
  engine::Engine engine_;
  policy::Needs needs_;
  std::optional<engine::Sequence> prompt_;
  std::vector<engine::Sequence> forks_;
};

// libllama keeps a context for one sequence, which starts again from saved bytes, and one for many,
// which share the prompt's cells: each is the better way for its work.
class LibllamaRunner final : public Runner {
 public:
  struct Options {
    int n_threads = 1;
    FlashAttention flash_attention = FlashAttention::kOff;
    int n_ctx = 0;
    int n_sequences_max = 1;
  };
  LibllamaRunner(std::shared_ptr<const PeerModel> model, const Options& options);

  void reset() override;
  void compute_prompt(std::span<const int32_t> ids) override;
  void start(int n_sequences) override;
  void advance(std::span<const int32_t> ids) override;

 private:
  LibllamaPeer single_;
  LibllamaPeer shared_;
  std::vector<int32_t> prompt_ids_;
  std::vector<uint8_t> prompt_state_;  // of single_
  int n_sequences_max_;
  int n_started_ = 0;
};

}  // namespace ebb::bench
