// Text to token ids and back, by the vocabulary inside a GGUF file (libllama does the work,
// vocabulary only: no weights are read). Does not know turns or roles: see chat_template.h.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ebb::model {

// Whether the text of a control token ("<|im_end|>") means the token. Only text of our own may say
// so; with kNo a user cannot inject control tokens.
enum class ParseSpecial { kNo, kYes };
// kAsFile: the file's own flag decides.
enum class AddBos { kNo, kAsFile };
enum class RenderSpecial { kNo, kYes };

class Tokenizer {
 public:
  // Requires: a file that Model::load accepts; libllama checks less.  Throws: kBadModel.
  static std::shared_ptr<const Tokenizer> load(const std::filesystem::path& path);
  ~Tokenizer();
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  // Threads: all members may be called from several threads.
  std::vector<int32_t> encode(std::string_view text, ParseSpecial parse_special,
                              AddBos add_bos = AddBos::kNo) const;
  // The bytes of the tokens in a row; may begin or end inside a UTF-8 character.  Throws: kUsage
  // for an id outside the vocabulary.
  std::string decode(std::span<const int32_t> ids, RenderSpecial render) const;
  // The bytes of one token.
  std::string piece(int32_t id, RenderSpecial render) const;

  int n_vocab() const;
  std::optional<int32_t> bos() const;
  std::optional<int32_t> eos() const;
  bool adds_bos() const;
  // Any token that ends a reply: end of text, of turn, of message.
  bool is_end_of_generation(int32_t id) const;
  // A token that ordinary text never becomes.
  bool is_control(int32_t id) const;

  // The file's own chat template (Jinja text), or "".
  const std::string& chat_template() const;

 private:
  struct State;
  explicit Tokenizer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// One message as libllama's template list takes it: {role name, content}.
using RoleText = std::pair<std::string, std::string>;
enum class GenerationPrompt { kNo, kYes };

// Renders messages by libllama's fixed list of templates (it recognises patterns, it runs no
// Jinja), or nothing where it does not know `template_text`.
std::optional<std::string> render_by_libllama(const std::string& template_text,
                                              const std::vector<RoleText>& messages,
                                              GenerationPrompt prompt);

}  // namespace ebb::model
