#include "model/tokenizer.h"

#include <llama.h>

#include <mutex>

#include "base/error.h"

namespace ebb::model {
namespace {

void log_nothing(ggml_log_level, const char*, void*) {}

// Keeps the last error line that libllama logs, for our own message.
void log_last_error(ggml_log_level level, const char* text, void* last_error) {
  if (level != GGML_LOG_LEVEL_ERROR || text == nullptr) return;
  std::string line(text);
  while (!line.empty() && (line.back() == '\n' || line.back() == ' ')) line.pop_back();
  if (!line.empty()) *static_cast<std::string*>(last_error) = std::move(line);
}

struct FreeModel {
  void operator()(llama_model* model) const { llama_model_free(model); }
};
using ModelHandle = std::unique_ptr<llama_model, FreeModel>;

// libllama's log sink is process-wide, so loads take turns; afterwards it stays silent.
ModelHandle load_vocabulary(const std::string& path, std::string& last_error) {
  static std::mutex log_owner;
  const std::lock_guard lock(log_owner);
  llama_log_set(log_last_error, &last_error);
  llama_model_params params = llama_model_default_params();
  params.vocab_only = true;
  ModelHandle handle(llama_model_load_from_file(path.c_str(), params));
  llama_log_set(log_nothing, nullptr);
  return handle;
}

int32_t checked_length(std::string_view text) {
  constexpr size_t kMaxBytes = size_t{1} << 30;
  if (text.size() > kMaxBytes) {
    throw Error::make(ErrorKind::kUsage, "tokenizer: found a text of {} bytes, expected at most {}",
                      text.size(), kMaxBytes);
  }
  return static_cast<int32_t>(text.size());
}

std::optional<int32_t> token_or_nothing(llama_token id) {
  return id < 0 ? std::nullopt : std::optional<int32_t>(id);
}

}  // namespace

struct Tokenizer::State {
  ModelHandle model;
  const llama_vocab* vocab = nullptr;
  int32_t n_vocab = 0;
  std::string chat_template;
};

Tokenizer::Tokenizer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Tokenizer::~Tokenizer() = default;

std::shared_ptr<const Tokenizer> Tokenizer::load(const std::filesystem::path& path) {
  std::string last_error;
  auto state = std::make_unique<State>();
  state->model = load_vocabulary(path.string(), last_error);
  if (!state->model) {
    throw Error::make(
        ErrorKind::kBadModel,
        "{}: found no usable vocabulary, expected a GGUF file with one (libllama: {})",
        path.string(), last_error.empty() ? "no reason given" : last_error);
  }
  state->vocab = llama_model_get_vocab(state->model.get());
  state->n_vocab = llama_vocab_n_tokens(state->vocab);
  if (llama_vocab_type(state->vocab) == LLAMA_VOCAB_TYPE_NONE || state->n_vocab <= 0) {
    throw Error::make(ErrorKind::kBadModel, "{}: found an empty vocabulary, expected tokens",
                      path.string());
  }
  const char* text = llama_model_chat_template(state->model.get(), nullptr);
  if (text != nullptr) state->chat_template = text;
  return std::shared_ptr<const Tokenizer>(new Tokenizer(std::move(state)));
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, ParseSpecial parse_special,
                                       AddBos add_bos) const {
  const int32_t n_bytes = checked_length(text);
  std::vector<int32_t> ids(text.size() + 8);
  const auto tokenize = [&] {
    return llama_tokenize(state_->vocab, text.data(), n_bytes, ids.data(),
                          static_cast<int32_t>(ids.size()), false,
                          parse_special == ParseSpecial::kYes);
  };
  int32_t n_tokens = tokenize();
  if (n_tokens < 0 && n_tokens != INT32_MIN) {
    ids.resize(static_cast<size_t>(-n_tokens));
    n_tokens = tokenize();
  }
  if (n_tokens < 0) {
    throw Error::make(ErrorKind::kBackend, "tokenizer: libllama refused a text of {} bytes",
                      n_bytes);
  }
  ids.resize(static_cast<size_t>(n_tokens));
  // Our own insertion, so that a flag for an end token in the file cannot add one behind a prompt.
  if (add_bos == AddBos::kAsFile && adds_bos() && bos()) ids.insert(ids.begin(), *bos());
  return ids;
}

std::string Tokenizer::piece(int32_t id, RenderSpecial render) const {
  if (id < 0 || id >= state_->n_vocab) {
    throw Error::make(ErrorKind::kUsage, "tokenizer: found token id {}, expected 0 to {}", id,
                      state_->n_vocab - 1);
  }
  std::string text(64, '\0');
  const bool special = render == RenderSpecial::kYes;
  int32_t n = llama_token_to_piece(state_->vocab, id, text.data(),
                                   static_cast<int32_t>(text.size()), 0, special);
  if (n < 0) {
    text.resize(static_cast<size_t>(-n));
    n = llama_token_to_piece(state_->vocab, id, text.data(), static_cast<int32_t>(text.size()), 0,
                             special);
  }
  text.resize(static_cast<size_t>(n < 0 ? 0 : n));
  return text;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, RenderSpecial render) const {
  std::string text;
  for (const int32_t id : ids) text += piece(id, render);
  return text;
}

int Tokenizer::n_vocab() const { return state_->n_vocab; }
std::optional<int32_t> Tokenizer::bos() const {
  return token_or_nothing(llama_vocab_bos(state_->vocab));
}
std::optional<int32_t> Tokenizer::eos() const {
  return token_or_nothing(llama_vocab_eos(state_->vocab));
}
bool Tokenizer::adds_bos() const { return llama_vocab_get_add_bos(state_->vocab); }

bool Tokenizer::is_end_of_generation(int32_t id) const {
  return id >= 0 && id < state_->n_vocab && llama_vocab_is_eog(state_->vocab, id);
}

bool Tokenizer::is_control(int32_t id) const {
  if (id < 0 || id >= state_->n_vocab) return false;
  const auto attributes = static_cast<unsigned>(llama_vocab_get_attr(state_->vocab, id));
  constexpr unsigned kMask =
      unsigned{LLAMA_TOKEN_ATTR_CONTROL} | unsigned{LLAMA_TOKEN_ATTR_UNKNOWN};
  return (attributes & kMask) != 0;
}

const std::string& Tokenizer::chat_template() const { return state_->chat_template; }

std::optional<std::string> render_by_libllama(const std::string& template_text,
                                              const std::vector<RoleText>& messages,
                                              GenerationPrompt prompt) {
  std::vector<llama_chat_message> chat;
  for (const auto& [role, text] : messages) chat.push_back({role.c_str(), text.c_str()});
  std::string out(1024, '\0');
  const bool add_prompt = prompt == GenerationPrompt::kYes;
  const auto apply = [&] {
    return llama_chat_apply_template(template_text.c_str(), chat.data(), chat.size(), add_prompt,
                                     out.data(), static_cast<int32_t>(out.size()));
  };
  int32_t n = apply();
  if (n > static_cast<int32_t>(out.size())) {
    out.resize(static_cast<size_t>(n));
    n = apply();
  }
  if (n < 0) return std::nullopt;
  out.resize(static_cast<size_t>(n));
  return out;
}

}  // namespace ebb::model
