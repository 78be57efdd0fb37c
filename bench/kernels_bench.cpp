// Linear layers on one core: ours in each arithmetic and instruction set beside ggml's mul_mat.
// Weights rotate through copies that no cache holds, as they do in a model. Read the minimum.
// Times include preparing the activations, as ggml's do.
#include <benchmark/benchmark.h>
#include <ggml-cpu.h>
#include <ggml.h>
#include <time.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "kernels/linear.h"

namespace ebb::kernels {
namespace {

struct Shape {
  int64_t n_in;
  int64_t n_out;
};
struct Type {
  WeightType ours;
  ggml_type ggml;
};
constexpr Type kTypes[] = {{WeightType::kQ4_1, GGML_TYPE_Q4_1}, {WeightType::kQ4_K, GGML_TYPE_Q4_K},
                           {WeightType::kQ5_0, GGML_TYPE_Q5_0}, {WeightType::kQ8_0, GGML_TYPE_Q8_0},
                           {WeightType::kQ6_K, GGML_TYPE_Q6_K}, {WeightType::kF16, GGML_TYPE_F16}};
constexpr size_t kRotatedBytes = size_t{96} << 20U;

// Processor time of this thread in seconds: what waits behind a neighbour does not count.
double thread_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// Core clock from a chain of dependent additions, one a cycle on every x86-64 and ARM core we know.
double core_hz() {
  static const double hz = [] {
    double best = 0.0;
    for (int attempt = 0; attempt < 20; ++attempt) {
      constexpr int64_t kSteps = 2'000'000;
      const double begin = thread_seconds();
      uint64_t value = 1;
      for (int64_t i = 0; i < kSteps / 8; ++i) {
        for (int j = 0; j < 8; ++j) {
          value += 3;
          asm volatile("" : "+r"(value));
        }
      }
      best = std::max(best, static_cast<double>(kSteps) / (thread_seconds() - begin));
    }
    return best;
  }();
  return hz;
}

std::vector<float> random_floats(size_t n, float scale) {
  std::mt19937 generator(7);
  std::normal_distribution<float> normal(0.0F, scale);
  std::vector<float> values(n);
  std::generate(values.begin(), values.end(), [&] { return normal(generator); });
  return values;
}

// File bytes of a random weight; made once for each type and shape.
const std::vector<uint8_t>& random_weight(const Type& type, const Shape& shape) {
  static std::map<std::tuple<WeightType, int64_t, int64_t>, std::vector<uint8_t>> made;
  std::vector<uint8_t>& bytes = made[{type.ours, shape.n_in, shape.n_out}];
  if (bytes.empty()) {
    const auto values = random_floats(static_cast<size_t>(shape.n_in * shape.n_out), 0.05F);
    bytes.resize(ggml_row_size(type.ggml, shape.n_in) * static_cast<size_t>(shape.n_out));
    ggml_quantize_chunk(type.ggml, values.data(), bytes.data(), 0, shape.n_out, shape.n_in,
                        nullptr);
  }
  return bytes;
}

size_t copies_of(size_t bytes) { return std::max<size_t>(1, kRotatedBytes / bytes); }

// Neighbours only ever add time, so the fastest iteration is the measurement. All work is on the
// calling thread, ggml's as well.
class Fastest {
 public:
  template <class Work>
  void time(const Work& work) {
    const double begin = thread_seconds();
    work();
    seconds_ = std::min(seconds_, thread_seconds() - begin);
  }
  void report(benchmark::State& state, const Shape& shape, size_t weight_bytes) const {
    const auto macs = static_cast<double>(shape.n_in * shape.n_out * state.range(0));
    state.counters["best_us"] = seconds_ * 1e6;
    state.counters["mac_per_cycle"] = macs / (seconds_ * core_hz());
    state.counters["weight_GBps"] = static_cast<double>(weight_bytes) / seconds_ / 1e9;
  }
  double seconds() const { return seconds_; }

