#include "bench/growth.h"

#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/platform.h"
#include "bench/alone.h"
#include "bench/study_ours.h"

namespace ebb::bench {
namespace {

// Small conversations: two turns of some 40 and 16 tokens under three arms.
constexpr WorkScale kFamily = {
    .n_conversations = 1, .n_turns = 2, .n_new = 16, .n_words_min = 20, .n_words_max = 40};

// Of the line that fits best, by least squares.
double slope_of(const std::map<int, double>& seconds) {
  double mean_x = 0.0;
  double mean_y = 0.0;
  for (const auto& [n, value] : seconds) {
    mean_x += n / static_cast<double>(seconds.size());
    mean_y += value / static_cast<double>(seconds.size());
  }
  double covariance = 0.0;
  double variance = 0.0;
  for (const auto& [n, value] : seconds) {
    covariance += (n - mean_x) * (value - mean_y);
    variance += (n - mean_x) * (n - mean_x);
  }
  return covariance / variance;
}

}  // namespace

nlohmann::json grow_alone(int n_families, const std::filesystem::path& model_path,
                          const Settings& settings) {
  if (n_families < 1) {
    throw Error::make(ErrorKind::kUsage, "growth: found {} families, expected at least 1",
                      n_families);
  }
  WorkScale scale = kFamily;
  scale.n_conversations = n_families;
  const StudyWork work = make_protocol_work(scale);
  engine::EngineOptions options;
  options.n_threads = settings.n_threads;
  OurStudy study(model::Model::load(model_path), model::Tokenizer::load(model_path), work, options);
  study.run(1);
  const double seconds = seconds_of([&] { study.run(static_cast<size_t>(n_families)); });
  return {{"seconds", seconds}, {"peak_bytes", platform::peak_resident_bytes()}};
}

std::vector<Section> measure_growth(const std::filesystem::path& model_path,
                                    const Settings& settings) {
  std::vector<int> sizes = {4, 8, 16, 32, 64};
  if (settings.is_quick) sizes = {4, 16};
  std::map<int, std::vector<double>> seconds;
  std::map<int, std::vector<double>> peaks;
  for (int round = 0; round < std::min(settings.n_rounds, 3); ++round) {
    for (const int n : sizes) {
      settings.on_progress(fmt::format("growth: {} families", n));
      const nlohmann::json result = run_alone(fmt::format("growth:{}", n), model_path, settings);
      seconds[n].push_back(result.at("seconds").get<double>());
      peaks[n].push_back(result.at("peak_bytes").get<double>() / (1 << 20));
    }
  }
  const std::string name = model_path.filename().string();
  Section times{.title = "Growth of a study, strict numerics: " + name,
                .unit = "s",
                .ratio_of = "that of 4 families",
                .rows = {}};
  Section memory{.title = "Growth of a study's memory: " + name,
                 .unit = "MiB",
                 .ratio_of = "that of 4 families",
                 .rows = {}};
  std::map<int, double> medians;
  for (const int n : sizes) {
    std::vector<double> each = seconds[n];
    for (double& value : each) value /= n;
    medians[n] = summarise(seconds[n]).median;
    const Summary value = summarise(each);
    times.rows.push_back({fmt::format("{} families", n), "seconds a family", value,
                          value.median / (medians[sizes.front()] / sizes.front())});
    const Summary peak = summarise(peaks[n]);
    memory.rows.push_back({fmt::format("{} families", n), "peak of resident memory", peak,
                           peak.median / summarise(peaks[sizes.front()]).median});
  }
  const double slope = slope_of(medians);
  times.rows.push_back({"all sizes",
                        "slope by least squares, seconds a family",
                        {slope, slope, slope},
                        slope / (medians[sizes.front()] / sizes.front())});
  return {std::move(times), std::move(memory)};
}

}  // namespace ebb::bench
