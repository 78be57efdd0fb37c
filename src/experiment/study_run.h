// Runs a study: feeds families to one engine batch, a few in flight, and stores each as a whole
// when it is done. What is stored is skipped, so a run that was stopped goes on where it was.
// Prints nothing; a listener hears of progress.
#pragma once

#include <atomic>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "experiment/family.h"
#include "record/store.h"

namespace ebb::experiment {

// A conversation that could not be run, such as one whose protected cells exceed an arm's budget.
// It is left out of every arm and tried again when the study is run again.
struct RunFailure {
  std::string conversation;
  std::string reason;
};

struct Progress {
  size_t n_families_done = 0, n_families = 0;
  size_t n_families_before = 0;  // of them, stored by an earlier run
  size_t n_units_done = 0, n_units = 0;
  size_t n_units_now = 0;       // of them, by this run
  int64_t n_tokens = 0;         // computed in this run
  int64_t n_tokens_shared = 0;  // taken over from another arm's sequence instead
  double seconds = 0;
  std::vector<RunFailure> failures;
};

struct RunListener {
  std::function<void(const Progress&)> on_step;
  std::function<void(const Progress&, const std::vector<record::UnitRecord>&)> on_family;
  std::function<void(const RunFailure&)> on_failure;
};

struct RunOptions {
  int n_lanes_max = 48;      // sequences that advance together
  uint64_t n_bytes_max = 0;  // of cells and kept logits in flight; 0 = no limit
  const std::atomic<bool>* stop = nullptr;
  size_t shard = 0, n_shards = 1;  // families i with i % n_shards == shard
};

// Logits of a step live at once: prompts ask for one row, forced replies for all. No more work is
// taken into a step once it has so many.
inline constexpr size_t kStepLogitBytesMax = size_t{256} << 20;

// Everything that the record must know about a study before its units.
record::StudyInfo info_of(const Study& study, const engine::Engine& engine,
                          const ConversationSet& data, const std::string& model_sha256);

// Throws: kInterrupted once `stop` is set (finished families are stored), kUsage for a conversation
// longer than the model was trained for, and what the engine and the store throw. What a single
// conversation asks for and cannot have is in Progress::failures.
Progress run_study(const StudyContext& context, const std::vector<Conversation>& conversations,
                   record::StudyStore& store, const RunOptions& options,
                   const RunListener& listener);

}  // namespace ebb::experiment
