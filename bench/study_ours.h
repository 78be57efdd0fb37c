// ebb's side of the whole-study contest: families of lanes as a study runs them, without the
// record's file. Sharing and batching can be switched off, to show what each is worth.
#pragma once

#include <cstdint>
#include <memory>

#include "bench/study_work.h"
#include "engine/engine.h"
#include "experiment/family.h"

namespace ebb::bench {

enum class Batching { kOn, kOff };

struct OurWay {
  experiment::Sharing sharing = experiment::Sharing::kOn;
  Batching batching = Batching::kOn;  // off: one sequence at a time
};

class OurStudy {
 public:
  // `work` is borrowed.
  OurStudy(std::shared_ptr<const model::Model> model,
           std::shared_ptr<const model::Tokenizer> tokenizer, const StudyWork& work,
           const engine::EngineOptions& options);

  // The first n conversations, every arm.
  void run(size_t n_conversations, const OurWay& way = {});

 private:
  void step(std::vector<experiment::Lane*> lanes, Batching batching);

  const StudyWork& work_;
  engine::Engine engine_;
  experiment::StudyContext context_;
  std::vector<int32_t> end_ids_;
};

}  // namespace ebb::bench
