// What the engine's tests share: tiny models, golden logits, distances between distributions.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "dice.h"
#include "engine/engine.h"
#include "record/npy.h"

namespace ebb::engine {

inline std::filesystem::path fixture(const std::string& name) {
  return std::filesystem::path(EBB_FIXTURES) / name;
}

inline std::shared_ptr<const model::Model> tiny_model(const std::string& name) {
  return model::Model::load(fixture("tiny/" + name + ".gguf"));
}

inline nlohmann::json read_json(const std::filesystem::path& path) {
  std::ifstream in(path);
  return nlohmann::json::parse(in);
}

inline std::vector<int32_t> golden_ids() {
  return read_json(fixture("hf/ids.json"))["ids"].get<std::vector<int32_t>>();
}

// One thread: results are the same for any number (strict_tiny_test.cpp), and a step of a tiny
// model would be spent waiting at barriers.
inline EngineOptions with_numerics(Numerics numerics, int n_threads = 1) {
  EngineOptions options;
  options.numerics = numerics;
  options.n_threads = n_threads;
  return options;
}

// Logits of every token, one sequence, all at once or in chunks of n.
inline std::vector<float> run_all(Engine& engine, Sequence& sequence, std::span<const int32_t> ids,
                                  size_t chunk = 0) {
  std::vector<float> out;
  for (size_t at = 0; at < ids.size();) {
    const size_t n = chunk == 0 ? ids.size() : std::min(chunk, ids.size() - at);
    const StepItem item{&sequence, ids.subspan(at, n), {}, LogitRows::kAll};
    const StepLogits logits = engine.step(std::span(&item, 1));
    out.insert(out.end(), logits.values.begin(), logits.values.end());
    at += n;
  }
  return out;
}

// KL(p || q) of the softmax of two rows of logits, in nats, computed in double.
inline double kl_divergence(std::span<const float> p, std::span<const float> q) {
  const auto log_sum = [](std::span<const float> x) {
    const double top = *std::max_element(x.begin(), x.end());
    double sum = 0.0;
    for (const float v : x) sum += std::exp(v - top);
    return top + std::log(sum);
  };
  const double zp = log_sum(p);
  const double zq = log_sum(q);
  double kl = 0.0;
  for (size_t i = 0; i < p.size(); ++i) kl += std::exp(p[i] - zp) * ((p[i] - zp) - (q[i] - zq));
  return kl;
}

inline double mean_kl(std::span<const float> p, std::span<const float> q, size_t n_vocab) {
  double sum = 0.0;
  const size_t n = p.size() / n_vocab;
  for (size_t i = 0; i < n; ++i)
    sum += kl_divergence(p.subspan(i * n_vocab, n_vocab), q.subspan(i * n_vocab, n_vocab));
  return sum / static_cast<double>(n);
}

// A plan from lists of ordinals [layer][head]: cells with other ordinals go.
inline policy::EvictionPlan plan_of(const Sequence& sequence, const nlohmann::json& kept) {
  policy::EvictionPlan plan;
  std::vector<Ordinal> ordinals;
  for (size_t layer = 0; layer < kept.size(); ++layer) {
    plan.kept.emplace_back();
    for (size_t head = 0; head < kept[layer].size(); ++head) {
      const auto wanted = kept[layer][head].get<std::vector<uint32_t>>();
      sequence.cells()
          .head(static_cast<int>(layer), static_cast<int>(head))
          .collect_ordinals(ordinals);
      auto& cells = plan.kept.back().emplace_back();
      for (uint32_t i = 0; i < ordinals.size(); ++i) {
        if (std::binary_search(wanted.begin(), wanted.end(), ordinals[i].value)) cells.push_back(i);
      }
    }
  }
  return plan;
}

// A plan that keeps the cells for which keeps(layer, head, ordinal) is true.
template <typename Keeps>
policy::EvictionPlan plan_where(const Sequence& sequence, Keeps keeps) {
  policy::EvictionPlan plan;
  std::vector<Ordinal> ordinals;
  const kv::SequenceCells& cells = sequence.cells();
  for (int layer = 0; layer < cells.shape().n_layers(); ++layer) {
    plan.kept.emplace_back();
    for (int head = 0; head < cells.shape().n_kv_heads; ++head) {
      cells.head(layer, head).collect_ordinals(ordinals);
      auto& kept = plan.kept.back().emplace_back();
      for (uint32_t i = 0; i < ordinals.size(); ++i) {
        if (keeps(layer, head, ordinals[i].value)) kept.push_back(i);
      }
    }
  }
  return plan;
}

inline policy::EvictionPlan keep_all(const Sequence& sequence) {
  return plan_where(sequence, [](int, int, uint32_t) { return true; });
}

inline policy::EvictionPlan keep_none(const Sequence& sequence) {
  return plan_where(sequence, [](int, int, uint32_t) { return false; });
}

// Another random set in every layer and head.
inline policy::EvictionPlan keep_randomly(const Sequence& sequence, uint32_t seed,
                                          uint32_t percent) {
  Dice dice(seed);
  return plan_where(sequence, [&](int, int, uint32_t) { return dice(100) < percent; });
}

// The plan as lists of ordinals, for another sequence that holds these cells at other places.
inline nlohmann::json ordinals_of(const Sequence& sequence, const policy::EvictionPlan& plan) {
  nlohmann::json out = nlohmann::json::array();
  std::vector<Ordinal> ordinals;
  for (size_t layer = 0; layer < plan.kept.size(); ++layer) {
    out.push_back(nlohmann::json::array());
    for (size_t head = 0; head < plan.kept[layer].size(); ++head) {
      sequence.cells()
          .head(static_cast<int>(layer), static_cast<int>(head))
          .collect_ordinals(ordinals);
      std::vector<uint32_t> kept;
      for (const uint32_t i : plan.kept[layer][head]) kept.push_back(ordinals[i].value);
      out.back().push_back(kept);
    }
  }
  return out;
}

inline std::vector<int32_t> random_ids(size_t n, uint32_t seed) {
  Dice dice(seed);
  std::vector<int32_t> ids;
  for (size_t i = 0; i < n; ++i) ids.push_back(static_cast<int32_t>(dice(256)));
  return ids;
}

inline bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

inline double largest_difference(std::span<const float> a, std::span<const float> b) {
  double out = a.size() == b.size() ? 0.0 : 1e300;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    out = std::max(out, std::abs(static_cast<double>(a[i]) - b[i]));
  }
  return out;
}

}  // namespace ebb::engine
