#include "bench/distance.h"

#include <fmt/format.h>

#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bench/hf_golden.h"
#include "bench/libllama_peer.h"
#include "engine/engine.h"

namespace ebb::bench {
namespace {

namespace fs = std::filesystem;

std::string golden_name(const fs::path& model_path) {
  const std::string file = model_path.filename().string();
  if (file == "SmolLM2-135M-Instruct.Q4_1.gguf") return "smollm2";
  if (file == "gemma-3-270m-q4_k_m.gguf") return "gemma270m";
  return "";
}

// Appends tokens and hands out the logits of the last one.
using Append = std::function<std::span<const float>(std::span<const int32_t>)>;

class DistanceTest {
 public:
  explicit DistanceTest(const std::string& name)
      : golden_(fs::path(EBB_FIXTURES) / "hf" / (name + ".plain")) {
    std::ifstream in(fs::path(EBB_FIXTURES) / "hf" / (name + ".json"));
    const auto about = nlohmann::json::parse(in);
    ids_ = about.at("ids").get<std::vector<int32_t>>();
    positions_ = about.at("positions").get<std::vector<size_t>>();
  }

  size_t n_rows() const { return positions_.size(); }
  size_t n_tokens() const { return positions_.back() + 1; }
  // Millionths, over all rows.
  std::vector<double> distances(const Append& append) const {
    std::vector<double> out;
    size_t done = 0;
    for (size_t i = 0; i < positions_.size(); ++i) {
      const auto part = std::span(ids_).subspan(done, positions_[i] + 1 - done);
      out.push_back(1e6 * golden_.kl(i, append(part)));
      done += part.size();
    }
    return out;
  }

 private:
  HfGolden golden_;
  std::vector<int32_t> ids_;
  std::vector<size_t> positions_;
};

// The mean in the place of the median: single rows differ by orders of magnitude.
Summary mean_of(const std::vector<double>& values) {
  Summary out = summarise(values);
  out.median = 0.0;
  for (const double value : values) out.median += value / static_cast<double>(values.size());
  return out;
}

Summary our_distance(const DistanceTest& test, const std::shared_ptr<const model::Model>& model,
                     engine::Numerics numerics, engine::LinearKernels kernels, int n_threads) {
  engine::EngineOptions options;
  options.numerics = numerics;
  options.kernels = kernels;
  options.n_threads = n_threads;
  engine::Engine engine(model, options);
  engine::Sequence sequence = engine.make_sequence(PositionMode::kOriginal);
  engine::StepLogits logits;
  return mean_of(test.distances([&](std::span<const int32_t> ids) {
    const engine::StepItem item{&sequence, ids, {}, engine::LogitRows::kLast};
    logits = engine.step(std::span(&item, 1));
    return logits.row(0);
  }));
}

}  // namespace

std::optional<Section> measure_distance(const fs::path& model_path, const Settings& settings) {
  const std::string name = golden_name(model_path);
  if (name.empty()) return std::nullopt;
  settings.on_progress("distance to transformers");
  const DistanceTest test(name);
  Section section{.title = "Distance to Hugging Face float32: " + model_path.filename().string(),
                  .unit = "KL, millionths",
                  .ratio_of = "libllama's nearest",
                  .rows = {}};
  const std::string work =
      fmt::format("mean over {} of {} tokens of prose", test.n_rows(), test.n_tokens());
  const auto peer_model = std::make_shared<const PeerModel>(model_path);
  double nearest = 0.0;
  std::vector<Row> peers;
  for (const FlashAttention flash : {FlashAttention::kOff, FlashAttention::kOn}) {
    LibllamaPeer peer(peer_model, {.n_threads = settings.n_threads, .flash_attention = flash});
    const Summary value = mean_of(test.distances([&](std::span<const int32_t> ids) {
      peer.append(0, ids);
      return peer.logits(0);
    }));
    if (nearest == 0.0 || value.median < nearest) nearest = value.median;
    const std::string state = flash == FlashAttention::kOn ? "on" : "off";
    peers.push_back({work, "libllama, flash attention " + state, value, std::nullopt});
  }
  using engine::LinearKernels;
  using engine::Numerics;
  const auto model = model::Model::load(model_path);
  const auto add = [&](const std::string& who, Numerics numerics, LinearKernels kernels) {
    const Summary value = our_distance(test, model, numerics, kernels, settings.n_threads);
    section.rows.push_back({work, who, value, std::nullopt});
  };
  add("ebb strict", Numerics::kStrict, LinearKernels::kOwn);
  add("ebb fast", Numerics::kFast, LinearKernels::kOwn);
  add("ebb fast, ggml's kernels", Numerics::kFast, LinearKernels::kGgml);
  section.rows.insert(section.rows.end(), peers.begin(), peers.end());
  for (Row& row : section.rows) row.ratio = row.value.median / nearest;
  return section;
}

}  // namespace ebb::bench
