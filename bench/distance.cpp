#include "bench/distance.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "bench/hf_golden.h"
#include "bench/libllama_peer.h"
#include "engine/engine.h"
#include "experiment/fidelity.h"
#include "model/tokenizer.h"

namespace ebb::bench {
namespace {

namespace fs = std::filesystem;

constexpr size_t kProseTokens = 800;
constexpr size_t kEvery = 4;  // rows compared

std::string golden_name(const fs::path& model_path) {
  const std::string file = model_path.filename().string();
  if (file == "SmolLM2-135M-Instruct.Q4_1.gguf") return "smollm2";
  if (file == "gemma-3-270m-q4_k_m.gguf") return "gemma270m";
  return "";
}

// Appends tokens and hands out the logits of the last one.
using Append = std::function<std::span<const float>(std::span<const int32_t>)>;

// A text, the places in it whose predictions count, and what they are measured against.
struct Yardstick {
  std::string work;
  std::vector<int32_t> ids;
  std::vector<size_t> positions;
  std::function<double(size_t row, std::span<const float> logits)> kl;

  // Millionths, row by row.
  std::vector<double> distances(const Append& append) const {
    std::vector<double> out;
    size_t done = 0;
    for (size_t i = 0; i < positions.size(); ++i) {
      const auto part = std::span(ids).subspan(done, positions[i] + 1 - done);
      out.push_back(1e6 * kl(i, append(part)));
      done += part.size();
    }
    return out;
  }
};

Yardstick golden_yardstick(const std::string& name) {
  const fs::path folder = fs::path(EBB_FIXTURES) / "hf";
  std::ifstream in(folder / (name + ".json"));
  const auto about = nlohmann::json::parse(in);
  const auto golden = std::make_shared<const HfGolden>(folder / (name + ".plain"));
  Yardstick out;
  out.ids = about.at("ids").get<std::vector<int32_t>>();
  out.positions = about.at("positions").get<std::vector<size_t>>();
  out.work = fmt::format("{} of {} tokens, from transformers", out.positions.size(),
                         out.positions.back() + 1);
  out.kl = [golden](size_t row, std::span<const float> logits) { return golden->kl(row, logits); };
  return out;
}

// More rows than goldens are kept for: ebb's reference numerics stand in for transformers, which
// the tests hold them to within 20 millionths.
Yardstick reference_yardstick(const fs::path& model_path, int n_threads) {
  std::ifstream in(fs::path(EBB_FIXTURES) / "hf/prose.txt");
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  Yardstick out;
  out.ids = model::Tokenizer::load(model_path)
                ->encode(text, model::ParseSpecial::kNo, model::AddBos::kAsFile);
  out.ids.resize(std::min(out.ids.size(), kProseTokens));
  for (size_t at = kEvery - 1; at < out.ids.size(); at += kEvery) out.positions.push_back(at);
  out.work =
      fmt::format("{} of {} tokens, from ebb's reference", out.positions.size(), out.ids.size());
  engine::EngineOptions options;
  options.numerics = engine::Numerics::kReference;
  options.n_threads = n_threads;
  engine::Engine engine(model::Model::load(model_path), options);
  engine::Sequence sequence = engine.make_sequence(PositionMode::kOriginal);
  auto expected = std::make_shared<std::vector<engine::StepLogits>>();
  for (size_t at = 0; at + kEvery <= out.ids.size(); at += kEvery) {
    const engine::StepItem item{
        &sequence, std::span(out.ids).subspan(at, kEvery), {}, engine::LogitRows::kLast};
    expected->push_back(engine.step(std::span(&item, 1)));
  }
  out.kl = [expected](size_t row, std::span<const float> logits) {
    experiment::FidelitySum one;
    one.add((*expected)[row].row(0), logits, 0);
    return one.result().kl_mean;
  };
  return out;
}

// The mean in the place of the median: single rows differ by orders of magnitude.
Summary mean_of(const std::vector<double>& values) {
  Summary out = summarise(values);
  out.median = 0.0;
  for (const double value : values) out.median += value / static_cast<double>(values.size());
  return out;
}

Summary our_distance(const Yardstick& yardstick, const std::shared_ptr<const model::Model>& model,
                     const engine::EngineOptions& options) {
  engine::Engine engine(model, options);
  engine::Sequence sequence = engine.make_sequence(PositionMode::kOriginal);
  engine::StepLogits logits;
  return mean_of(yardstick.distances([&](std::span<const int32_t> ids) {
    const engine::StepItem item{&sequence, ids, {}, engine::LogitRows::kLast};
    logits = engine.step(std::span(&item, 1));
    return logits.row(0);
  }));
}

std::vector<Row> rows_beside(const Yardstick& yardstick, const fs::path& model_path,
                             int n_threads) {
  using engine::LinearKernels;
  using engine::Numerics;
  std::vector<Row> rows;
  const auto model = model::Model::load(model_path);
  const auto add = [&](const std::string& who, Numerics numerics, LinearKernels kernels) {
    engine::EngineOptions options;
    options.numerics = numerics;
    options.kernels = kernels;
    options.n_threads = n_threads;
    rows.push_back({yardstick.work, who, our_distance(yardstick, model, options), std::nullopt});
  };
  add("ebb strict", Numerics::kStrict, LinearKernels::kOwn);
  add("ebb fast", Numerics::kFast, LinearKernels::kOwn);
  add("ebb fast, ggml's kernels", Numerics::kFast, LinearKernels::kGgml);
  const auto peer_model = std::make_shared<const PeerModel>(model_path);
  double nearest = 0.0;
  for (const FlashAttention flash : {FlashAttention::kOff, FlashAttention::kOn}) {
    LibllamaPeer peer(peer_model, {.n_threads = n_threads, .flash_attention = flash});
    const Summary value = mean_of(yardstick.distances([&](std::span<const int32_t> ids) {
      peer.append(0, ids);
      return peer.logits(0);
    }));
    if (nearest == 0.0 || value.median < nearest) nearest = value.median;
    const std::string state = flash == FlashAttention::kOn ? "on" : "off";
    rows.push_back({yardstick.work, "libllama, flash attention " + state, value, std::nullopt});
  }
  for (Row& row : rows) row.ratio = row.value.median / nearest;
  return rows;
}

}  // namespace

std::optional<Section> measure_distance(const fs::path& model_path, const Settings& settings) {
  const std::string name = golden_name(model_path);
  if (name.empty()) return std::nullopt;
  Section section{
      .title = "Distance to Hugging Face float32, means: " + model_path.filename().string(),
      .unit = "KL, millionths",
      .ratio_of = "libllama's nearest",
      .rows = {}};
  const auto add = [&](const Yardstick& yardstick) {
    settings.on_progress("distance: " + yardstick.work);
    for (Row& row : rows_beside(yardstick, model_path, settings.n_threads)) {
      section.rows.push_back(std::move(row));
    }
  };
  add(golden_yardstick(name));
  if (!settings.is_quick) add(reference_yardstick(model_path, settings.n_threads));
  return section;
}

}  // namespace ebb::bench
