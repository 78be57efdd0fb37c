#include "bench/runners.h"

#include "base/error.h"

namespace ebb::bench {

EbbRunner::EbbRunner(std::shared_ptr<const model::Model> model,
                     const engine::EngineOptions& options, const policy::Needs& needs)
    : engine_(std::move(model), options), needs_(needs) {}

void EbbRunner::reset() {
  forks_.clear();
  prompt_.reset();
}

void EbbRunner::compute_prompt(std::span<const int32_t> ids) {
  prompt_ = engine_.make_sequence(PositionMode::kOriginal, needs_);
  const engine::StepItem item{&*prompt_, ids, {}, engine::LogitRows::kLast};
  const engine::StepLogits logits = engine_.step(std::span(&item, 1));
  EBB_CHECK(logits.n_rows(0) == 1);
}

void EbbRunner::start(int n_sequences) {
  EBB_CHECK(prompt_.has_value());
  forks_.clear();
  for (int i = 0; i < n_sequences; ++i) forks_.push_back(prompt_->fork());
}

void EbbRunner::advance(std::span<const int32_t> ids) {
  EBB_CHECK(ids.size() == forks_.size());
  std::vector<engine::StepItem> items;
  for (size_t i = 0; i < forks_.size(); ++i) {
    items.push_back({&forks_[i], ids.subspan(i, 1), {}, engine::LogitRows::kLast});
  }
  const engine::StepLogits logits = engine_.step(items);
  EBB_CHECK(logits.n_rows(items.size() - 1) == 1);
}

LibllamaRunner::LibllamaRunner(std::shared_ptr<const PeerModel> model, const Options& options)
    : single_(model, {.n_threads = options.n_threads,
                      .flash_attention = options.flash_attention,
                      .n_ctx = options.n_ctx}),
      // Sequence 0 holds the prompt.
      shared_(model, {.n_threads = options.n_threads,
                      .flash_attention = options.flash_attention,
                      .n_ctx = options.n_ctx,
                      .n_sequences = options.n_sequences_max + 1}),
      n_sequences_max_(options.n_sequences_max) {}

void LibllamaRunner::reset() {
  single_.clear();
  shared_.clear();
  prompt_ids_.clear();
  prompt_state_.clear();
  n_started_ = 0;
}

void LibllamaRunner::compute_prompt(std::span<const int32_t> ids) {
  EBB_CHECK(prompt_ids_.empty());
  single_.append(0, ids);
  EBB_CHECK(!single_.logits(0).empty());
  prompt_ids_.assign(ids.begin(), ids.end());
}

void LibllamaRunner::start(int n_sequences) {
  EBB_CHECK(!prompt_ids_.empty());
  n_started_ = n_sequences;
  if (n_sequences == 1) {
    if (prompt_state_.empty()) prompt_state_ = single_.save(0);
    single_.restore(0, prompt_state_);
    return;
  }
  if (shared_.n_tokens(0) == 0) shared_.append(0, prompt_ids_);
  for (int i = 1; i <= n_sequences_max_; ++i) shared_.forget(i);
  for (int i = 1; i <= n_sequences; ++i) shared_.share(0, i);
}

void LibllamaRunner::advance(std::span<const int32_t> ids) {
  EBB_CHECK(static_cast<int>(ids.size()) == n_started_);
  if (n_started_ == 1) {
    single_.append(0, ids);
    EBB_CHECK(!single_.logits(0).empty());
    return;
  }
  shared_.append_each(1, ids);
  for (int i = 0; i < n_started_; ++i) EBB_CHECK(!shared_.logits(i).empty());
}

}  // namespace ebb::bench
