// Reads tests/fixtures/policy/goldens.json (tools/oracle/make_policy_goldens.py) into views.
#pragma once

#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "policy/fake_cache.h"

namespace ebb::policy::testing {

inline std::vector<float> unpack(const std::string& text) {
  static constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;
  uint32_t bits = 0;
  int n_bits = 0;
  for (const char c : text) {
    if (c == '=') break;
    const size_t value = kAlphabet.find(c);
    EBB_CHECK(value != std::string_view::npos);
    bits = (bits << 6U) | static_cast<uint32_t>(value);
    n_bits += 6;
    if (n_bits < 8) continue;
    n_bits -= 8;
    bytes.push_back(static_cast<char>((bits >> static_cast<uint32_t>(n_bits)) & 0xFFU));
  }
  std::vector<float> out(bytes.size() / sizeof(float));
  std::memcpy(out.data(), bytes.data(), out.size() * sizeof(float));
  return out;
}

inline const nlohmann::json& goldens() {
  static const nlohmann::json kGoldens = [] {
    std::ifstream file(std::string(EBB_FIXTURES) + "/policy/goldens.json");
    EBB_CHECK(file.good());
    return nlohmann::json::parse(file);
  }();
  return kGoldens;
}

// One layer whose signals come from the file; needs say which window to show.
class GoldenCache : public CacheSource {
 public:
  explicit GoldenCache(const nlohmann::json& json) : n_(json.at("n").get<uint32_t>()) {
    shape_ = small_shape(1, json.at("n_kv").get<int>(),
                         json.at("n_q").get<int>() / json.at("n_kv").get<int>(),
                         goldens().at("head_dim").get<int>());
    shape_.n_embd = goldens().at("hidden").get<int>();
    shape_.attention_scale = 1.0F / std::sqrt(static_cast<float>(shape_.head_dim));
    for (const char* name : {"keys", "values", "attention_sum", "window_1", "window_8",
                             "query_mean", "query_covariance", "projection"}) {
      data_[name] =
          json.contains(name) ? unpack(json.at(name).get<std::string>()) : std::vector<float>{};
    }
    frequencies_ = goldens().at("rope").get<std::vector<float>>();
    for (uint32_t i = 0; i < n_; ++i) ordinals_.push_back({i});
    spans_.resize(n_);
  }

  uint32_t n() const { return n_; }
  const CacheShape& shape() const { return shape_; }
  void set_window(int window) {
    window_ = window;
    window_queries_.clear();
    const auto w = std::min(n_, static_cast<uint32_t>(window));
    for (uint32_t i = n_ - w; i < n_; ++i) window_queries_.push_back({i});
  }

  LayerView layer(int /*index*/) override {
    views_.clear();
    for (size_t h = 0; h < static_cast<size_t>(shape_.n_kv_heads); ++h) {
      views_.push_back({.ordinals = ordinals_,
                        .spans = spans_,
                        .keys = part("keys", h),
                        .values = part("values", h),
                        .attention_sum = part("attention_sum", h),
                        .attention_window = part(window_ == 1 ? "window_1" : "window_8", h),
                        .query_mean = part("query_mean", h),
                        .query_covariance = part("query_covariance", h)});
    }
    return {.layer = 0,
            .is_sliding = false,
            .window = 0,
            .heads = views_,
            .window_queries = window_queries_,
            .n_moment_queries = n_,
            .rope_frequencies = frequencies_,
            .output_projection = data_.at("projection")};
  }

 private:
  std::span<const float> part(const std::string& name, size_t head) const {
    const std::vector<float>& all = data_.at(name);
    const size_t size = all.size() / static_cast<size_t>(shape_.n_kv_heads);
    return std::span(all).subspan(head * size, size);
  }

  uint32_t n_;
  CacheShape shape_;
  int window_ = 1;
  std::map<std::string, std::vector<float>> data_;
  std::vector<float> frequencies_;
  std::vector<Ordinal> ordinals_;
  std::vector<SpanId> spans_;
  std::vector<Ordinal> window_queries_;
  std::vector<HeadView> views_;
};

}  // namespace ebb::policy::testing
