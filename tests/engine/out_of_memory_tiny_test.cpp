// A step that runs out of memory, wherever that is, ends with a typed error and leaves the
// sequences as they were: the same step, tried again, gives the same logits and signals.
#include <gtest/gtest.h>

#include "base/error.h"
#include "engine/ops.h"
#include "engine_fixture.h"
#include "failing_allocator.h"

namespace ebb::engine {
namespace {

constexpr long kMostAllocations = 20000;

policy::Needs sums_window_and_moments() {
  policy::Needs needs;
  needs.attention_sum = needs.query_moments = true;
  needs.attention_window = 8;
  return needs;
}

// Everything that policies may read of a sequence.
void expect_same_signals(const Engine& engine, const Sequence& a, const Sequence& b) {
  const model::ModelConfig& config = engine.config();
  const auto d = static_cast<size_t>(config.head_dim);
  std::vector<float> mean[2] = {std::vector<float>(d), std::vector<float>(d)};
  std::vector<float> covariance[2] = {std::vector<float>(d * d), std::vector<float>(d * d)};
  std::vector<float> window[2];
  EXPECT_EQ(a.signals()->n_moment_queries(), b.signals()->n_moment_queries());
  for (int layer = 0; layer < config.n_layers; ++layer) {
    for (int h = 0; h < config.n_kv_heads; ++h) {
      const std::span sums = a.signals()->weight_sums(layer, h);
      const std::span others = b.signals()->weight_sums(layer, h);
      EXPECT_TRUE(std::equal(sums.begin(), sums.end(), others.begin(), others.end()));
      EXPECT_EQ(engine.window_weights(a, layer, h, 8, window[0]),
                engine.window_weights(b, layer, h, 8, window[1]));
      EXPECT_TRUE(same_bits(window[0], window[1]));
    }
    for (int h = 0; h < config.n_q_heads; ++h) {
      a.signals()->moments(layer, h, mean[0], covariance[0]);
      b.signals()->moments(layer, h, mean[1], covariance[1]);
      EXPECT_TRUE(same_bits(mean[0], mean[1]));
      EXPECT_TRUE(same_bits(covariance[0], covariance[1]));
    }
  }
}

// One step of several sequences: prompt rows, single tokens and forks that share their cells.
class Batch {
 public:
  Batch(Engine& engine, const policy::Needs& needs) {
    sequences_.push_back(engine.make_sequence(PositionMode::kOriginal, needs));
    run_all(engine, sequences_[0], random_ids(600, 1));
    for (int i = 0; i < 2; ++i) sequences_.push_back(sequences_[0].fork());
    sequences_.push_back(engine.make_sequence(PositionMode::kCompact, needs));
    run_all(engine, sequences_[3], random_ids(40, 2));
    engine.evict(sequences_[3], keep_randomly(sequences_[3], 3, 50));
    for (uint32_t i = 0; i < 4; ++i) ids_.push_back(random_ids(i == 3 ? 30 : 1, 10 + i));
  }

  Batch(const Batch& other) : ids_(other.ids_) {
    for (const Sequence& sequence : other.sequences_) sequences_.push_back(sequence.fork());
  }

  std::vector<StepItem> items() {
    std::vector<StepItem> out;
    for (size_t i = 0; i < 4; ++i) out.push_back({&sequences_[i], ids_[i], {}, LogitRows::kAll});
    return out;
  }
  StepLogits step(Engine& engine) { return engine.step(items()); }
  const std::vector<Sequence>& sequences() const { return sequences_; }

