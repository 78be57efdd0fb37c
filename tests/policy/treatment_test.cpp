#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/error.h"
#include "policy/budget_file.h"
#include "policy/catalogue.h"
#include "policy/fake_cache.h"

namespace ebb::policy::testing {
namespace {

using ::testing::HasSubstr;

std::string refusal(std::string_view name, const ParamMap& params) {
  try {
    make_treatment(name, params);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    return error.what();
  }
  return "accepted";
}

TEST(Treatment, unknown_names_and_keys_get_the_nearest_one) {
  EXPECT_THAT(refusal("streming", {}), HasSubstr("did you mean 'streaming'"));
  EXPECT_THAT(refusal("pyramidkw", {}), HasSubstr("did you mean 'pyramidkv'"));
  EXPECT_THAT(refusal("streaming", {{"keep_initail", "3"}}),
              HasSubstr("did you mean 'keep_initial'"));
  EXPECT_THAT(refusal("snapkv", {{"budgt", "3"}}), HasSubstr("did you mean 'budget'"));
  EXPECT_THAT(refusal("knorm", {{"budget", "3"}, {"positions", "orignal"}}),
              HasSubstr("did you mean 'original'"));
}

TEST(Treatment, all_problems_come_at_once) {
  Treatment t = make_treatment("random", {{"budget", "10"}});
  t.allocator.kind = AllocatorKind::kAdaFloor;
  t.budget.count = 0;
  t.scope.cells = ScopeCells::kHybrid;
  EXPECT_EQ(problems_of(t).size(), 3U);
}

TEST(Treatment, senseless_combinations_are_refused_with_the_reason) {
  EXPECT_THAT(refusal("snapkv", {}), HasSubstr("no budget of its own"));
  EXPECT_THAT(refusal("lagkv", {{"budget", "9"}, {"allocator", "ada_floor"}}),
              HasSubstr("ranks cells"));
  EXPECT_THAT(refusal("tova", {{"budget", "9"}, {"allocator", "global"}}),
              HasSubstr("same tokens"));
  EXPECT_THAT(refusal("knorm", {{"budget", "9"}, {"refine", "critical_l1"}}),
              HasSubstr("attention-like"));
  EXPECT_THAT(refusal("knorm", {{"budget", "9"}, {"ratio", "0.5"}}), HasSubstr("only one of"));
  EXPECT_THAT(refusal("knorm", {{"budget", "9"}, {"protect_first", "10"}}),
              HasSubstr("budget is 9"));
  EXPECT_THAT(refusal("knorm", {{"budget", "9"}, {"scope", "newest_turn"}, {"trigger", "cap"}}),
              HasSubstr("use scope hybrid"));
  EXPECT_THAT(refusal("snapkv", {{"budget", "9"}, {"kernel", "4"}}), HasSubstr("odd"));
  EXPECT_THAT(refusal("random", {{"trigger", "cap"}}), HasSubstr("cap needs a budget"));
}

// A short text must not ask for gigabytes.
TEST(Treatment, ranges_of_protected_ordinals_are_bounded_in_all) {
  const auto with = [](const char* ordinals) {
    return refusal("knorm", {{"ratio", "0.5"}, {"protect_ordinals", ordinals}});
  };
  EXPECT_EQ(with("0-99999"), "accepted");
  EXPECT_THAT(with("0-999999998"), HasSubstr("at most 16777216"));
  EXPECT_THAT(with("0-16777000,1-16777000"), HasSubstr("at most 16777216"));
}

TEST(Treatment, what_only_the_model_can_tell_is_checked_with_its_shape) {
  const Treatment layers =
      make_treatment("knorm", {{"allocator", "layers"}, {"layer_budgets", "5,5"}});
  EXPECT_EQ(problems_of(layers, small_shape(2)).size(), 0U);
  EXPECT_EQ(problems_of(layers, small_shape(3)).size(), 1U);
  const Treatment sliding = make_treatment("streaming", {{"layers", "sliding"}});
  EXPECT_THROW(Evictor(sliding, small_shape(), 0, "c"), Error);
}

TEST(Treatment, settings_written_out_make_the_same_treatment) {
  for (const NamedTreatment& named : named_treatments()) {
    ParamMap params;
    const PolicySpec& spec = find_policy(named.settings.at("policy"));
    if (!spec.has_own_budget && !named.settings.contains("ratio")) params["budget"] = "100";
    const ParamMap settings = settings_of(make_treatment(named.name, params));
    EXPECT_EQ(settings_of(make_treatment(named.name, settings)), settings) << named.name;
    EXPECT_FALSE(named.summary.empty()) << named.name;
  }
}

TEST(Treatment, triggers_combine) {
  const Treatment t =
      make_treatment("knorm", {{"budget", "9"}, {"trigger", "prompt_end, every_n:32,cap"}});
  const Evictor evictor(t, small_shape(), 0, "c");
  EXPECT_TRUE(evictor.acts_on(EventKind::kPromptEnd));
  EXPECT_TRUE(evictor.acts_on(EventKind::kEveryN));
  EXPECT_TRUE(evictor.acts_on(EventKind::kCap));
  EXPECT_FALSE(evictor.acts_on(EventKind::kTurnEnd));
  EXPECT_EQ(t.trigger.every_n, 32);
  EXPECT_FALSE(Evictor(make_treatment("none"), small_shape(), 0, "c").acts_on(EventKind::kTurnEnd));
  EXPECT_THAT(refusal("knorm", {{"budget", "9"}, {"trigger", "turn_edn"}}), HasSubstr("turn_end"));
}

size_t n_kept(const ParamMap& params, EventInfo event, uint32_t n = 100) {
  FakeCache cache(small_shape());
  cache.append(0, n);
  return plan_once(cache, make_treatment("knorm", params), event).kept[0][0].size();
}

TEST(Budget, ratios_are_exact_floors_of_what_they_name) {
  EventInfo event = event_at(100);
  event.n_prompt = 30;
  event.turn_begin = {60};
  EXPECT_EQ(n_kept({{"ratio", "0.29"}}, event), 29U);
  EXPECT_EQ(n_kept({{"ratio", "0.29"}, {"of", "prompt"}}, event), 8U);
  EXPECT_EQ(n_kept({{"ratio", "0.29"}, {"of", "turn"}}, event), 11U);
  EXPECT_EQ(n_kept({{"ratio", "0.29"}, {"of", "live"}}, event, 90), 26U);
  EXPECT_EQ(n_kept({{"ratio", "0.001"}}, event), 1U);
}

TEST(Budget, a_schedule_has_one_count_a_turn_and_keeps_its_last) {
  for (const auto& [turn, want] : {std::pair{0, 50U}, std::pair{1, 40U}, std::pair{7, 40U}}) {
    EXPECT_EQ(n_kept({{"schedule", "50,40"}}, event_at(100, turn)), want);
  }
}

TEST(Budget, bytes_are_shared_by_the_heads_in_scope) {
  CacheShape shape = small_shape();  // 3 layers of 2 heads, 32 bytes a cell
  shape.is_sliding = {true, false, true};
  FakeCache cache(shape);
  cache.append(0, 100);
  const Treatment all = make_treatment("knorm", {{"bytes", "6400"}});
  EXPECT_EQ(plan_once(cache, all, event_at(100)).kept[2][1].size(), 33U);  // 200 cells over 6 heads
  const Treatment global = make_treatment("knorm", {{"bytes", "14400"}, {"layers", "global"}});
  const auto plan = plan_once(cache, global, event_at(100));
  EXPECT_EQ(plan.kept[0][0].size(), 100U);
  EXPECT_EQ(plan.kept[1][0].size(), 25U);  // 450 - 400 cells over 2 heads
  EXPECT_THROW(plan_once(cache, make_treatment("knorm", {{"bytes", "9000"}, {"layers", "global"}}),
                         event_at(100)),
               Error);
}

TEST(Budget, a_cap_leaves_room_for_what_is_about_to_come) {
  EventInfo event = event_at(20);
  event.n_incoming = 1;
  EXPECT_EQ(n_kept({{"budget", "20"}, {"trigger", "cap"}}, event, 20), 19U);
}

TEST(Budget, a_file_gives_counts_or_shares) {
  const std::string path = ::testing::TempDir() + "/ebb_budget_test.json";
  std::ofstream(path) << R"({"shares": [[4, 1], [0, 0]], "total": 12})";
  // At least one each, the other ten in proportion.
  EXPECT_EQ(load_budget_file(path), (std::vector<std::vector<int64_t>>{{8, 2}, {1, 1}}));
  for (const char* wrong : {R"({"budgets": [[1e99]]})", R"({"budgets": [[4.5]]})",
                            R"({"budgets": [["4"]]})", R"({"shares": [[1]], "total": 1e99})"}) {
    std::ofstream(path) << wrong;
    EXPECT_THROW(load_budget_file(path), Error) << wrong;
  }
  std::ofstream(path) << R"({"budgets": [[4, 5], [6, 7]]})";
  FakeCache cache(small_shape(2));
  cache.append(0, 30);
  const auto plan = plan_once(
      cache, make_treatment("knorm", {{"allocator", "file"}, {"budget_file", path}}), event_at(30));
  EXPECT_EQ(plan.kept[0][1].size(), 5U);
  EXPECT_EQ(plan.kept[1][0].size(), 6U);
  std::ofstream(path) << R"({"budgets": [[0, 5]]})";
  EXPECT_THROW(load_budget_file(path), Error);
  std::ofstream(path) << "{";
  EXPECT_THROW(load_budget_file(path), Error);
  EXPECT_THROW(load_budget_file("/does/not/exist"), Error);
}

TEST(Scope, the_newest_turn_leaves_older_cells_alone_and_uncounted) {
  FakeCache cache(small_shape());
  cache.append(0, 50);
  EventInfo event = event_at(50);
  event.turn_begin = {30};
  const auto plan =
      plan_once(cache,
                make_treatment("streaming",
                               {{"keep_initial", "0"}, {"budget", "5"}, {"scope", "newest_turn"}}),
                event);
  auto want = range(0, 30);
  for (const uint32_t o : range(45, 50)) want.push_back(o);
  EXPECT_EQ(cache.kept_ordinals(plan, 0, 0), want);
}

TEST(Scope, hybrid_cuts_all_only_above_the_cap) {
  const ParamMap base = {{"keep_initial", "0"}, {"budget", "5"}, {"scope", "hybrid"}};
  for (const auto& [cap, want] : {std::pair{"35", 35U}, std::pair{"20", 20U}}) {
    FakeCache cache(small_shape());
    cache.append(0, 50);
    EventInfo event = event_at(50);
    event.turn_begin = {30};
    ParamMap params = base;
    params["hybrid_cap"] = cap;
    const auto plan = plan_once(cache, make_treatment("streaming", params), event);
    const auto kept = cache.kept_ordinals(plan, 1, 1);
    EXPECT_EQ(kept.size(), want);
    EXPECT_EQ(kept.back(), 49U);
    EXPECT_FALSE(std::binary_search(kept.begin(), kept.end(), 40U));  // went with the newest turn
  }
}

TEST(Evictor, does_not_ask_for_signals_of_layers_that_fit) {
  FakeCache cache(small_shape());
  cache.append(0, 10);
  Evictor evictor(make_treatment("knorm", {{"budget", "10"}}), cache.shape(), 0, "c");
  class Counted : public CacheSource {
   public:
    explicit Counted(FakeCache& source) : source_(source) {}
    LayerView layer(int index) override { return source_.layer(index); }
    std::vector<size_t> cell_counts(int) override { return {10, 10}; }

   private:
    FakeCache& source_;
  } counted(cache);
  EXPECT_EQ(evictor.plan(counted, event_at(10)).kept[2][1].size(), 10U);
  EXPECT_EQ(cache.n_views, 0);
}

TEST(Catalogue, names_are_unique_and_their_parameters_hide_no_setting) {
  std::vector<std::string> names;
  for (const NamedTreatment& named : named_treatments()) names.push_back(named.name);
  for (const PolicySpec& spec : catalogue()) {
    names.push_back(spec.name);
    EXPECT_FALSE(spec.summary.empty() || spec.paper.empty() || spec.when.empty() ||
                 spec.cost.empty());
    EXPECT_GE(spec.version, 1);
    for (const ParamSpec& own : spec.params) {
      EXPECT_EQ(problem_of(own, own.fallback), "") << spec.name;
      for (const ParamSpec& shared : treatment_params())
        EXPECT_NE(own.name, shared.name) << spec.name;
    }
  }
  std::sort(names.begin(), names.end());
  EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());
}

TEST(Catalogue, the_documentation_is_current) {
  std::ifstream file(std::string(EBB_SOURCE_DIR) + "/docs/policies.md");
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  EXPECT_EQ(text, catalogue_markdown()) << "run: ebb policies --markdown > docs/policies.md";
}

TEST(Catalogue, is_readable_as_text_and_json) {
  for (const PolicySpec& spec : catalogue()) {
    EXPECT_THAT(catalogue_text(), HasSubstr("  " + spec.name + "  v"));
    EXPECT_THAT(catalogue_json(), HasSubstr("\"name\": \"" + spec.name + "\""));
  }
}

}  // namespace
}  // namespace ebb::policy::testing
