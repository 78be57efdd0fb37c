// One arithmetic for every batch: chunks, threads, neighbours and forks change no bit of a logit in
// `reference` and `strict`. `fast` and ggml's kernels show that the comparisons can fail.
#include <gtest/gtest.h>

#include <map>
#include <memory>

#include "engine_fixture.h"
#include "made_model.h"
#include "property.h"

namespace ebb::engine {
namespace {

constexpr const char* kModels[] = {"llama-f32",  "llama3-f32", "qwen2-f32",          "qwen3-f32",
                                   "gemma3-f32", "llama-f16",  "gemma3-sliding-f32", "llama-bf16",
                                   "llama-q4_0", "llama-q4_1", "llama-q5_0",         "llama-q5_1",
                                   "llama-q8_0", "llama-q4_k", "llama-q5_k",         "llama-q6_k"};
constexpr const char* kQuantised[] = {"llama-q4_0", "llama-q4_1", "llama-q5_0", "llama-q5_1",
                                      "llama-q8_0", "llama-q4_k", "llama-q5_k", "llama-q6_k"};

// The other architectures with quantised weights; made here.
constexpr const char* kMade[] = {"gemma3-q4_0", "gemma3-q8_0", "gemma3-q4_k", "qwen2-q4_1",
                                 "qwen2-q6_k",  "qwen3-q4_0",  "qwen3-q8_0",  "qwen3-q4_k"};

std::shared_ptr<const model::Model> model_of(const std::string& name) {
  static std::map<std::string, std::shared_ptr<const model::Model>> loaded;
  std::shared_ptr<const model::Model>& model = loaded[name];
  const bool is_made = std::find(std::begin(kMade), std::end(kMade), name) != std::end(kMade);
  if (model == nullptr) model = is_made ? made_model(name) : tiny_model(name);
  return model;
}

class Bits : public testing::TestWithParam<std::tuple<const char*, Numerics>> {
 protected:
  Engine make_engine(int n_rows_max = 512, int n_threads = 1) const {
    EngineOptions options = with_numerics(std::get<1>(GetParam()), n_threads);
    options.n_rows_max = n_rows_max;
    return Engine(model_of(std::get<0>(GetParam())), options);
  }
};

std::string test_name(std::string name) {
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Models, Bits,
                         testing::Combine(testing::ValuesIn(kModels),
                                          testing::Values(Numerics::kReference, Numerics::kStrict)),
                         [](const auto& param) {
                           return test_name(std::string(std::get<0>(param.param)) + "_" +
                                            std::string(numerics_name(std::get<1>(param.param))));
                         });

INSTANTIATE_TEST_SUITE_P(
    Made, Bits, testing::Combine(testing::ValuesIn(kMade), testing::Values(Numerics::kStrict)),
    [](const auto& param) { return test_name(std::get<0>(param.param)) + "_strict"; });

// The longer comparisons, in `strict` alone: every architecture and every weight type.
class StrictBits : public testing::TestWithParam<const char*> {
 protected:
  Engine engine_{model_of(GetParam()), with_numerics(Numerics::kStrict, 1)};
};

INSTANTIATE_TEST_SUITE_P(Models, StrictBits, testing::ValuesIn(kModels),
                         [](const auto& param) { return test_name(param.param); });
INSTANTIATE_TEST_SUITE_P(Made, StrictBits, testing::ValuesIn(kMade),
                         [](const auto& param) { return test_name(param.param); });

TEST_P(Bits, TurnByTurnEqualsAtOnceForEveryChunkSize) {
  // Past ordinal 256, where attention starts a new block, and past every window.
  const std::vector<int32_t> ids = random_ids(290, 4);
  Engine engine = make_engine();
  Sequence sequence = engine.make_sequence(PositionMode::kOriginal);
  const std::vector<float> at_once = run_all(engine, sequence, ids);
  for (const size_t chunk : {1, 2, 3, 7, 8, 16, 33}) {
    Sequence other = engine.make_sequence(PositionMode::kOriginal);
    ASSERT_TRUE(same_bits(at_once, run_all(engine, other, ids, chunk))) << "steps of " << chunk;
  }
  for (const int n_rows_max : {1, 2, 3, 7, 8, 16, 33}) {
    Engine narrow = make_engine(n_rows_max);
    Sequence other = narrow.make_sequence(PositionMode::kOriginal);
    ASSERT_TRUE(same_bits(at_once, run_all(narrow, other, ids))) << "rows " << n_rows_max;
  }
}

// Chunks up to the widest step, at sizes around attention's blocks of 256 ordinals.
TEST_P(StrictBits, LongChunksEqualShortOnes) {
  const std::vector<int32_t> ids = random_ids(600, 14);
  Sequence one = engine_.make_sequence(PositionMode::kOriginal);
  const std::vector<float> expected = run_all(engine_, one, ids, 7);
  for (const size_t chunk : {64, 100, 128, 255, 256, 257, 511, 512}) {
    Sequence sequence = engine_.make_sequence(PositionMode::kOriginal);
    ASSERT_TRUE(same_bits(expected, run_all(engine_, sequence, ids, chunk))) << chunk;
  }
}

// Batches of 1 to 64 sequences, one token each: whose result is compared moves along.
TEST_P(StrictBits, BatchesOf1To64EqualTheSequenceAlone) {
  std::vector<Sequence> alone;
  std::vector<std::vector<int32_t>> ids;
  std::vector<std::vector<float>> expected;
  for (uint32_t i = 0; i < 64; ++i) {
    ids.push_back(random_ids(1, 100 + i));
    alone.push_back(engine_.make_sequence(PositionMode::kOriginal));
    run_all(engine_, alone.back(), random_ids(1 + i % 9, i));
    Sequence fork = alone[i].fork();
    expected.push_back(run_all(engine_, fork, ids[i]));
  }
  for (size_t n = 1; n <= 64; ++n) {
    std::vector<Sequence> forks;
    std::vector<StepItem> items;
    for (size_t i = 0; i < n; ++i) forks.push_back(alone[(i + n) % 64].fork());
    for (size_t i = 0; i < n; ++i) items.push_back({&forks[i], ids[(i + n) % 64], {}});
    const StepLogits step = engine_.step(items);
    for (size_t i = 0; i < n; ++i) {
      ASSERT_TRUE(same_bits(expected[(i + n) % 64], step.row(i))) << "batch " << n;
    }
  }
}

TEST_P(Bits, ThreadsChangeNothing) {
  const std::vector<int32_t> ids = random_ids(45, 5);
  std::vector<float> first;
  for (const int n_threads : {1, 2, 3, 4, 5, 8, 16}) {
    Engine engine = make_engine(512, n_threads);
    Sequence sequence = engine.make_sequence(PositionMode::kOriginal);
    std::vector<float> logits = run_all(engine, sequence, std::span(ids).first(40));
    const std::vector<float> rest = run_all(engine, sequence, std::span(ids).subspan(40), 1);
    logits.insert(logits.end(), rest.begin(), rest.end());
    if (first.empty()) first = logits;
    ASSERT_TRUE(same_bits(first, logits)) << n_threads << " threads";
  }
}

// Prompt, then decode, in one batch with others that come with prompts and tokens of their own.
TEST_P(Bits, CompanyChangesNothing) {
  Engine engine = make_engine(64);
  const std::vector<int32_t> ids = random_ids(40, 6);
  Sequence alone = engine.make_sequence(PositionMode::kOriginal);
  const std::vector<float> expected = run_all(engine, alone, ids);
  check_property(5, [&] {
    Dice dice(*rc::gen::arbitrary<uint32_t>());
    const auto n_others = *rc::gen::element(1U, 2U, 3U, 7U, 8U, 15U, 16U, 31U, 63U);
    std::vector<Sequence> sequences;
    for (uint32_t i = 0; i <= n_others; ++i) {
      sequences.push_back(engine.make_sequence(PositionMode::kOriginal));
    }
    const uint32_t mine = dice(n_others + 1);
    std::vector<float> logits;
    for (size_t at = 0; at < ids.size();) {
      const size_t n = std::min<size_t>(ids.size() - at, 1 + dice(dice(3) == 0 ? 30 : 2));
      std::vector<std::vector<int32_t>> other_ids;
      std::vector<StepItem> items;
      for (uint32_t i = 0; i <= n_others; ++i) {
        other_ids.push_back(random_ids(1 + dice(dice(6) == 0 ? 20 : 1), dice()));
      }
      for (uint32_t i = 0; i <= n_others; ++i) {
        const std::span<const int32_t> tokens =
            i == mine ? std::span(ids).subspan(at, n) : std::span<const int32_t>(other_ids[i]);
        items.push_back(
            {&sequences[i], tokens, {}, i == mine ? LogitRows::kAll : LogitRows::kLast});
      }
      const StepLogits step = engine.step(items);
      for (size_t row = 0; row < n; ++row) {
        const std::span<const float> one = step.row(mine, row);
        logits.insert(logits.end(), one.begin(), one.end());
      }
      at += n;
    }
    RC_ASSERT(same_bits(expected, logits));
  });
}

// Rows without logits leave the step behind the last layer's cells.
TEST_P(Bits, LogitsThatNobodyAsksForChangeNoOther) {
  Engine engine = make_engine();
  const std::vector<int32_t> ids = random_ids(40, 15);
  Sequence watched = engine.make_sequence(PositionMode::kOriginal);
  const std::vector<float> all = run_all(engine, watched, ids);
  const auto n_vocab = static_cast<size_t>(engine.config().n_vocab);
  const auto expected = [&](size_t row) { return std::span(all).subspan(row * n_vocab, n_vocab); };
  Sequence one = engine.make_sequence(PositionMode::kOriginal);
  Sequence two = engine.make_sequence(PositionMode::kOriginal);
  const auto tokens = [&](size_t at, size_t n) { return std::span(ids).subspan(at, n); };
  const StepItem unseen{&one, tokens(0, 20), {}, LogitRows::kNone};
  EXPECT_EQ(engine.step(std::span(&unseen, 1)).values.size(), 0U);
  const StepItem mixed[] = {{&one, tokens(20, 9), {}, LogitRows::kLast},
                            {&two, tokens(0, 9), {}, LogitRows::kNone}};
  const StepLogits last = engine.step(mixed);
  ASSERT_EQ(last.values.size(), n_vocab);
  EXPECT_TRUE(same_bits(expected(28), last.row(0)));
  const StepItem rest[] = {{&one, tokens(29, 11), {}, LogitRows::kLast},
                           {&two, tokens(9, 31), {}, LogitRows::kAll}};
  const StepLogits both = engine.step(rest);
  EXPECT_TRUE(same_bits(expected(39), both.row(0)));
  for (size_t row = 0; row < 31; ++row) {
    ASSERT_TRUE(same_bits(expected(9 + row), both.row(1, row))) << row;
  }
}

TEST_P(Bits, ForksInOneBatchDecodeAsIfAlone) {
  Engine engine = make_engine();
  const std::vector<int32_t> prompt = random_ids(70, 7);
  const std::vector<std::vector<int32_t>> replies{random_ids(9, 8), random_ids(9, 9)};
  std::vector<std::vector<float>> expected;
  for (const auto& reply : replies) {
    Sequence fresh = engine.make_sequence(PositionMode::kOriginal);
    run_all(engine, fresh, prompt);
    expected.push_back(run_all(engine, fresh, reply));
  }
  Sequence parent = engine.make_sequence(PositionMode::kOriginal);
  run_all(engine, parent, prompt);
  Sequence child = parent.fork();
  std::vector<std::vector<float>> logits(2);
  for (size_t i = 0; i < replies[0].size(); ++i) {
    const StepItem items[] = {{&child, std::span(replies[1]).subspan(i, 1), {}},
                              {&parent, std::span(replies[0]).subspan(i, 1), {}}};
    const StepLogits step = engine.step(items);
    logits[1].insert(logits[1].end(), step.row(0).begin(), step.row(0).end());
    logits[0].insert(logits[0].end(), step.row(1).begin(), step.row(1).end());
  }
  EXPECT_TRUE(same_bits(expected[0], logits[0]));
  EXPECT_TRUE(same_bits(expected[1], logits[1]));
}

// Sequences that share some blocks of cells are attended together, and a lone long one is cut
// between threads: prefixes of two lengths, one fork with cells evicted, one with prompt rows.
TEST_P(StrictBits, SharedPrefixesAndThreadsChangeNothing) {
  constexpr size_t kForks = 11;
  const std::vector<int32_t> prompt = random_ids(700, 21);
  const auto make_forks = [&](Engine& engine) {
    std::vector<Sequence> out;
    Sequence parent = engine.make_sequence(PositionMode::kOriginal);
    run_all(engine, parent, std::span(prompt).first(560));
    Sequence longer = parent.fork();
    run_all(engine, longer, std::span(prompt).subspan(560));
    for (size_t i = 0; i < kForks; ++i) out.push_back(i % 3 == 2 ? longer.fork() : parent.fork());
    engine.evict(out[4], plan_where(out[4], [](int layer, int, uint32_t ordinal) {
                   return ordinal >= (layer == 0 ? 300U : 500U) || ordinal < 5;
                 }));
    return out;
  };
  const auto ids_of = [](size_t fork, uint32_t step) {
    return random_ids(fork == 7 ? 5 : 1, 100 * step + static_cast<uint32_t>(fork));
  };
  std::vector<Sequence> alone = make_forks(engine_);
  std::vector<std::vector<float>> expected(3);
  for (uint32_t step = 0; step < 3; ++step) {
    for (size_t i = 0; i < kForks; ++i) {
      const std::vector<float> logits = run_all(engine_, alone[i], ids_of(i, step));
      expected[step].insert(expected[step].end(), logits.end() - engine_.config().n_vocab,
                            logits.end());
    }
  }
  for (const int n_threads : {1, 4}) {
    Engine engine(model_of(GetParam()), with_numerics(Numerics::kStrict, n_threads));
    std::vector<Sequence> together = make_forks(engine);
    std::vector<Sequence> apart = make_forks(engine);
    for (uint32_t step = 0; step < 3; ++step) {
      std::vector<std::vector<int32_t>> ids;
      std::vector<StepItem> items;
      std::vector<float> cut;
      for (size_t i = 0; i < kForks; ++i) ids.push_back(ids_of(i, step));
      for (size_t i = 0; i < kForks; ++i) items.push_back({&together[i], ids[i], {}});
      for (size_t i = 0; i < kForks; ++i) {
        const std::vector<float> logits = run_all(engine, apart[i], ids[i]);
        cut.insert(cut.end(), logits.end() - engine.config().n_vocab, logits.end());
      }
      ASSERT_TRUE(same_bits(expected[step], engine.step(items).values)) << n_threads << " threads";
      ASSERT_TRUE(same_bits(expected[step], cut)) << n_threads << " threads, one after another";
    }
  }
}

TEST_P(Bits, GatheringSignalsForPoliciesChangesNothing) {
  Engine engine = make_engine();
  const std::vector<int32_t> ids = random_ids(60, 10);
  Sequence plain = engine.make_sequence(PositionMode::kOriginal);
  policy::Needs needs;
  needs.attention_sum = true;
  needs.attention_window = 8;
  needs.query_moments = true;
  Sequence watched = engine.make_sequence(PositionMode::kOriginal, needs);
  EXPECT_TRUE(same_bits(run_all(engine, plain, ids), run_all(engine, watched, ids, 13)));
}

TEST_P(Bits, RunningAgainGivesTheSameBits) {
  const std::vector<int32_t> ids = random_ids(50, 11);
  Engine first = make_engine(512, 2);
  Sequence sequence = first.make_sequence(PositionMode::kOriginal);
  const std::vector<float> expected = run_all(first, sequence, ids);
  for (int i = 0; i < 5; ++i) {
    Engine again = make_engine(512, 2);
    Sequence other = again.make_sequence(PositionMode::kOriginal);
    ASSERT_TRUE(same_bits(expected, run_all(again, other, ids)));
  }
}

TEST(BitsControl, FastDiffersFromStrictOnEveryQuantisedModel) {
  const std::vector<int32_t> ids = random_ids(40, 12);
  std::vector<const char*> names(std::begin(kQuantised), std::end(kQuantised));
  names.insert(names.end(), std::begin(kMade), std::end(kMade));
  for (const char* name : names) {
    Engine strict(model_of(name), with_numerics(Numerics::kStrict, 1));
    Engine fast(model_of(name), with_numerics(Numerics::kFast, 1));
    Sequence a = strict.make_sequence(PositionMode::kOriginal);
    Sequence b = fast.make_sequence(PositionMode::kOriginal);
    EXPECT_FALSE(same_bits(run_all(strict, a, ids), run_all(fast, b, ids))) << name;
  }
}

TEST(BitsControl, GgmlKernelsDependOnTheChunkSomewhere) {
  const std::vector<int32_t> ids = random_ids(64, 13);
  int n_different = 0;
  for (const char* name : kModels) {
    EngineOptions options = with_numerics(Numerics::kFast, 1);
    options.kernels = LinearKernels::kGgml;
    Engine engine(model_of(name), options);
    Sequence a = engine.make_sequence(PositionMode::kOriginal);
    Sequence b = engine.make_sequence(PositionMode::kOriginal);
    n_different += same_bits(run_all(engine, a, ids), run_all(engine, b, ids, 1)) ? 0 : 1;
  }
  EXPECT_GT(n_different, 0) << "else the comparisons above could not see a batch-dependent kernel";
}

}  // namespace
}  // namespace ebb::engine