 private:
  std::vector<Sequence> sequences_;
  std::vector<std::vector<int32_t>> ids_;
};

// The step of a batch with its n-th allocation failing. Returns whether one failed.
bool fails_at(Engine& engine, Batch& batch, long n, FailingAllocator::Threads threads) {
  std::vector<uint32_t> before;
  for (const Sequence& s : batch.sequences()) before.push_back(s.next_ordinal().value);
  const std::vector<StepItem> items = batch.items();
  bool is_error = false;
  FailingAllocator allocator(n, threads);
  try {
    engine.step(items);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kOutOfMemory) << error.what();
    is_error = true;
  }
  EXPECT_EQ(is_error, allocator.has_failed()) << "allocation " << n;
  if (!is_error) return false;
  for (size_t i = 0; i < before.size(); ++i) {
    const Sequence& s = batch.sequences()[i];
    EXPECT_EQ(s.next_ordinal().value, before[i]);
    EXPECT_EQ(s.ids().size(), before[i]);
    EXPECT_EQ(s.span_of_token().size(), before[i]);
  }
  return true;
}

TEST(OutOfMemory, BeforeComputingLeavesCellsAndSignalsAsTheyWere) {
  Engine engine(tiny_model("llama-f32"), with_numerics(Numerics::kStrict));
  const Batch before(engine, sums_window_and_moments());
  Batch never_failed = before;
  const StepLogits expected = never_failed.step(engine);  // the operators have their memory now
  long n = 0;
  for (; n < kMostAllocations; ++n) {
    Batch batch = before;
    if (!fails_at(engine, batch, n, FailingAllocator::Threads::kThis)) break;
    ASSERT_TRUE(same_bits(expected.values, batch.step(engine).values)) << "allocation " << n;
    for (size_t i = 0; i < batch.sequences().size(); ++i) {
      expect_same_signals(engine, never_failed.sequences()[i], batch.sequences()[i]);
    }
    ASSERT_FALSE(testing::Test::HasFailure()) << "allocation " << n;
  }
  EXPECT_GT(n, 100) << "else hardly any allocation was tried";
  EXPECT_LT(n, kMostAllocations);
}

// Sequences that share cells are attended together, which takes memory in every step: so this fails
// inside operators too.
TEST(OutOfMemory, AnywhereLeavesSequencesThatGatherNothingAsTheyWere) {
  Engine engine(tiny_model("llama-f32"), with_numerics(Numerics::kStrict));
  const Batch before(engine, {});
  const StepLogits expected = Batch(before).step(engine);
  long n = 0;
  for (; n < kMostAllocations; ++n) {
    Batch batch = before;
    if (!fails_at(engine, batch, n, FailingAllocator::Threads::kThis)) break;
    ASSERT_TRUE(same_bits(expected.values, batch.step(engine).values)) << "allocation " << n;
    ASSERT_FALSE(testing::Test::HasFailure()) << "allocation " << n;
  }
  EXPECT_GT(n, 100) << "else hardly any allocation was tried";
  EXPECT_LT(n, kMostAllocations);
}

// The threads beside the caller's run nothing but operators.
TEST(OutOfMemory, InAnOperatorLeavesOnlySequencesThatGatherSignalsUnusable) {
  const std::vector<int32_t> ids = random_ids(200, 5);
  Engine healthy(tiny_model("llama-f32"), with_numerics(Numerics::kStrict));
  Sequence whole = healthy.make_sequence(PositionMode::kOriginal);
  const std::vector<float> expected = run_all(healthy, whole, ids);
  bool has_failed = false;
  for (int i = 0; i < 30 && !has_failed; ++i) {
    // A new engine, whose threads have no memory for attention yet.
    Engine engine(tiny_model("llama-f32"), with_numerics(Numerics::kStrict, 4));
    Sequence sequence = engine.make_sequence(PositionMode::kOriginal, sums_window_and_moments());
    Sequence other = engine.make_sequence(PositionMode::kOriginal);
    const StepItem items[] = {{&sequence, ids, {}}, {&other, ids, {}}};
    const FailingAllocator allocator(0, FailingAllocator::Threads::kOthers);
    try {
      engine.step(items);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kOutOfMemory);
    }
    has_failed = allocator.has_failed();
    if (!has_failed) continue;
    EXPECT_EQ(sequence.next_ordinal().value, 0U);
    EXPECT_THROW(sequence.signals(), Error);
    EXPECT_THROW(sequence.fork().signals(), Error);
    EXPECT_THROW(engine.step(std::span(items, 1)), Error);
    EXPECT_EQ(other.next_ordinal().value, 0U);
    EXPECT_TRUE(same_bits(expected, run_all(engine, other, ids)));
  }
  EXPECT_TRUE(has_failed);
}

TEST(GuardedOp, AfterTheFirstExceptionTheRestOfTheStepDoesNothing) {
  StepFailure failure;
  int n_runs = 0;
  const auto fails = [](ggml_tensor*, int, int, void*) {
    throw Error(ErrorKind::kBackend, "no such block");
  };
  const auto counts = [](ggml_tensor*, int, int, void* n) { ++*static_cast<int*>(n); };
  GuardedOp bad{fails, nullptr, &failure};
  GuardedOp good{counts, &n_runs, &failure};
  run_guarded(nullptr, 0, 1, &good);
  EXPECT_EQ(n_runs, 1);
  failure.rethrow();  // nothing to throw
  run_guarded(nullptr, 0, 1, &bad);
  run_guarded(nullptr, 0, 1, &good);
  EXPECT_EQ(n_runs, 1);
  try {
    failure.rethrow();
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBackend);
    EXPECT_STREQ(error.what(), "no such block");
  }
  failure.clear();
  run_guarded(nullptr, 0, 1, &good);
  EXPECT_EQ(n_runs, 2);
}

}  // namespace
}  // namespace ebb::engine
