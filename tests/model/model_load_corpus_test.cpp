// Files whose container is right but whose model is not: hyper-parameters, tensor set, vocabulary.
// Every one must end in the typed error that names the fault.
#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "model/corpus_case.h"
#include "model/gguf_builder.h"

namespace ebb::model {
namespace {

using testing::Case;
using testing::expect_refused;
using testing::GgufBuilder;
using testing::name_of;

class DamagedModel : public ::testing::TestWithParam<Case> {};

TEST_P(DamagedModel, IsRefusedWithTheTypedErrorThatNamesTheFault) { expect_refused(GetParam()); }

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

const Case kHyperparameters[] = {
    {"block_count_0", "key 'llama.block_count': found 0",
     [](GgufBuilder& b) { b.set<uint32_t>("llama.block_count", 0); }},
    {"block_count_513", "found 513",
     [](GgufBuilder& b) { b.set<uint32_t>("llama.block_count", 513); }},
    {"block_count_max", "found 4294967295",
     [](GgufBuilder& b) { b.set<uint32_t>("llama.block_count", UINT32_MAX); }},
    {"block_count_text", "found string, expected an integer",
     [](GgufBuilder& b) { b.set_text("llama.block_count", "1"); }},
    {"block_count_float", "found f32, expected an integer",
     [](GgufBuilder& b) { b.set<float>("llama.block_count", 1); }},
    {"block_count_missing", "found nothing", [](GgufBuilder& b) { b.erase("llama.block_count"); }},
    {"head_count_0", "found 0",
     [](GgufBuilder& b) { b.set<uint32_t>("llama.attention.head_count", 0); }},
    {"head_count_kv_0", "found 0",
     [](GgufBuilder& b) { b.set<uint32_t>("llama.attention.head_count_kv", 0); }},
    {"heads_not_divisible", "expected a divisor of the 2 query heads",
     [](GgufBuilder& b) { b.set<uint32_t>("llama.attention.head_count_kv", 3); }},
    {"embedding_not_divisible", "expected a divisor of the embedding length",
     [](GgufBuilder& b) {
       b.set<uint32_t>("llama.attention.head_count", 5).erase("llama.attention.head_count_kv");
     }},
    {"head_count_array_too_long", "found array of 2 u32",
     [](GgufBuilder& b) {
       b.set_array<uint32_t>("llama.attention.head_count", {2, 2});
     }},
    {"head_count_array_of_floats", "found array of 1 f32",
     [](GgufBuilder& b) { b.set_array<float>("llama.attention.head_count", {2}); }},
    {"head_count_text", "found string",
     [](GgufBuilder& b) { b.set_text("llama.attention.head_count", "2"); }},
    {"heads_differ_by_layer", "the same number for every layer",
     [](GgufBuilder& b) {
       b.set<uint32_t>("llama.block_count", 2)
           .set_array<uint32_t>("llama.attention.head_count_kv", {1, 2});
     }},
    {"embedding_0", "found 0",
     [](GgufBuilder& b) { b.set<uint32_t>("llama.embedding_length", 0); }},
    {"embedding_too_long", "found 65537",
     [](GgufBuilder& b) { b.set<uint32_t>("llama.embedding_length", 65537); }},
    {"head_of_odd_length", "found 15 channels",
     [](GgufBuilder& b) { b.set<uint32_t>("llama.attention.key_length", 15); }},
    {"value_length_differs", "expected the key length 16",
     [](GgufBuilder& b) { b.set<uint32_t>("llama.attention.value_length", 8); }},
    {"partial_rotary", "partial rotary",
     [](GgufBuilder& b) { b.set<uint32_t>("llama.rope.dimension_count", 8); }},
    {"context_0", "found 0", [](GgufBuilder& b) { b.set<uint32_t>("llama.context_length", 0); }},
    {"context_max", "found 4294967295",
     [](GgufBuilder& b) { b.set<uint32_t>("llama.context_length", UINT32_MAX); }},
    {"feed_forward_0", "found 0",
     [](GgufBuilder& b) { b.set<uint32_t>("llama.feed_forward_length", 0); }},
    {"eps_nan", "found nan",
     [](GgufBuilder& b) { b.set("llama.attention.layer_norm_rms_epsilon", kNan); }},
    {"eps_1", "expected a number below 1",
     [](GgufBuilder& b) { b.set("llama.attention.layer_norm_rms_epsilon", 1.0F); }},
    {"eps_missing", "found nothing",
     [](GgufBuilder& b) { b.erase("llama.attention.layer_norm_rms_epsilon"); }},
    {"rope_base_0", "rope.freq_base': found 0",
     [](GgufBuilder& b) { b.set("llama.rope.freq_base", 0.0F); }},
    {"rope_base_minus_1", "found -1", [](GgufBuilder& b) { b.set("llama.rope.freq_base", -1.0F); }},
    {"rope_base_infinite", "found inf",
     [](GgufBuilder& b) { b.set("llama.rope.freq_base", kInfinity); }},
    {"rope_base_double", "found f64, expected f32",
     [](GgufBuilder& b) { b.set("llama.rope.freq_base", 1e4); }},
    {"rope_factor_nan", "found nan",
     [](GgufBuilder& b) { b.set("llama.rope.scaling.factor", kNan); }},
    {"rope_factor_negative", "found -2",
     [](GgufBuilder& b) { b.set("llama.rope.scaling.factor", -2.0F); }},
    {"rope_yarn", "found 'yarn'",
     [](GgufBuilder& b) { b.set_text("llama.rope.scaling.type", "yarn"); }},
    {"rope_longrope", "found 'longrope'",
     [](GgufBuilder& b) { b.set_text("llama.rope.scaling.type", "longrope"); }},
    {"rope_unknown", "found 'sideways'",
     [](GgufBuilder& b) { b.set_text("llama.rope.scaling.type", "sideways"); }},
    {"rope_attention_factor", "rope attention factor",
     [](GgufBuilder& b) { b.set("llama.rope.scaling.attn_factor", 1.2F); }},
    {"experts", "mixture-of-experts",
     [](GgufBuilder& b) { b.set<uint32_t>("llama.expert_count", 8); }},
    {"attention_scale", "attention scale",
     [](GgufBuilder& b) { b.set("llama.attention.scale", 0.5F); }},
    {"logit_scale", "logit scale", [](GgufBuilder& b) { b.set("llama.logit_scale", 0.5F); }},
    {"not_causal", "expected a causal model",
     [](GgufBuilder& b) { b.set("llama.attention.causal", false); }},
    {"architecture_unknown",
     "found 'lama', expected one of llama, qwen2, qwen3, gemma3 (did you mean 'llama'?)",
     [](GgufBuilder& b) { b.set_text("general.architecture", "lama"); }},
    {"architecture_missing", "key 'general.architecture': found nothing",
     [](GgufBuilder& b) { b.erase("general.architecture"); }},
    {"architecture_number", "found u32, expected string",
     [](GgufBuilder& b) { b.set<uint32_t>("general.architecture", 1); }},
    {"window_max", "attention.sliding_window",
     [](GgufBuilder& b) { b.set<uint32_t>("llama.attention.sliding_window", UINT32_MAX); }},
    {"split_file", "one whole file", [](GgufBuilder& b) { b.set<uint16_t>("split.count", 2); }},
    {"split_of_65535", "found part 1 of 65535",
     [](GgufBuilder& b) { b.set<uint16_t>("split.count", 65535).set<uint16_t>("split.no", 7); }},
    {"split_count_negative", "split.count",
     [](GgufBuilder& b) { b.set<int32_t>("split.count", -1); }},
};
INSTANTIATE_TEST_SUITE_P(Hyperparameters, DamagedModel, ::testing::ValuesIn(kHyperparameters),
                         name_of);

const Case kTensorSet[] = {
    {"layer_tensor_missing", "tensor 'blk.0.ffn_up.weight': found nothing",
     [](GgufBuilder& b) { b.erase_tensor("blk.0.ffn_up.weight"); }},
    {"embedding_missing", "tensor 'token_embd.weight': found nothing",
     [](GgufBuilder& b) { b.erase_tensor("token_embd.weight"); }},
    {"transposed", "found shape 16 x 32, expected 32 x 16",
     [](GgufBuilder& b) {
       b.tensor("blk.0.attn_k.weight").ne = {16, 32};
     }},
    {"third_dimension", "found shape 32 x 16 x 2",
     [](GgufBuilder& b) {
       b.tensor("blk.0.attn_k.weight").ne = {32, 16, 2};
       b.tensor("blk.0.attn_k.weight").size_bytes *= 2;
     }},
    {"layer_512", "tensor 'blk.512.attn_q.weight': found it",
     [](GgufBuilder& b) {
       b.add_f32("blk.512.attn_q.weight", {32, 32});
     }},
    {"layer_without_number", "tensor 'blk.attn_q.weight': found it",
     [](GgufBuilder& b) {
       b.add_f32("blk.attn_q.weight", {32, 32});
     }},
    {"bias_nobody_adds", "tensor 'blk.0.ffn_up.bias': found it",
     [](GgufBuilder& b) { b.add_f32("blk.0.ffn_up.bias", {32}); }},
    {"output_bias", "tensor 'output.bias': found it",
     [](GgufBuilder& b) { b.add_f32("output.bias", {16}); }},
    {"norm_quantised", "found type Q4_0, expected F32 for a norm or bias",
     [](GgufBuilder& b) {
       b.tensor("blk.0.attn_norm.weight").type = 2;
       b.tensor("blk.0.attn_norm.weight").size_bytes = 18;
     }},
    {"embedding_rows_differ", "found 16 tokens, expected 17",
     [](GgufBuilder& b) {
       b.tensor("token_embd.weight").ne = {32, 17};
       b.tensor("token_embd.weight").size_bytes = 32 * 17 * 4;
     }},
    {"head_rows_differ", "found shape 32 x 17, expected 32 x 16",
     [](GgufBuilder& b) {
       b.add_f32("output.weight", {32, 17});
     }},
    {"rope_factors_too_few", "rope_freqs.weight",
     [](GgufBuilder& b) { b.add_f32("rope_freqs.weight", {4}); }},
    {"rope_factors_zero", "rope_freqs.weight': found 0",
     [](GgufBuilder& b) { b.add_f32("rope_freqs.weight", {8}); }},
};
INSTANTIATE_TEST_SUITE_P(TensorSet, DamagedModel, ::testing::ValuesIn(kTensorSet), name_of);

std::vector<std::string> letters() {
  std::vector<std::string> tokens;
  for (int i = 0; i < testing::kVocab; ++i)
    tokens.push_back(std::string(1, static_cast<char>('a' + i)));
  return tokens;
}

void set_token(GgufBuilder& b, size_t i, const std::string& text) {
  std::vector<std::string> tokens = letters();
  tokens[i] = text;
  b.set_texts("tokenizer.ggml.tokens", tokens);
}

const Case kVocabulary[] = {
    {"tokens_missing", "found no tokens", [](GgufBuilder& b) { b.erase("tokenizer.ggml.tokens"); }},
    {"tokens_not_strings", "found array of 16 u32, expected an array of string",
     [](GgufBuilder& b) {
       b.set_array<uint32_t>("tokenizer.ggml.tokens", std::vector<uint32_t>(16));
     }},
    {"tokens_too_few", "found 15 tokens, expected 16",
     [](GgufBuilder& b) {
       std::vector<std::string> tokens = letters();
       tokens.pop_back();
       b.set_texts("tokenizer.ggml.tokens", tokens).erase("tokenizer.ggml.token_type");
     }},
    {"token_twice", "found token 9 equal to token 3", [](GgufBuilder& b) { set_token(b, 9, "d"); }},
    {"token_empty", "found token 4 with 0 bytes", [](GgufBuilder& b) { set_token(b, 4, ""); }},
    {"token_too_long", "found token 4 with 65537 bytes",
     [](GgufBuilder& b) { set_token(b, 4, std::string(65537, 'x')); }},
    {"million_empty_tokens", "found token 0 with 0 bytes",
     [](GgufBuilder& b) {
       b.set_texts("tokenizer.ggml.tokens", std::vector<std::string>(1000000));
     }},
    {"scores_u8", "found array of 16 u8, expected an array of f32",
     [](GgufBuilder& b) {
       b.set_array<uint8_t>("tokenizer.ggml.scores", std::vector<uint8_t>(16));
     }},
    {"scores_short", "found 15 scores",
     [](GgufBuilder& b) { b.set_array<float>("tokenizer.ggml.scores", std::vector<float>(15)); }},
    {"score_nan", "found NaN for token 0",
     [](GgufBuilder& b) {
       b.set_array<float>("tokenizer.ggml.scores", std::vector<float>(16, kNan));
     }},
    {"types_short", "found 15 types",
     [](GgufBuilder& b) {
       b.set_array<int32_t>("tokenizer.ggml.token_type", std::vector<int32_t>(15, 1));
     }},
    {"types_u8", "expected an array of i32",
     [](GgufBuilder& b) {
       b.set_array<uint8_t>("tokenizer.ggml.token_type", std::vector<uint8_t>(16, 1));
     }},
    {"type_7", "found 7 for token 0",
     [](GgufBuilder& b) {
       b.set_array<int32_t>("tokenizer.ggml.token_type", std::vector<int32_t>(16, 7));
     }},
    {"byte_token_without_byte", "found token 0 marked as a byte",
     [](GgufBuilder& b) {
       b.set_array<int32_t>("tokenizer.ggml.token_type", std::vector<int32_t>(16, 6));
     }},
    {"bos_is_vocabulary_size", "found 16, expected an id below 16",
     [](GgufBuilder& b) { b.set<uint32_t>("tokenizer.ggml.bos_token_id", 16); }},
    {"eos_max", "found 4294967295",
     [](GgufBuilder& b) { b.set<uint32_t>("tokenizer.ggml.eos_token_id", UINT32_MAX); }},
    {"pad_outside", "padding_token_id': found 99",
     [](GgufBuilder& b) { b.set<uint32_t>("tokenizer.ggml.padding_token_id", 99); }},
    {"default_id_outside", "found 11 (by default), expected an id below 10",
     [](GgufBuilder& b) {
       std::vector<std::string> tokens = letters();
       tokens.resize(10);
       b.set_texts("tokenizer.ggml.tokens", tokens).erase("tokenizer.ggml.token_type");
       b.erase("tokenizer.ggml.bos_token_id");
     }},
    {"sentencepiece_without_bytes", "found 0 of the byte tokens",
     [](GgufBuilder& b) { b.set_text("tokenizer.ggml.model", "llama"); }},
    {"merges_missing", "expected the merges",
     [](GgufBuilder& b) { b.erase("tokenizer.ggml.merges"); }},
    {"merge_without_space", "found merge 1",
     [](GgufBuilder& b) {
       b.set_texts("tokenizer.ggml.merges", {"a b", "cd"});
     }},
    {"merge_with_two_spaces", "found merge 0",
     [](GgufBuilder& b) { b.set_texts("tokenizer.ggml.merges", {"a  b"}); }},
    {"merge_of_one_side", "found merge 0",
     [](GgufBuilder& b) { b.set_texts("tokenizer.ggml.merges", {"a "}); }},
    {"charsmap_of_a_tokenizer_that_reads_it", "found 't5'",
     [](GgufBuilder& b) {
       b.set_text("tokenizer.ggml.model", "t5");
       b.set_array<uint8_t>("tokenizer.ggml.precompiled_charsmap", {0xFF, 0xFF, 0xFF, 0x7F, 1});
     }},
    {"tokenizer_unknown", "found 'bert'",
     [](GgufBuilder& b) { b.set_text("tokenizer.ggml.model", "bert"); }},
    {"tokenizer_none", "found 'no_vocab'",
     [](GgufBuilder& b) { b.set_text("tokenizer.ggml.model", "no_vocab"); }},
    {"add_bos_number", "found u32, expected bool",
     [](GgufBuilder& b) { b.set<uint32_t>("tokenizer.ggml.add_bos_token", 1); }},
    {"template_number", "found u32, expected string",
     [](GgufBuilder& b) { b.set<uint32_t>("tokenizer.chat_template", 1); }},
};
INSTANTIATE_TEST_SUITE_P(Vocabulary, DamagedModel, ::testing::ValuesIn(kVocabulary), name_of);

// Harmless where nobody looks at it, and a file that says it is whole.
TEST(GgufCorpus, KeysThatDoNotMatterAreNoObstacle) {
  GgufBuilder builder = testing::small_llama();
  builder.set_array<uint8_t>("tokenizer.ggml.precompiled_charsmap", {0xFF, 0xFF, 0xFF, 0x7F, 1});
  builder.set<uint16_t>("split.count", 1);
  EXPECT_EQ(testing::load_bytes(builder.build())->config().n_vocab, 16);
}

}  // namespace
}  // namespace ebb::model
