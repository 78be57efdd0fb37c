// ebb-dequantise and ebb-make-gemma12b as programs: what they write, what they refuse, what they
// leave.
#include <gguf.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "gguf_output.h"

namespace {

namespace fs = std::filesystem;
using ebb::tools::GgufInput;

fs::path tiny(const std::string& name) {
  return fs::path(EBB_FIXTURES) / "tiny" / (name + ".gguf");
}

std::string text_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::byte> data_of(GgufInput& input, int64_t index) {
  std::vector<std::byte> out(gguf_get_tensor_size(input.header.get(), index));
  input.read(index, 0, out);
  return out;
}

std::vector<float> floats_of(GgufInput& input, const char* name) {
  const int64_t index = gguf_find_tensor(input.header.get(), name);
  const std::vector<std::byte> bytes = data_of(input, index);
  std::vector<float> out(bytes.size() / sizeof(float));
  std::memcpy(out.data(), bytes.data(), bytes.size());
  return out;
}

uint32_t number(const GgufInput& input, const char* key) {
  return gguf_get_val_u32(input.header.get(), gguf_find_key(input.header.get(), key));
}

class GgufTools : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) / ("gguf_tools_" + std::to_string(getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  int run(const std::string& tool, const std::string& arguments) {
    const std::string command = limits_ + std::string(EBB_BINARY_DIR) + "/bin/" + tool + " " +
                                arguments + " >" + (folder_ / "out.txt").string() + " 2>" +
                                (folder_ / "err.txt").string();
    const int status = std::system(command.c_str());
    message_ = text_of(folder_ / "err.txt");
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  int dequantise(const fs::path& in, const fs::path& out) {
    return run("ebb-dequantise", in.string() + " " + out.string());
  }
  void expect_nothing_left(const fs::path& out) {
    EXPECT_FALSE(fs::exists(out));
    EXPECT_FALSE(fs::exists(out.string() + ".part"));
  }

  fs::path folder_;
  std::string message_;
  std::string limits_;  // shell commands before the tool
};

TEST_F(GgufTools, DequantisedQ8BlocksAreScaleTimesCode) {
  const fs::path out = folder_ / "out.gguf";
  ASSERT_EQ(dequantise(tiny("llama-q8_0"), out), 0) << message_;
  GgufInput source(tiny("llama-q8_0"));
  GgufInput result(out);
  const char* name = "blk.1.ffn_down.weight";
  const std::vector<std::byte> stored =
      data_of(source, gguf_find_tensor(source.header.get(), name));
  const std::vector<float> values = floats_of(result, name);
  constexpr size_t kBlockBytes = 34;
  ASSERT_EQ(values.size() / 32, stored.size() / kBlockBytes);
  for (size_t i = 0; i < values.size(); ++i) {
    const std::byte* block = stored.data() + i / 32 * kBlockBytes;
    ggml_fp16_t half = 0;
    std::memcpy(&half, block, sizeof(half));
    const auto code = static_cast<int8_t>(block[2 + i % 32]);
    ASSERT_EQ(values[i], ggml_fp16_to_fp32(half) * static_cast<float>(code)) << i;
  }
}

TEST_F(GgufTools, DequantisingKeepsMetadataAndNamesTheNewFileType) {
  const fs::path out = folder_ / "out.gguf";
  ASSERT_EQ(dequantise(tiny("llama-q4_k"), out), 0) << message_;
  GgufInput source(tiny("llama-q4_k"));
  GgufInput result(out);
  ASSERT_EQ(gguf_get_n_kv(result.header.get()), gguf_get_n_kv(source.header.get()));
  for (int64_t i = 0; i < gguf_get_n_kv(source.header.get()); ++i) {
    EXPECT_GE(gguf_find_key(result.header.get(), gguf_get_key(source.header.get(), i)), 0);
  }
  EXPECT_EQ(number(source, "general.file_type"), 15U);
  EXPECT_EQ(number(result, "general.file_type"), 0U);
  for (int64_t i = 0; i < gguf_get_n_tensors(result.header.get()); ++i) {
    EXPECT_EQ(gguf_get_tensor_type(result.header.get(), i), GGML_TYPE_F32);
  }
}

TEST_F(GgufTools, DequantisingAnF32FileChangesNoWeight) {
  const fs::path out = folder_ / "out.gguf";
  ASSERT_EQ(dequantise(tiny("qwen2-f32"), out), 0) << message_;
  GgufInput source(tiny("qwen2-f32"));
  GgufInput result(out);
  for (int64_t i = 0; i < gguf_get_n_tensors(source.header.get()); ++i) {
    EXPECT_EQ(data_of(result, i), data_of(source, i))
        << gguf_get_tensor_name(source.header.get(), i);
  }
}

TEST_F(GgufTools, TruncatedInputIsABadModelAndLeavesNoFile) {
  const std::string whole = text_of(tiny("llama-q4_0"));
  const fs::path cut = folder_ / "cut.gguf";
  std::ofstream(cut, std::ios::binary)
      .write(whole.data(), static_cast<std::streamsize>(whole.size() - 4096));
  EXPECT_EQ(dequantise(cut, folder_ / "out.gguf"), 3);
  EXPECT_NE(message_.find("truncated"), std::string::npos) << message_;
  expect_nothing_left(folder_ / "out.gguf");
}

TEST_F(GgufTools, ForeignInputIsABadModel) {
  EXPECT_EQ(dequantise(fs::path(EBB_FIXTURES) / "README.md", folder_ / "out.gguf"), 3);
  expect_nothing_left(folder_ / "out.gguf");
}

TEST_F(GgufTools, InputIsNeverOverwritten) {
  const fs::path copy = folder_ / "copy.gguf";
  fs::copy_file(tiny("llama-q4_0"), copy);
  EXPECT_EQ(dequantise(copy, copy), 2);
  EXPECT_EQ(text_of(copy), text_of(tiny("llama-q4_0")));
}

TEST_F(GgufTools, MissingOrUnknownArgumentsAreUsageErrors) {
  EXPECT_EQ(run("ebb-dequantise", tiny("llama-q4_0").string()), 2);
  const std::string files = tiny("gemma3-f32").string() + " " + (folder_ / "big.gguf").string();
  EXPECT_EQ(run("ebb-make-gemma12b", files + " --layers 0"), 2);
  EXPECT_EQ(run("ebb-make-gemma12b", files + " --type q4_1"), 2);
  EXPECT_NE(message_.find("did you mean 'q4_0'"), std::string::npos) << message_;
  expect_nothing_left(folder_ / "big.gguf");
}

TEST_F(GgufTools, MissingOutputFolderIsAStorageError) {
  EXPECT_EQ(dequantise(tiny("llama-q4_0"), folder_ / "none" / "out.gguf"), 5);
}

TEST_F(GgufTools, FailedWriteLeavesNoHalfFile) {
  limits_ = "trap '' XFSZ; ulimit -f 64; ";  // files end at a few dozen KiB
  EXPECT_EQ(dequantise(tiny("llama-q8_0"), folder_ / "out.gguf"), 5);
  EXPECT_NE(message_.find("writing failed"), std::string::npos) << message_;
  expect_nothing_left(folder_ / "out.gguf");
}

TEST_F(GgufTools, MadeModelHasTheShapesOfGemma12b) {
  const fs::path out = folder_ / "big.gguf";
  const std::string files = tiny("gemma3-f32").string() + " " + out.string();
  ASSERT_EQ(run("ebb-make-gemma12b", files + " --layers 1"), 0) << message_;
  GgufInput model(out);
  EXPECT_EQ(number(model, "gemma3.attention.sliding_window"), 1024U);
  EXPECT_EQ(number(model, "gemma3.block_count"), 1U);
  const int64_t scaling = gguf_find_key(model.header.get(), "gemma3.rope.scaling.type");
  EXPECT_STREQ(gguf_get_val_str(model.header.get(), scaling), "linear");
  const int64_t factor = gguf_find_key(model.header.get(), "gemma3.rope.scaling.factor");
  EXPECT_EQ(gguf_get_val_f32(model.header.get(), factor), 8.0F);
  const ggml_tensor* key = ggml_get_tensor(model.tensors.get(), "blk.0.attn_k.weight");
  EXPECT_EQ(key->ne[0], 3840);
  EXPECT_EQ(key->ne[1], 8 * 256);
  const ggml_tensor* embedding = ggml_get_tensor(model.tensors.get(), "token_embd.weight");
  EXPECT_EQ(embedding->ne[1], 288);
  EXPECT_EQ(ggml_get_tensor(model.tensors.get(), "blk.1.attn_k.weight"), nullptr);
}

TEST_F(GgufTools, MadeModelDependsOnTheSeedAlone) {
  std::vector<std::string> contents;
  for (const char* seed : {"3", "3", "4"}) {
    const fs::path out = folder_ / "big.gguf";
    const std::string files = tiny("gemma3-f32").string() + " " + out.string();
    ASSERT_EQ(run("ebb-make-gemma12b", files + " --layers 1 --seed " + seed), 0) << message_;
    GgufInput model(out);
    const int64_t index = gguf_find_tensor(model.header.get(), "blk.0.attn_v.weight");
    const std::vector<std::byte> bytes = data_of(model, index);
    contents.emplace_back(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  EXPECT_TRUE(contents[0] == contents[1]);
  EXPECT_FALSE(contents[0] == contents[2]);
}

}  // namespace
