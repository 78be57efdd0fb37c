// How benchmarks measure: contestants take turns, round after round, so that a neighbour on the
// machine slows all alike; medians with their range are kept. Knows neither models nor engines.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace ebb::bench {

struct Summary {
  double median = 0.0;
  double min = 0.0;
  double max = 0.0;
};
// Requires: at least one value.
Summary summarise(std::vector<double> values);

// One line of a table.
struct Row {
  std::string work;
  std::string who;
  Summary value;
  std::optional<double> ratio;
  std::optional<double> share = std::nullopt;  // of what the machine allows
  std::string goal = "";                       // for the ratio, such as ">= 2"
};

// One table: every value in one unit, every ratio of one thing.
struct Section {
  std::string title;
  std::string unit;
  std::string ratio_of;
  std::vector<Row> rows;
};

enum class Side { kOurs, kPeer };

struct Contestant {
  std::string name;
  Side side = Side::kOurs;
  std::function<void()> prepare;  // not timed
  std::function<void()> run;
  double n_units = 0.0;  // done by one run, where it is not the contest's
};

struct Contest {
  std::string work;
  double n_units = 0.0;  // done by one run, such as tokens
  std::vector<Contestant> contestants;
};

// What one contestant reached, a value for each round.
struct Rated {
  std::string name;
  Side side = Side::kOurs;
  std::vector<double> rates;
};
// One row each. The ratio is the median over rounds of ours over the best peer in the same round
// (the peer with the highest median); without peers there is none.
std::vector<Row> rows_of(const std::string& work, const std::vector<Rated>& all);

double seconds_of(const std::function<void()>& work);

// Units per second of each contestant, in turns, as rows_of() has them.
std::vector<Row> measure_rates(const Contest& contest, int n_rounds);

}  // namespace ebb::bench
