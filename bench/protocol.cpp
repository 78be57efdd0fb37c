#include "bench/protocol.h"

#include <nlohmann/json.hpp>

#include "bench/runners.h"
#include "bench/study_ours.h"

namespace ebb::bench {

nlohmann::json protocol_alone(const std::string& numerics, const std::filesystem::path& model_path,
                              const Settings& settings) {
  WorkScale scale;
  if (settings.is_quick) {
    scale.n_conversations = 4;
    scale.n_new = 20;
  }
  const StudyWork work = make_protocol_work(scale);
  const auto tokenizer = model::Tokenizer::load(model_path);
  const auto model = model::Model::load(model_path);
  const WorkTokens tokens = tokens_of(work, tokenizer);
  engine::EngineOptions options;
  options.numerics = engine::parse_numerics(numerics);
  options.n_threads = settings.n_threads;
  OurStudy study(model, tokenizer, work, options);
  EbbRunner runner(model, options);
  const auto ids = made_up_ids(512, model->config().n_vocab);
  runner.compute_prompt(ids);
  runner.reset();
  const double prompt_seconds = seconds_of([&] { runner.compute_prompt(ids); });
  const auto rate_of = [&](size_t n) {
    return work.n_reply_tokens(n) / seconds_of([&] { study.run(n); });
  };
  const double two = rate_of(2);
  const double all = rate_of(work.conversations.size());  // what a study has
  return {{"prompt_ids", ids},
          {"prompt_rate", static_cast<double>(ids.size()) / prompt_seconds},
          {"n_new", work.scale.n_new},
          {"prompts", tokens.prompts},
          {"closing", tokens.closing},
          {"end_ids", tokens.end_ids},
          {"rate_of_2", two},
          {"rate_of_all", all},
          {"n_conversations", work.conversations.size()}};
}

}  // namespace ebb::bench