 private:
  double seconds_ = 1e9;
};

void bench_ours(benchmark::State& state, const Type& type, const Shape& shape,
                Arithmetic arithmetic, Isa isa) {
  const int64_t n_rows = state.range(0);
  const auto& bytes = random_weight(type, shape);
  std::vector<PackedWeight> weights;
  for (size_t i = 0; i < copies_of(bytes.size()); ++i) {
    weights.push_back(
        PackedWeight::pack(type.ours, bytes.data(), shape.n_in, shape.n_out, arithmetic, 1));
  }
  const auto x = random_floats(static_cast<size_t>(shape.n_in * n_rows), 1.0F);
  std::vector<float> y(static_cast<size_t>(shape.n_out * n_rows));
  const ActivationForm form = form_for(weights[0], n_rows, isa);
  std::vector<float> prepared(prepared_bytes(form, shape.n_in, n_rows) / 4 + 1);
  size_t at = 0;
  Fastest fastest;
  for (auto _ : state) {
    const PackedWeight& weight = weights[at++ % weights.size()];
    fastest.time([&] {
      prepare_rows(form, {x.data(), shape.n_in, shape.n_in}, 0, n_rows, prepared.data(), isa);
      multiply({.weight = weight,
                .prepared = prepared.data(),
                .n_rows = n_rows,
                .y = y.data(),
                .y_stride = shape.n_out,
                .isa = isa});
    });
    benchmark::DoNotOptimize(y.data());
  }
  fastest.report(state, shape, weights[0].size_bytes());
}

void bench_prepare(benchmark::State& state, ActivationForm form, Isa isa) {
  const int64_t n_in = 2048;
  const int64_t n_rows = 16;
  const auto x = random_floats(static_cast<size_t>(n_in * n_rows), 1.0F);
  std::vector<float> prepared(prepared_bytes(form, n_in, n_rows) / 4 + 1);
  Fastest fastest;
  for (auto _ : state) {
    fastest.time([&] {
      prepare_rows(form, {x.data(), n_in, n_in}, 0, n_rows, prepared.data(), isa);
    });
    benchmark::DoNotOptimize(prepared.data());
  }
  state.counters["cycles_per_value"] =
      fastest.seconds() * core_hz() / static_cast<double>(n_in * n_rows);
}

// One graph with one mul_mat per weight copy.
class GgmlProduct {
 public:
  GgmlProduct(const Type& type, const Shape& shape, const std::vector<uint8_t>& bytes,
              int64_t n_rows) {
    const auto n_out = static_cast<size_t>(shape.n_out);
    const size_t activations =
        static_cast<size_t>(n_rows) * (static_cast<size_t>(shape.n_in) + n_out) * sizeof(float);
    context_.reset(ggml_init({.mem_size = bytes.size() + activations + (size_t{1} << 20U),
                              .mem_buffer = nullptr,
                              .no_alloc = false}));
    ggml_tensor* w = ggml_new_tensor_2d(context_.get(), type.ggml, shape.n_in, shape.n_out);
    ggml_tensor* x = ggml_new_tensor_2d(context_.get(), GGML_TYPE_F32, shape.n_in, n_rows);
    std::memcpy(w->data, bytes.data(), bytes.size());
    const auto values = random_floats(static_cast<size_t>(shape.n_in * n_rows), 1.0F);
    std::memcpy(x->data, values.data(), values.size() * sizeof(float));
    graph_ = ggml_new_graph_custom(context_.get(), 8, false);
    ggml_build_forward_expand(graph_, ggml_mul_mat(context_.get(), w, x));
    plan_ = ggml_graph_plan(graph_, 1, nullptr);
    work_.resize(plan_.work_size + 1);
  }
  void compute() {
    plan_.work_data = work_.data();
    ggml_graph_compute(graph_, &plan_);
  }

 private:
  struct Free {
    void operator()(ggml_context* context) const { ggml_free(context); }
  };
  std::unique_ptr<ggml_context, Free> context_;
  ggml_cgraph* graph_ = nullptr;
  ggml_cplan plan_{};
  std::vector<uint8_t> work_;
};

void bench_ggml(benchmark::State& state, const Type& type, const Shape& shape) {
  const int64_t n_rows = state.range(0);
  const auto& bytes = random_weight(type, shape);
  std::vector<std::unique_ptr<GgmlProduct>> products;
  for (size_t i = 0; i < copies_of(bytes.size()); ++i) {
    products.push_back(std::make_unique<GgmlProduct>(type, shape, bytes, n_rows));
  }
  size_t at = 0;
  Fastest fastest;
  for (auto _ : state) {
    GgmlProduct& product = *products[at++ % products.size()];
    fastest.time([&] { product.compute(); });
  }
  fastest.report(state, shape, bytes.size());
}

// Fixed counts: the setup runs once, and the run takes the same time on every machine.
void add(const std::string& name, auto function) {
#ifndef __clang_analyzer__  // it takes what the library keeps for a leak
  for (const auto& [n_rows, n_iterations] :
       {std::pair{1, 400}, std::pair{4, 200}, std::pair{16, 100}, std::pair{32, 50},
        std::pair{64, 30}, std::pair{512, 6}}) {
    benchmark::RegisterBenchmark(name.c_str(), function)
        ->Arg(n_rows)
        ->Unit(benchmark::kMicrosecond)
        ->Iterations(n_iterations);
  }
#endif
}

void add_type(const Type& type, const Shape& shape) {
  const std::string where = std::string(name_of(type.ours)) + "/" + std::to_string(shape.n_in) +
                            "x" + std::to_string(shape.n_out);
  for (const Isa isa : {Isa::kPortable, Isa::kAvx2, Isa::kAvx512Vnni, Isa::kAmx}) {
    if (!can_run(isa)) {
      continue;
    }
    const std::string on = where + "/" + std::string(name_of(isa));
    add(on + "/strict",
        [=](benchmark::State& s) { bench_ours(s, type, shape, Arithmetic::kStrict, isa); });
    add(on + "/fast",
        [=](benchmark::State& s) { bench_ours(s, type, shape, Arithmetic::kFast, isa); });
    add(on + "/reference",
        [=](benchmark::State& s) { bench_ours(s, type, shape, Arithmetic::kReference, isa); });
  }
  add(where + "/ggml", [=](benchmark::State& s) { bench_ggml(s, type, shape); });
}

}  // namespace

void add_all() {
  for (const Shape shape : {Shape{576, 1536}, Shape{2048, 2048}}) {
    for (const Type& type : kTypes) {
      if (shape.n_in % block_elements(type.ours) == 0) {
        add_type(type, shape);
      }
    }
  }
  for (const Isa isa : {Isa::kPortable, Isa::kAvx2, Isa::kAvx512Vnni, Isa::kAmx}) {
    if (can_run(isa)) {
      const std::string on = "prepare/" + std::string(name_of(isa));
#ifndef __clang_analyzer__
      benchmark::RegisterBenchmark((on + "/int15").c_str(), bench_prepare, ActivationForm::kInt15,
                                   isa);
      benchmark::RegisterBenchmark((on + "/int8").c_str(), bench_prepare, ActivationForm::kInt8,
                                   isa);
#endif
    }
  }
}

}  // namespace ebb::kernels

int main(int argc, char** argv) {
  ebb::kernels::add_all();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) {
    return EXIT_FAILURE;
  }
  benchmark::RunSpecifiedBenchmarks();
  return EXIT_SUCCESS;
}
