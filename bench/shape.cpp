#include "bench/shape.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/platform.h"
#include "bench/alone.h"
#include "bench/runners.h"

namespace ebb::bench {
namespace {

using nlohmann::json;

constexpr size_t kShort = 128;
constexpr size_t kLong = 512;
constexpr size_t kSteps = 8;
constexpr size_t kSeparate = 4;
constexpr size_t kSeparateTokens = 2048;
constexpr double kGib = static_cast<double>(size_t{1} << 30);

struct Entrant {
  std::string task;
  std::string name;
  Side side;
};
const std::vector<Entrant>& entrants() {
  static const std::vector<Entrant> kAll = {{"strict", "ebb strict", Side::kOurs},
                                            {"fast", "ebb fast", Side::kOurs},
                                            {"off", "libllama, flash attention off", Side::kPeer},
                                            {"on", "libllama, flash attention on", Side::kPeer}};
  return kAll;
}

std::unique_ptr<Runner> make_runner(const std::string& who, const std::filesystem::path& path,
                                    const Settings& settings) {
  if (who == "strict" || who == "fast") {
    engine::EngineOptions options;
    options.numerics = who == "fast" ? engine::Numerics::kFast : engine::Numerics::kStrict;
    options.n_threads = settings.n_threads;
    return std::make_unique<EbbRunner>(model::Model::load(path), options);
  }
  if (who != "off" && who != "on") {
    throw Error::make(ErrorKind::kUsage,
                      "shape: found '{}', expected strict, fast, off, on or memory", who);
  }
  return std::make_unique<LibllamaRunner>(
      std::make_shared<const PeerModel>(path),
      LibllamaRunner::Options{
          .n_threads = settings.n_threads,
          .flash_attention = who == "on" ? FlashAttention::kOn : FlashAttention::kOff,
          .n_ctx = 1024,
          .n_sequences_max = 1});
}

// Four sequences that share nothing.
json fill_memory(const std::filesystem::path& path, const Settings& settings) {
  engine::EngineOptions options;
  options.numerics = engine::Numerics::kFast;
  options.n_threads = settings.n_threads;
  engine::Engine engine(model::Model::load(path), options);
  const auto ids = made_up_ids(kSeparateTokens, engine.config().n_vocab);
  std::vector<engine::Sequence> sequences;
  std::vector<engine::StepItem> items;
  for (size_t i = 0; i < kSeparate; ++i) {
    sequences.push_back(engine.make_sequence(PositionMode::kOriginal));
  }
  for (engine::Sequence& sequence : sequences) {
    const engine::StepItem item{&sequence, ids, {}, engine::LogitRows::kLast};
    engine.step(std::span(&item, 1));
    items.push_back({&sequence, std::span(ids).first(1), {}, engine::LogitRows::kLast});
  }
  const double seconds = seconds_of([&] {
    for (size_t i = 0; i < kSteps; ++i) engine.step(items);
  });
  return {{"peak_bytes", platform::peak_resident_bytes()},
          {"weights_bytes", engine.model().weights_bytes()},
          {"together", static_cast<double>(kSeparate * kSteps) / seconds}};
}

}  // namespace

json shape_alone(const std::string& who, const std::filesystem::path& model_path,
                 const Settings& settings) {
  if (who == "memory") return fill_memory(model_path, settings);
  const std::unique_ptr<Runner> runner = make_runner(who, model_path, settings);
  const auto ids = made_up_ids(kLong, model::Model::load(model_path)->config().n_vocab);
  const auto rate_of_prompt = [&](size_t n) {
    runner->reset();
    return static_cast<double>(n) /
           seconds_of([&] { runner->compute_prompt(std::span(ids).first(n)); });
  };
  rate_of_prompt(32);  // touches all weights
  const double short_rate = rate_of_prompt(kShort);
  const double long_rate = rate_of_prompt(kLong);
  runner->start(1);
  runner->advance(std::span(ids).first(1));
  const double seconds = seconds_of([&] {
    for (size_t i = 0; i < kSteps; ++i) runner->advance(std::span(ids).subspan(i, 1));
  });
  return {{"short", short_rate},
          {"long", long_rate},
          {"decode", static_cast<double>(kSteps) / seconds},
          {"peak_bytes", platform::peak_resident_bytes()}};
}

std::vector<Section> measure_shape(const std::filesystem::path& model_path,
                                   const Settings& settings) {
  const auto model = model::Model::load(model_path);
  const auto weights_bytes = static_cast<double>(model->weights_bytes());
  std::map<std::string, std::map<std::string, std::vector<double>>> found;
  for (int round = 0; round < std::min(settings.n_rounds, 2); ++round) {
    for (const Entrant& entrant : entrants()) {
      settings.on_progress("shape: " + entrant.name);
      const json result = run_alone("shape:" + entrant.task, model_path, settings);
      for (const auto& [key, value] : result.items()) {
        found[key][entrant.name].push_back(value.get<double>());
      }
    }
  }
  Section speed{.title = "The shape of Gemma 3 12B: " + model_path.filename().string(),
                .unit = "tokens/s",
                .ratio_of = "libllama's best",
                .rows = {}};
  const std::vector<std::pair<std::string, std::string>> works = {
      {"short", fmt::format("prompt of {} tokens", kShort)},
      {"long", fmt::format("prompt of {} tokens", kLong)},
      {"decode", fmt::format("1 sequence at {} tokens", kLong)}};
  for (const auto& [key, work] : works) {
    std::vector<Rated> rated;
    for (const Entrant& entrant : entrants()) {
      rated.push_back({entrant.name, entrant.side, found[key][entrant.name]});
    }
    for (Row& row : rows_of(work, rated)) speed.rows.push_back(std::move(row));
  }
  const double limit = settings.read_bytes_per_second / weights_bytes;
  for (Row& row : speed.rows) {
    if (row.work == works.back().second && limit > 0.0) row.share = row.value.median / limit;
  }
  Section memory{.title = "Memory of the shape beside its weights' " +
                          fmt::format("{:.2f} GiB", weights_bytes / kGib),
                 .unit = "GiB",
                 .ratio_of = "a GiB",
                 .rows = {}};
  const auto add = [&](const std::string& work, const std::string& who, double peak_bytes) {
    const double more = (peak_bytes - weights_bytes) / kGib;
    memory.rows.push_back({work, who, {more, more, more}, more});
  };
  for (const Entrant& entrant : entrants()) {
    add(fmt::format("1 sequence of {} tokens", kLong + kSteps), entrant.name,
        summarise(found["peak_bytes"][entrant.name]).median);
  }
  settings.on_progress("shape: memory");
  const json filled = run_alone("shape:memory", model_path, settings);
  add(fmt::format("{} sequences of {} tokens", kSeparate, kSeparateTokens), "ebb fast",
      filled.at("peak_bytes").get<double>());
  const double together = filled.at("together").get<double>();
  speed.rows.push_back({fmt::format("{} sequences at {} tokens", kSeparate, kSeparateTokens),
                        "ebb fast",
                        {together, together, together},
                        std::nullopt});
  return {std::move(speed), std::move(memory)};
}

}  // namespace ebb::bench
