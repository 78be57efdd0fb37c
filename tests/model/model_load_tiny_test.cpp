// The committed tiny models load, and their weights are what the file holds.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "model/model.h"
#include "tensor/types.h"

namespace ebb::model {
namespace {

namespace fs = std::filesystem;

TEST(ModelLoadTiny, EveryTinyModelLoadsAndUsesEveryTensor) {
  size_t n_models = 0;
  for (const auto& entry : fs::directory_iterator(fs::path(EBB_FIXTURES) / "tiny")) {
    if (entry.path().extension() != ".gguf") continue;
    SCOPED_TRACE(entry.path().filename().string());
    const auto model = Model::load(entry.path());
    EXPECT_EQ(model->n_tensors_ignored(), 0U);
    EXPECT_EQ(model->config().n_vocab, 288);
    EXPECT_EQ(model->config().layer_class.size(), static_cast<size_t>(model->config().n_layers));
    size_t n_bytes = 0;
    for (const TensorInfo& tensor : model->file().tensors()) n_bytes += tensor.size_bytes;
    const size_t rope_bytes = model->config().rope_global.freq_factors.size() * sizeof(float);
    EXPECT_EQ(model->weights_bytes(), n_bytes - rope_bytes);
    ++n_models;
  }
  EXPECT_GE(n_models, 18U);
}

std::vector<float> row_of(const Weight& weight, int64_t row) {
  std::vector<float> out(static_cast<size_t>(weight.n_in));
  const size_t n_bytes = tensor::row_size_bytes(weight.type, weight.n_in);
  tensor::dequantise_row(
      weight.type, static_cast<const std::byte*>(weight.data) + static_cast<size_t>(row) * n_bytes,
      out);
  return out;
}

// The f32 and quantised llama files hold the same random numbers.
TEST(ModelLoadTiny, QuantisedWeightsAreTheF32OnesUpToTheirRounding) {
  const fs::path folder = fs::path(EBB_FIXTURES) / "tiny";
  const auto exact = Model::load(folder / "llama-f32.gguf");
  const auto expected = row_of(exact->layer(1).ffn_down, 7);
  const struct {
    const char* file;
    double tolerance;  // of the largest number in the row
  } cases[] = {{"llama-f16.gguf", 1e-3},  {"llama-bf16.gguf", 1e-2}, {"llama-q8_0.gguf", 1e-2},
               {"llama-q5_1.gguf", 0.05}, {"llama-q5_0.gguf", 0.08}, {"llama-q4_1.gguf", 0.1},
               {"llama-q4_0.gguf", 0.15}};
  for (const auto& [file, tolerance] : cases) {
    SCOPED_TRACE(file);
    const auto rounded = row_of(Model::load(folder / file)->layer(1).ffn_down, 7);
    double largest = 0, worst = 0;
    for (size_t i = 0; i < expected.size(); ++i) {
      largest = std::max(largest, std::abs(static_cast<double>(expected[i])));
      worst = std::max(
          worst, std::abs(static_cast<double>(expected[i]) - static_cast<double>(rounded[i])));
    }
    EXPECT_GT(worst, 0);
    EXPECT_LT(worst, tolerance * largest);
  }
}

}  // namespace
}  // namespace ebb::model
