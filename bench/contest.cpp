#include "bench/contest.h"

#include <algorithm>
#include <chrono>

#include "base/error.h"

namespace ebb::bench {

Summary summarise(std::vector<double> values) {
  EBB_CHECK(!values.empty());
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  const double median =
      values.size() % 2 == 1 ? values[half] : 0.5 * (values[half - 1] + values[half]);
  return {median, values.front(), values.back()};
}

double seconds_of(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

std::vector<Row> measure_rates(const Contest& contest, int n_rounds) {
  std::vector<std::vector<double>> rates(contest.contestants.size());
  for (int round = 0; round < n_rounds; ++round) {
    for (size_t i = 0; i < rates.size(); ++i) {
      const Contestant& contestant = contest.contestants[i];
      contestant.prepare();
      const double n_units = contestant.n_units > 0.0 ? contestant.n_units : contest.n_units;
      rates[i].push_back(n_units / seconds_of(contestant.run));
    }
  }
  std::vector<Row> rows;
  const std::vector<double>* best = nullptr;
  double best_median = 0.0;
  for (size_t i = 0; i < rates.size(); ++i) {
    const Contestant& contestant = contest.contestants[i];
    rows.push_back({contest.work, contestant.name, summarise(rates[i]), std::nullopt});
    if (contestant.side == Side::kPeer && rows[i].value.median > best_median) {
      best = &rates[i];
      best_median = rows[i].value.median;
    }
  }
  if (best == nullptr) return rows;
  for (size_t i = 0; i < rates.size(); ++i) {
    std::vector<double> ratios;
    for (size_t round = 0; round < rates[i].size(); ++round) {
      ratios.push_back(rates[i][round] / (*best)[round]);
    }
    rows[i].ratio = summarise(ratios).median;
  }
  return rows;
}

}  // namespace ebb::bench
