#include "experiment/study_run.h"

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "experiment/study_plan.h"
#include "experiment/unit_id.h"
#include "policy/treatment_text.h"

namespace ebb::experiment {
namespace {

using Clock = std::chrono::steady_clock;
class Runner {
 public:
  Runner(const StudyContext& context, record::StudyStore& store, const RunOptions& options,
         const RunListener& listener)
      : context_(context), store_(store), options_(options), listener_(listener) {}

  void add(const Conversation& conversation, KeepMap keep_map) {
    waiting_.push_back({&conversation, keep_map});
  }
  Progress& progress() { return progress_; }

  void run() {
    while (true) {
      if (options_.stop != nullptr && options_.stop->load()) {
        throw Error::make(ErrorKind::kInterrupted,
                          "stopped: {} of {} conversations are stored; the same command goes on",
                          progress_.n_families_done, progress_.n_families);
      }
      const std::vector<Flying> lanes = collect_lanes();
      if (lanes.empty()) return;
      step(lanes);
      drop_failed();
    }
  }

 private:
  struct Waiting {
    const Conversation* conversation;
    KeepMap keep_map;
  };
  struct Flying {
    Lane* lane;
    Family* family;
  };

  // What one conversation asks for and cannot have ends that conversation, not the study. Anything
  // else (memory, storage, our own faults) ends the run.
  template <typename Work>
  void guard(Family& family, const Work& work) {
    try {
      work();
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kUsage && error.kind() != ErrorKind::kBadData) throw;
      failed_.insert(&family);
      progress_.failures.push_back({family.conversation().id, error.what()});
      if (listener_.on_failure) listener_.on_failure(progress_.failures.back());
    }
  }

  void drop_failed() {
    std::erase_if(flying_, [&](const auto& family) { return failed_.contains(family.get()); });
    failed_.clear();
  }

  // Lanes of all families in flight; families that are done are stored and make room.
  std::vector<Flying> collect_lanes() {
    std::vector<Flying> lanes;
    for (size_t i = 0; i < flying_.size();) {
      Family* family = flying_[i].get();
      std::vector<Lane*> mine;
      guard(*family, [&] { mine = family->active_lanes(); });
      if (failed_.contains(family)) {
        ++i;
        continue;
      }
      if (mine.empty()) {
        commit(*family);
        flying_.erase(flying_.begin() + static_cast<ptrdiff_t>(i));
        continue;
      }
      for (Lane* lane : mine) lanes.push_back({lane, family});
      ++i;
    }
    drop_failed();
    while (n_begun_ < waiting_.size() && has_room(lanes.size())) {
      const Waiting& next = waiting_[n_begun_++];
      flying_.push_back(std::make_unique<Family>(context_, *next.conversation, next.keep_map));
      for (Lane* lane : flying_.back()->active_lanes()) {
        lanes.push_back({lane, flying_.back().get()});
      }
    }
    return lanes;
  }

  // A family counts with all its units, also while only its baseline runs.
  bool has_room(size_t n_lanes) const {
    if (flying_.empty()) return true;
    size_t n_units = 0;
    for (const auto& family : flying_) n_units += family->n_units();
    if (std::max(n_lanes, n_units) >= static_cast<size_t>(options_.n_lanes_max)) return false;
    const uint64_t in_use = context_.engine->memory().cells_live;
    return options_.n_bytes_max == 0 ||
           in_use + bytes_family_ * (flying_.size() + 1) <= options_.n_bytes_max;
  }

  void step(const std::vector<Flying>& lanes) {
    const auto n_vocab = static_cast<size_t>(context_.engine->config().n_vocab);
    size_t n_logit_bytes = 0;
    std::vector<engine::StepItem> items;
    std::vector<Flying> taken;
    for (const Flying& flying : lanes) {
      if (failed_.contains(flying.family)) continue;
      engine::StepItem item;
      guard(*flying.family, [&] { item = flying.lane->next_item(*context_.engine); });
      if (failed_.contains(flying.family)) continue;
      const size_t n_rows = item.logits == engine::LogitRows::kAll ? item.ids.size() : 1;
      items.push_back(item);
      taken.push_back(flying);
      n_logit_bytes += n_rows * n_vocab * sizeof(float);
      progress_.n_tokens += static_cast<int64_t>(item.ids.size());
      if (n_logit_bytes >= kStepLogitBytesMax) break;
    }
    if (items.empty()) return;
    const engine::StepLogits logits = context_.engine->step(items);
    for (size_t i = 0; i < taken.size(); ++i) {
      if (failed_.contains(taken[i].family)) continue;
      guard(*taken[i].family, [&] { taken[i].lane->accept(*context_.engine, logits, i); });
    }
    tell_time();
    if (listener_.on_step) listener_.on_step(progress_);
  }

