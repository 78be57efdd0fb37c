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

std::vector<Row> rows_of(const std::string& work, const std::vector<Rated>& all) {
  std::vector<Row> rows;
  const std::vector<double>* best = nullptr;
  double best_median = 0.0;
  for (const Rated& one : all) {
    rows.push_back({work, one.name, summarise(one.rates), std::nullopt});
    if (one.side == Side::kPeer && rows.back().value.median > best_median) {
      best = &one.rates;
      best_median = rows.back().value.median;
    }
  }
  if (best == nullptr) return rows;
  for (size_t i = 0; i < all.size(); ++i) {
    std::vector<double> ratios;
    for (size_t round = 0; round < all[i].rates.size(); ++round) {
      ratios.push_back(all[i].rates[round] / (*best)[round]);
    }
    rows[i].ratio = summarise(ratios).median;
  }
  return rows;
}

std::vector<Row> measure_rates(const Contest& contest, int n_rounds) {
  std::vector<Rated> all;
  for (const Contestant& contestant : contest.contestants) {
    all.push_back({contestant.name, contestant.side, {}});
  }
  for (int round = 0; round < n_rounds; ++round) {
    for (size_t i = 0; i < all.size(); ++i) {
      const Contestant& contestant = contest.contestants[i];
      contestant.prepare();
      const double n_units = contestant.n_units > 0.0 ? contestant.n_units : contest.n_units;
      all[i].rates.push_back(n_units / seconds_of(contestant.run));
    }
  }
  return rows_of(contest.work, all);
}

}  // namespace ebb::bench
