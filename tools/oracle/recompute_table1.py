"""Recomputes table 1 from scores.csv with numpy and scipy alone, and compares.

Use: recompute_table1.py FOLDER [--endpoint rules] --contrast NAME=FIRST,SECOND ...
FOLDER holds scores.csv and table1.csv. Means, sd, differences, Hedges' g and the exact permutation
p must agree to 1e-9; bootstrap intervals are drawn anew and agree only roughly, so they are shown
and not judged.
"""

import argparse
import csv
import pathlib
import sys

import numpy as np
from scipy import special, stats

TOLERANCE = 1e-9


def read(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def conversation_means(rows, endpoint):
    """arm -> conversation -> mean over seeds."""
    seeds = {}
    for row in rows:
        if row["endpoint"] == endpoint:
            key = row["arm"], row["conversation"]
            seeds.setdefault(key, []).append(float(row["score"]))
    means = {}
    for (arm, conversation), scores in seeds.items():
        means.setdefault(arm, {})[conversation] = np.mean(scores)
    return means


def hedges_g(differences):
    n = len(differences)
    sd = np.std(differences, ddof=1)
    if n < 2 or sd == 0:
        return None
    df = n - 1
    log_j = special.gammaln(df / 2) - special.gammaln((df - 1) / 2) - np.log(np.sqrt(df / 2))
    return np.mean(differences) / sd * np.exp(log_j)


def permutation_p(differences):
    """Exact, two-sided; None where nothing differs."""
    if not np.any(differences):
        return None
    result = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=np.inf)
    return result.pvalue


class Comparison:
    def __init__(self):
        self.n_checked = 0
        self.problems = []

    def check(self, where, text, expected):
        self.n_checked += 1
        if expected is None or text == "":
            if not (expected is None and text == ""):
                self.problems.append(f"{where}: found '{text}', recomputed {expected}")
        elif abs(float(text) - expected) > TOLERANCE * max(1, abs(expected)):
            self.problems.append(f"{where}: found {text}, recomputed {expected}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--endpoint", default="rules")
    parser.add_argument("--contrast", action="append", default=[], metavar="NAME=FIRST,SECOND")
    arguments = parser.parse_args()
    arms_of = {}
    for text in arguments.contrast:
        name, arms = text.rsplit("=", 1)
        arms_of[name] = arms.split(",")
    means = conversation_means(read(arguments.folder / "scores.csv"), arguments.endpoint)
    comparison = Comparison()
    for row in read(arguments.folder / "table1.csv"):
        where = row["contrast"] or row["arm"]
        values = np.array(list(means[row["arm"]].values()))
        if not row["contrast"]:
            comparison.check(where + " mean", row["mean"], values.mean())
            comparison.check(where + " sd", row["sd"], values.std(ddof=1))
            low, high = stats.bootstrap((values,), np.mean, method="percentile").confidence_interval
            print(f"{where}: [{row['ci_low']}, {row['ci_high']}], drawn anew [{low}, {high}]")
            continue
        if row["contrast"] not in arms_of:
            print(f"{where}: not compared, no --contrast given")
            continue
        first, second = (means[arm] for arm in arms_of[row["contrast"]])
        shared = sorted(first.keys() & second.keys())
        differences = np.array([first[c] - second[c] for c in shared]).round(12)
        comparison.check(where + " diff", row["diff"], differences.mean())
        comparison.check(where + " effect_size", row["effect_size"], hedges_g(differences))
        if row["test"].startswith("paired permutation"):
            comparison.check(where + " p", row["p"], permutation_p(differences))
    print("\n".join(comparison.problems))
    print(f"{comparison.n_checked} numbers compared, {len(comparison.problems)} differ")
    return 1 if comparison.problems else 0


if __name__ == "__main__":
    sys.exit(main())
