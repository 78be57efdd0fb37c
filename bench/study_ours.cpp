#include "bench/study_ours.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "experiment/study_run.h"
#include "model/chat_template.h"

namespace ebb::bench {
namespace {

// Below every logit, and finite: the sampler refuses infinities.
constexpr float kNever = -1e30F;

}  // namespace

OurStudy::OurStudy(std::shared_ptr<const model::Model> model,
                   std::shared_ptr<const model::Tokenizer> tokenizer, const StudyWork& work,
                   const engine::EngineOptions& options)
    : work_(work), engine_(std::move(model), options) {
  context_.study = &work_.study;
  context_.engine = &engine_;
  context_.format = model::ChatTemplate::find(*tokenizer).format();
  context_.key = "bench";
  for (int32_t id = 0; id < tokenizer->n_vocab(); ++id) {
    if (tokenizer->is_end_of_generation(id)) end_ids_.push_back(id);
  }
  context_.tokenizer = std::move(tokenizer);
}

void OurStudy::step(std::vector<experiment::Lane*> lanes, Batching batching) {
  if (batching == Batching::kOff) lanes.resize(1);
  std::vector<engine::StepItem> items;
  items.reserve(lanes.size());
  for (experiment::Lane* lane : lanes) items.push_back(lane->next_item(engine_));
  engine::StepLogits logits = engine_.step(items);
  for (size_t i = 0; i < lanes.size(); ++i) {
    for (size_t row = logits.first_row[i]; row < logits.first_row[i + 1]; ++row) {
      for (const int32_t id : end_ids_) {
        logits.values[row * logits.n_vocab + static_cast<size_t>(id)] = kNever;
      }
    }
    lanes[i]->accept(engine_, logits, i);
  }
}

void OurStudy::run(size_t n_conversations, const OurWay& way) {
  context_.sharing = way.sharing;
  const size_t n_lanes_max = way.batching == Batching::kOff
                                 ? 1
                                 : static_cast<size_t>(experiment::RunOptions{}.n_lanes_max);
  std::vector<std::unique_ptr<experiment::Family>> flying;
  size_t n_begun = 0;
  while (true) {
    std::vector<experiment::Lane*> lanes;
    size_t n_units = 0;
    for (size_t i = 0; i < flying.size();) {
      const std::vector<experiment::Lane*> mine = flying[i]->active_lanes();
      if (mine.empty()) {
        const auto records = flying[i]->take_units();
        EBB_CHECK(records.size() == work_.study.arms.size());
        flying.erase(flying.begin() + static_cast<ptrdiff_t>(i));
        continue;
      }
      lanes.insert(lanes.end(), mine.begin(), mine.end());
      n_units += flying[i]->n_units();
      ++i;
    }
    while (n_begun < n_conversations && (flying.empty() || n_units < n_lanes_max)) {
      flying.push_back(std::make_unique<experiment::Family>(
          context_, work_.conversations[n_begun++], experiment::KeepMap::kNo));
      const std::vector<experiment::Lane*> mine = flying.back()->active_lanes();
      lanes.insert(lanes.end(), mine.begin(), mine.end());
      n_units += flying.back()->n_units();
    }
    if (lanes.empty()) return;
    step(std::move(lanes), way.batching);
  }
}

}  // namespace ebb::bench
