#include "local_generator.h"

#include "base/error.h"
#include "base/sha256.h"
#include "engine/session.h"
#include "policy/treatment_text.h"

namespace ebb::app {

LocalGenerator::LocalGenerator(const std::filesystem::path& path, const ComputeFlags& compute,
                               std::function<bool()> is_cancelled)
    : model_(open_model(path)),
      tokenizer_(model::Tokenizer::load(path)),
      format_(model::ChatTemplate::find(*tokenizer_).format()),
      engine_(open_engine(model_, compute)),
      is_cancelled_(std::move(is_cancelled)),
      model_name_(path.stem().string()),
      sha256_(sha256_file(path)) {
  name_ = fmt::format("gguf:{},sha256={},numerics={}", path.filename().string(),
                      sha256_.substr(0, 32), compute.numerics);
}

std::string LocalGenerator::reply_to(const eval::Prompt& prompt) {
  engine::SessionOptions options;
  options.conversation_id = "judge";
  options.treatment = policy::make_treatment("none", {});
  engine::Session session(*engine_, tokenizer_, format_, options);
  model::TurnInput input;
  input.system = {{prompt.system, Role::kSystem, ""}};
  input.parts = {{prompt.user, Role::kQuery, ""}};
  session.begin_turn(input, prompt.n_tokens_max);
  engine::Session* one = &session;
  engine::run_until_idle(*engine_, std::span(&one, 1), [this] {
    if (is_cancelled_ && is_cancelled_()) throw Error(ErrorKind::kInterrupted, "cancelled");
  });
  return tokenizer_->decode(session.turns().back().reply_ids, model::RenderSpecial::kNo);
}

eval::Answer LocalGenerator::generate(const eval::Prompt& prompt) {
  constexpr size_t kTemplateTokens = 64;  // more than any chat format adds to one turn
  try {
    const size_t n_tokens =
        tokenizer_
            ->encode(prompt.system + prompt.user, model::ParseSpecial::kNo, model::AddBos::kAsFile)
            .size();
    const auto n_context = static_cast<size_t>(engine_->config().n_ctx_train);
    if (n_tokens + kTemplateTokens + static_cast<size_t>(prompt.n_tokens_max) > n_context) {
      return eval::failed_answer(fmt::format(
          "the question has {} tokens, expected at most {} with its answer", n_tokens, n_context));
    }
    return {reply_to(prompt), ""};
  } catch (const Error& error) {
    // One question too many for the memory must not end the study; an interrupt must.
    if (error.kind() == ErrorKind::kInterrupted) throw;
    return eval::failed_answer(error.what());
  }
}

}  // namespace ebb::app
