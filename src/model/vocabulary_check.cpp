#include "model/vocabulary_check.h"

#include <algorithm>
#include <bitset>
#include <cmath>
#include <functional>
#include <string>
#include <utility>

#include "base/error.h"

namespace ebb::model {
namespace {

constexpr size_t kMaxTokenBytes = 64 * 1024;
constexpr uint32_t kByteTokenType = 6;  // of GGUF's token types
constexpr uint32_t kMaxTokenType = 6;

template <typename... Args>
[[noreturn]] void fail(const GgufFile& file, std::string_view key,
                       fmt::format_string<Args...> format, Args&&... args) {
  throw Error::make(ErrorKind::kBadModel, "{}: key '{}': {}", file.path().string(), key,
                    fmt::format(format, std::forward<Args>(args)...));
}

StringArray read_tokens(const GgufFile& file) {
  constexpr std::string_view kKey = "tokenizer.ggml.tokens";
  const auto tokens = file.string_array(kKey);
  if (!tokens || tokens->empty()) fail(file, kKey, "found no tokens, expected the vocabulary");
  size_t i = 0;
  for (const std::string_view token : *tokens) {
    if (token.empty() || token.size() > kMaxTokenBytes) {
      fail(file, kKey, "found token {} with {} bytes, expected 1 to {}", i, token.size(),
           kMaxTokenBytes);
    }
    ++i;
  }
  return *tokens;
}

// A hash above, the token's number below: one word a token, sorted in place, finds what may be
// equal; only those are compared as texts, so a file made of collisions costs no more than an
// ordinary sort.
void check_unique(const GgufFile& file, const StringArray& tokens) {
  std::vector<uint64_t> order;
  std::vector<uint32_t> places;  // of the tokens in the file; a header is far below 4 GiB
  order.reserve(tokens.size());
  places.reserve(tokens.size());
  const std::byte* const first = tokens.begin().place();
  for (auto it = tokens.begin(); it != tokens.end(); ++it) {
    const uint64_t hash = std::hash<std::string_view>()(*it);
    order.push_back((hash & ~uint64_t{UINT32_MAX}) | places.size());
    places.push_back(static_cast<uint32_t>(it.place() - first));
  }
  std::sort(order.begin(), order.end());
  const auto number = [](uint64_t word) { return static_cast<uint32_t>(word); };
  const auto text = [&](uint64_t word) {
    return *StringArray::Iterator(first + places[number(word)], 1);
  };
  for (auto begin = order.begin(); begin != order.end();) {
    const auto end = std::find_if(begin, order.end(),
                                  [&](uint64_t word) { return (word ^ *begin) > UINT32_MAX; });
    std::sort(begin, end, [&](uint64_t a, uint64_t b) {
      return std::pair(text(a), number(a)) < std::pair(text(b), number(b));
    });
    const auto twice =
        std::adjacent_find(begin, end, [&](uint64_t a, uint64_t b) { return text(a) == text(b); });
    if (twice != end) {
      fail(file, "tokenizer.ggml.tokens",
           "found token {} equal to token {}, expected every token once", number(*(twice + 1)),
           number(*twice));
    }
    begin = end;
  }
}

void check_scores(const GgufFile& file, size_t n_tokens) {
  constexpr std::string_view kKey = "tokenizer.ggml.scores";
  const MetadataValue* value = file.value(kKey);
  if (value == nullptr) return;
  const auto scores = *file.f32_array(kKey);
  if (scores.size() != n_tokens) {
    fail(file, kKey, "found {} scores, expected {}, one for each token", scores.size(), n_tokens);
  }
  for (size_t i = 0; i < scores.size(); ++i) {
    if (std::isnan(scores[i])) fail(file, kKey, "found NaN for token {}, expected a number", i);
  }
}

// The byte that a token such as "<0x0A>" stands for, or -1.
int byte_of(std::string_view token) {
  if (token.size() != 6 || token.substr(0, 3) != "<0x" || token[5] != '>') return -1;
  int value = 0;
  for (const char c : token.substr(3, 2)) {
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

void check_types(const GgufFile& file, const StringArray& tokens) {
  constexpr std::string_view kKey = "tokenizer.ggml.token_type";
  const MetadataValue* value = file.value(kKey);
  if (value == nullptr) return;
  if (value->type != ValueType::kArray || value->element_type != ValueType::kI32) {
    fail(file, kKey, "found a {} of {}, expected an array of i32", value_type_name(value->type),
         value_type_name(value->element_type));
  }
  const auto types = *file.i32_array(kKey);
  if (types.size() != tokens.size()) {
    fail(file, kKey, "found {} types, expected {}, one for each token", types.size(),
         tokens.size());
  }
  size_t i = 0;
  for (const std::string_view token : tokens) {
    const auto type = static_cast<uint32_t>(types[i]);
    if (type > kMaxTokenType)
      fail(file, kKey, "found {} for token {}, expected 0 to {}", types[i], i, kMaxTokenType);
    if (type == kByteTokenType && byte_of(token) < 0) {
      fail(file, kKey, "found token {} marked as a byte, expected its text to be like <0x0A>", i);
    }
    ++i;
  }
}

// A SentencePiece tokenizer writes unknown characters as bytes and needs all of them.
void check_byte_tokens(const GgufFile& file, const StringArray& tokens) {
  std::bitset<256> found;
  for (const std::string_view token : tokens) {
    if (const int byte = byte_of(token); byte >= 0) found.set(static_cast<size_t>(byte));
  }
  if (!found.all()) {
    fail(file, "tokenizer.ggml.tokens",
         "found {} of the byte tokens <0x00> to <0xFF>, expected all 256", found.count());
  }
}

// "left right": two parts and one space between them.
void check_merges(const GgufFile& file) {
  constexpr std::string_view kKey = "tokenizer.ggml.merges";
  const auto merges = file.string_array(kKey);
  if (!merges) fail(file, kKey, "found nothing, expected the merges of a byte-pair tokenizer");
  size_t i = 0;
  for (const std::string_view merge : *merges) {
    const size_t space = merge.find(' ');
    const bool fits = space != std::string_view::npos && space > 0 && space + 1 < merge.size() &&
                      merge.find(' ', space + 1) == std::string_view::npos &&
                      merge.size() <= kMaxTokenBytes;
    if (!fits)
      fail(file, kKey, "found merge {} that is not two parts with one space between them", i);
    ++i;
  }
}

// `absent_id`: the id that libllama takes where the file has no such key.
void check_special_id(const GgufFile& file, std::string_view name, int64_t absent_id,
                      size_t n_tokens) {
  const std::string key = fmt::format("tokenizer.ggml.{}", name);
  const auto id = file.u32(key);
  const int64_t used = id ? int64_t{*id} : absent_id;
  if (used >= static_cast<int64_t>(n_tokens)) {
    fail(file, key, "found {}{}, expected an id below {}", used, id ? "" : " (by default)",
         n_tokens);
  }
}

}  // namespace

int check_vocabulary(const GgufFile& file) {
  constexpr std::string_view kModel = "tokenizer.ggml.model";
  const auto model = file.string(kModel);
  if (!model || (*model != "llama" && *model != "gpt2")) {
    fail(file, kModel, "found '{:.40}', expected 'llama' (SentencePiece) or 'gpt2' (byte pairs)",
         model.value_or(""));
  }
  const bool is_byte_pair = *model == "gpt2";
  const StringArray tokens = read_tokens(file);
  check_scores(file, tokens.size());
  check_types(file, tokens);
  check_unique(file, tokens);
  if (is_byte_pair) {
    check_merges(file);
  } else {
    check_byte_tokens(file, tokens);
  }
  check_special_id(file, "bos_token_id", is_byte_pair ? 11 : 1, tokens.size());
  check_special_id(file, "eos_token_id", is_byte_pair ? 11 : 2, tokens.size());
  check_special_id(file, "unknown_token_id", is_byte_pair ? -1 : 0, tokens.size());
  for (const char* name :
       {"eot_token_id", "eom_token_id", "padding_token_id", "seperator_token_id", "mask_token_id",
        "cls_token_id", "fim_pre_token_id", "fim_suf_token_id", "fim_mid_token_id",
        "fim_pad_token_id", "fim_rep_token_id", "fim_sep_token_id"}) {
    check_special_id(file, name, -1, tokens.size());
  }
  for (const char* name : {"add_bos_token", "add_eos_token", "add_sep_token", "add_space_prefix"}) {
    (void)file.boolean(fmt::format("tokenizer.ggml.{}", name));  // the type
  }
  (void)file.string("tokenizer.ggml.pre");
  (void)file.string("tokenizer.chat_template");
  return static_cast<int>(tokens.size());
}

}  // namespace ebb::model
