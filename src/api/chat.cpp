// The public library interface over engine, model and policy.
#include <optional>
#include <span>
#include <utility>

#include "base/error.h"
#include "base/ratio.h"
#include "ebb/ebb.h"
#include "engine/cache_source.h"
#include "engine/engine.h"
#include "engine/session.h"
#include "model/chat_template.h"
#include "model/tokenizer.h"
#include "policy/evictor.h"
#include "policy/treatment_text.h"

namespace ebb {

struct Chat::Impl {
  std::shared_ptr<const model::Tokenizer> tokenizer;
  engine::Engine engine;
  std::string system;
  std::optional<engine::Session> session;
  int n_events = 0;

  Impl(const std::filesystem::path& gguf, const ChatOptions& options)
      : tokenizer(nullptr),
        engine(model::Model::load(gguf), engine_options(options)),
        system(options.system) {
    tokenizer = model::Tokenizer::load(gguf);
    const auto format = model::ChatTemplate::find(*tokenizer, options.chat_template);
    engine::SessionOptions session_options;
    session_options.treatment = policy::make_treatment("none", {{"positions", options.positions}});
    session.emplace(engine, tokenizer, format.format(), std::move(session_options));
  }

  static engine::EngineOptions engine_options(const ChatOptions& options) {
    engine::EngineOptions out;
    out.numerics = engine::parse_numerics(options.numerics);
    out.n_threads = options.n_threads;
    return out;
  }

  // Runs one event of a treatment on the session's cache, as at the end of a turn.
  uint64_t evict(const std::string& policy, const policy::ParamMap& params, uint64_t seed) {
    policy::Evictor evictor(policy::make_treatment(policy, params), engine.cache_shape(), seed, "");
    return session->evict_now(engine, evictor, n_events++);
  }
};

Chat::Chat(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Chat::~Chat() = default;
Chat::Chat(Chat&&) noexcept = default;
Chat& Chat::operator=(Chat&&) noexcept = default;

Chat Chat::open(const std::filesystem::path& gguf, const ChatOptions& options) {
  return Chat(std::make_unique<Impl>(gguf, options));
}

std::string Chat::say(std::string_view text, int n_new_max) {
  Impl& m = *impl_;
  model::TurnInput input;
  input.parts.push_back({std::string(text), Role::kContent, ""});
  if (m.session->turns().empty() && !m.system.empty()) {
    input.system.push_back({m.system, Role::kSystem, ""});
  }
  m.session->begin_turn(input, n_new_max);
  engine::Session* session = &*m.session;
  engine::run_until_idle(m.engine, std::span(&session, 1));
  return m.tokenizer->decode(session->turns().back().reply_ids, model::RenderSpecial::kNo);
}

uint64_t Chat::evict_streaming(int64_t keep_initial, int64_t keep_recent) {
  return impl_->evict("streaming",
                      {{"keep_initial", std::to_string(keep_initial)},
                       {"keep_recent", std::to_string(keep_recent)}},
                      0);
}

uint64_t Chat::evict_random(double retention_rate, uint64_t seed) {
  return impl_->evict("random", {{"retention_rate", Ratio::from_double(retention_rate).text()}},
                      seed);
}

std::vector<LayerShape> Chat::cache_shapes() const {
  const model::ModelConfig& config = impl_->engine.config();
  std::vector<LayerShape> out;
  for (int layer = 0; layer < config.n_layers; ++layer) {
    const kv::LayerCount count = impl_->session->sequence().cells().count(layer);
    out.push_back({layer, config.is_sliding(layer), config.n_kv_heads, config.head_dim, count.n_min,
                   count.n_max});
  }
  return out;
}

HeadCopy Chat::copy_head(int layer, int kv_head) const {
  const model::ModelConfig& config = impl_->engine.config();
  if (layer < 0 || layer >= config.n_layers || kv_head < 0 || kv_head >= config.n_kv_heads) {
    throw Error::make(ErrorKind::kUsage,
                      "layer {}, head {}: the model has {} layers and {} KV heads", layer, kv_head,
                      config.n_layers, config.n_kv_heads);
  }
  engine::Engine::HeadContent content;
  impl_->engine.read_head(impl_->session->sequence(), layer, kv_head, content);
  HeadCopy out;
  for (const Ordinal ordinal : content.ordinals) out.ordinals.push_back(ordinal.value);
  out.keys = std::move(content.keys);
  out.values = std::move(content.values);
  return out;
}

size_t Chat::cache_bytes() const { return impl_->session->sequence().cells().bytes_cells(); }

int64_t Chat::n_tokens() const { return impl_->session->sequence().next_ordinal().value; }

}  // namespace ebb