  void commit(Family& family) {
    const std::vector<record::UnitRecord> units = family.take_units();
    store_.commit_family(family.conversation().id, units, family.take_events());
    ++progress_.n_families_done;
    progress_.n_units_done += units.size();
    progress_.n_units_now += units.size();
    progress_.n_tokens_shared += family.n_tokens_shared();
    tell_time();
    if (listener_.on_family) listener_.on_family(progress_, units);
  }

  void tell_time() {
    progress_.seconds = std::chrono::duration<double>(Clock::now() - started_).count();
  }

  const StudyContext& context_;
  record::StudyStore& store_;
  const RunOptions& options_;
  const RunListener& listener_;
  std::vector<Waiting> waiting_;
  size_t n_begun_ = 0;
  std::vector<std::unique_ptr<Family>> flying_;
  std::set<Family*> failed_;  // to be dropped after the step under way
  Progress progress_;
  const Clock::time_point started_ = Clock::now();

 public:
  uint64_t bytes_family_ = 0;
};

std::string scope_text(const StudyArm& arm, const policy::Treatment& treatment) {
  const policy::ParamMap settings = policy::settings_of(treatment);
  if (treatment.policy == "full") return "nothing is evicted";
  const std::string matched =
      arm.match_bytes.empty() ? "" : fmt::format(", bytes calibrated to '{}'", arm.match_bytes);
  return fmt::format("cells: {}, layers: {}{}", settings.at("scope"), settings.at("layers"),
                     matched);
}

}  // namespace

record::StudyInfo info_of(const Study& study, const engine::Engine& engine,
                          const ConversationSet& data, const std::string& model_sha256) {
  record::StudyInfo out;
  out.name = study.name;
  out.title = study.title;
  out.question = study.question;
  const model::ModelConfig& config = engine.config();
  out.model = config.name;
  out.model_sha256 = model_sha256;
  out.architecture = config.architecture;
  out.n_layers = config.n_layers;
  out.n_kv_heads = config.n_kv_heads;
  out.head_dim = config.head_dim;
  out.window = config.window;
  out.numerics = engine::numerics_name(engine.options().numerics);
  out.fingerprint = fingerprint_of(engine);
  out.data_name = data.name;
  out.data_version = data.version;
  out.data_sha256 = data.sha256;
  out.history = to_text(study.history);
  out.primary_endpoint = study.primary_endpoint;
  out.alpha = study.alpha;
  out.confirmatory_correction = study.confirmatory_correction;
  out.exploratory_correction = study.exploratory_correction;
  out.test = study.test;
  out.statistics_seed = study.statistics_seed;
  out.seeds = study.seeds;
  out.rule_weight = study.rule_weight;
  out.judge_weight = study.judge_weight;
  out.contrasts = study.contrasts;
  for (const StudyArm& arm : study.arms) {
    const policy::Treatment treatment = treatment_of(arm, {1});
    policy::ParamMap settings = policy::settings_of(treatment);
    if (is_matched(arm)) settings.erase("schedule");
    if (!arm.share.empty()) settings["share"] = arm.share;
    if (!arm.match_bytes.empty()) settings["match_bytes"] = arm.match_bytes;
    out.arms.push_back({arm.name, to_text(arm.kind), treatment.policy, settings,
                        policy::to_text(treatment.positions), scope_text(arm, treatment)});
  }
  const auto n_maps = static_cast<size_t>(std::max<int64_t>(study.measures.n_cache_maps, 0));
  for (size_t i = 0; i < std::min(n_maps, data.conversations.size()); ++i) {
    out.map_conversations.push_back(data.conversations[i].id);
  }
  return out;
}

Progress run_study(const StudyContext& context, const std::vector<Conversation>& conversations,
                   record::StudyStore& store, const RunOptions& options,
                   const RunListener& listener) {
  const StudyPlan plan = plan_study(context, conversations);
  Runner runner(context, store, options, listener);
  runner.bytes_family_ = plan.n_bytes_family;
  const std::set<std::string> finished = store.finished_conversations();
  const auto n_maps =
      static_cast<size_t>(std::max<int64_t>(context.study->measures.n_cache_maps, 0));
  const size_t n_units_each = plan.n_units / std::max<size_t>(plan.n_families, 1);
  Progress& progress = runner.progress();
  for (size_t i = 0; i < conversations.size(); ++i) {
    if (i % options.n_shards != options.shard) continue;
    ++progress.n_families;
    progress.n_units += n_units_each;
    if (finished.contains(conversations[i].id)) {
      ++progress.n_families_before;
      ++progress.n_families_done;
      progress.n_units_done += n_units_each;
      continue;
    }
    runner.add(conversations[i], i < n_maps ? KeepMap::kYes : KeepMap::kNo);
  }
  runner.run();
  return progress;
}

}  // namespace ebb::experiment
