#include "experiment/validation_run.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/platform.h"
#include "engine/cache_source.h"
#include "engine/session.h"
#include "experiment/eviction_log.h"
#include "policy/treatment_text.h"

namespace ebb::experiment {
namespace {

struct Arm {
  ArmKind kind;
  std::string name;
  policy::Treatment treatment;
};

std::vector<Arm> make_arms(const ValidationOptions& options) {
  const std::string positions = policy::to_text(options.positions);
  std::vector<Arm> arms;
  arms.push_back(
      {ArmKind::kBaseline, "baseline", policy::make_treatment("none", {{"positions", positions}})});
  arms.push_back(
      {ArmKind::kStreaming, "streaming",
       policy::make_treatment("streaming", {{"keep_initial", std::to_string(options.keep_initial)},
                                            {"keep_recent", std::to_string(options.keep_recent)},
                                            {"positions", positions}})});
  arms.push_back({ArmKind::kRandom, "random",
                  policy::make_treatment("random", {{"retention_rate", options.retention.text()},
                                                    {"granularity", "layer"},
                                                    {"redraw", "event"},
                                                    {"positions", positions}})});
  for (const policy::Treatment& treatment : options.further_arms) {
    arms.push_back({ArmKind::kOther, treatment.name, treatment});
  }
  return arms;
}

CellRange range_of(const kv::LayerCount& count) {
  return {static_cast<double>(count.n_min), count.n_mean, static_cast<double>(count.n_max)};
}

TurnRecord record_of(const engine::Engine& engine, const engine::Session& session,
                     const model::Tokenizer& tokenizer, int turn_id) {
  const engine::TurnRecord& turn = session.turns().back();
  TurnRecord out;
  out.turn = turn_id;
  out.prompt_tokens = turn.n_prompt_tokens;
  out.generated_tokens = static_cast<int>(turn.reply_ids.size());
  out.bytes_after = turn.bytes_alone;
  out.bytes_cells = turn.bytes_cells;
  out.reply = tokenizer.decode(turn.reply_ids, model::RenderSpecial::kNo);
  out.reply_ids = turn.reply_ids;
  double n_global = 0;
  const auto& classes = engine.config().layer_class;
  const bool has_global =
      std::find(classes.begin(), classes.end(), model::LayerClass::kGlobal) != classes.end();
  for (size_t i = 0; i < turn.layers.size(); ++i) {
    const bool is_sliding = engine.config().is_sliding(static_cast<int>(i));
    const engine::LayerCells& cells = turn.layers[i];
    out.layers.push_back({static_cast<int>(i), engine.config().layer_class[i],
                          range_of(cells.before), range_of(cells.after)});
    if (is_sliding && has_global) continue;
    out.cells_before += cells.before.n_mean;
    out.cells_after += cells.after.n_mean;
    ++n_global;
  }
  if (n_global > 0) {
    out.cells_before /= n_global;
    out.cells_after /= n_global;
  }
  return out;
}

// -log p of every reply token under the model that still has every cell: the arm's own words,
// judged by a memory that lost nothing.
void score_replies(engine::Engine& engine, const engine::Session& session,
                   ConversationRecord& record) {
  const std::vector<int32_t>& ids = session.sequence().ids();
  engine::Sequence full = engine.make_sequence(PositionMode::kOriginal);
  size_t done = 0;
  for (size_t t = 0; t < session.turns().size(); ++t) {
    const engine::TurnRecord& turn = session.turns()[t];
    const size_t begin = turn.reply_begin.value;  // first reply token; predicted by the one before
    const size_t n = turn.reply_ids.size();
    if (n == 0) continue;
    EBB_CHECK(begin >= 1 && begin - 1 >= done);
    const auto feed = [&](size_t end, engine::LogitRows rows) {
      const engine::StepItem item{&full, std::span(ids).subspan(done, end - done), {}, rows};
      done = end;
      return engine.step(std::span(&item, 1));
    };
    if (begin - 1 > done) feed(begin - 1, engine::LogitRows::kNone);
    const engine::StepLogits logits = feed(begin - 1 + n, engine::LogitRows::kAll);
    for (size_t i = 0; i < n; ++i) {
      record.turns[t].reply_nll.push_back(
          -engine::log_probability(logits.row(0, i), ids[begin + i]));
    }
  }
}

// Reads cells as numbers, evicts half of them, looks again: the plan's "can access and manipulate".
CacheProbe probe_cache(engine::Engine& engine, const engine::Session& session) {
  CacheProbe probe;
  engine::Sequence copy = session.sequence().fork();
  const model::ModelConfig& config = engine.config();
  probe.n_layers = config.n_layers;
  probe.n_kv_heads = config.n_kv_heads;
  probe.head_dim = config.head_dim;
  probe.cells_before = static_cast<int64_t>(copy.cells().n_cells_total());
  probe.bytes_before = copy.cells().bytes_cells();
  engine::Engine::HeadContent content;
  policy::EvictionPlan plan;
  for (int layer = 0; layer < config.n_layers; ++layer) {
    plan.kept.emplace_back();
    for (int head = 0; head < config.n_kv_heads; ++head) {
      engine.read_head(copy, layer, head, content);
      for (const std::vector<float>* numbers : {&content.keys, &content.values}) {
        probe.n_values_read += static_cast<int64_t>(numbers->size());
        probe.n_values_not_finite += std::count_if(numbers->begin(), numbers->end(),
                                                   [](float x) { return !std::isfinite(x); });
      }
      auto& kept = plan.kept.back().emplace_back();
      for (uint32_t i = 0; i < content.ordinals.size(); i += 2) kept.push_back(i);
    }
  }
  engine.evict(copy, plan);
  probe.cells_after = static_cast<int64_t>(copy.cells().n_cells_total());
  probe.bytes_after = copy.cells().bytes_cells();
  return probe;
}

// Tokens of each turn when every reply takes all it may.
std::vector<int64_t> turn_tokens(const model::Tokenizer& tokenizer, const model::ChatFormat& format,
                                 const Conversation& conversation, int n_new_max) {
  std::vector<int64_t> out;
  for (const Exchange& exchange : exchanges_of(conversation)) {
    const auto place = out.empty() ? model::TurnPlace::kFirst : model::TurnPlace::kLater;
    const auto pieces = model::render_user_turn(format, place, exchange.input);
    constexpr int kClosing = 8;  // closing template tokens
    out.push_back(static_cast<int64_t>(model::encode_pieces(tokenizer, pieces).ids.size()) +
                  n_new_max + kClosing);
  }
  return out;
}

int64_t sum_of(const std::vector<int64_t>& turns) {
  return std::accumulate(turns.begin(), turns.end(), int64_t{0});
}

// Cells of one layer and head at the fullest moment; treatments other than the plan's own are taken
// to keep all.
int64_t most_cells(const Arm& arm, const std::vector<int64_t>& turns,
                   const ValidationOptions& options) {
  int64_t held = 0;
  int64_t most = 0;
  for (const int64_t n : turns) {
    held += n;
    most = std::max(most, held);
    if (arm.kind == ArmKind::kStreaming) {
      held = std::min(held, options.keep_initial + options.keep_recent);
    }
    if (arm.kind == ArmKind::kRandom) {
      held = std::max<int64_t>(1, options.retention.floor_of(held));
    }
  }
  return most;
}

}  // namespace

engine::MemoryPlan plan_memory(const model::Model& model, const engine::EngineOptions& compute,
                               const model::Tokenizer& tokenizer, const model::ChatFormat& format,
                               const std::vector<Conversation>& conversations,
                               const ValidationOptions& options) {
  std::vector<engine::SequenceNeed> sequences;
  const std::vector<Arm> arms = make_arms(options);
  int64_t n_prompt_rows = 0;  // of the largest step
  for (const Conversation& conversation : conversations) {
    const auto turns = turn_tokens(tokenizer, format, conversation, options.n_new_max);
    for (const Arm& arm : arms) {
      sequences.push_back(
          engine::sequence_need(model.config(), arm.treatment, most_cells(arm, turns, options)));
      n_prompt_rows += turns.empty() ? 0 : *std::max_element(turns.begin(), turns.end());
    }
  }
  const auto n_rows = std::min<int64_t>(n_prompt_rows, compute.n_rows_max);
  const auto n_logits =
      std::max<int64_t>(options.n_new_max, static_cast<int64_t>(sequences.size()));
  return engine::plan_memory(model, compute, sequences, static_cast<int>(n_rows),
                             static_cast<int>(n_logits));
}

namespace {

MemoryRecord record_of(const engine::MemoryPlan& plan) {
  MemoryRecord out;
  out.predicted_peak = plan.predicted_peak();
  out.limit = platform::memory_status().limit_bytes;
  return out;
}

using Sessions = std::vector<std::unique_ptr<engine::Session>>;  // [arms][conversations]

// What is said, conversation by conversation, after a check that the model can take it.
std::vector<std::vector<Exchange>> checked_exchanges(const engine::Engine& engine,
                                                     const model::Tokenizer& tokenizer,
                                                     const model::ChatFormat& format,
                                                     const std::vector<Conversation>& conversations,
                                                     int n_new_max) {
  std::vector<std::vector<Exchange>> out;
  for (const Conversation& conversation : conversations) {
    const int64_t n = sum_of(turn_tokens(tokenizer, format, conversation, n_new_max));
    if (n > engine.config().n_ctx_train) {
      throw Error::make(ErrorKind::kUsage,
                        "conversation '{}' can take {} tokens; the model was trained for {}",
                        conversation.id, n, engine.config().n_ctx_train);
    }
    out.push_back(exchanges_of(conversation));
  }
  return out;
}

// One session for each arm and conversation, and the arms' empty records.
Sessions start_sessions(const engine::Engine& engine,
                        const std::shared_ptr<const model::Tokenizer>& tokenizer,
                        const model::ChatFormat& format,
                        const std::vector<Conversation>& conversations,
                        const ValidationOptions& options, std::vector<ArmRecord>& records) {
  Sessions sessions;
  for (const Arm& arm : make_arms(options)) {
    ArmRecord& record = records.emplace_back();
    record.arm = arm.name;
    record.kind = arm.kind;
    record.positions = policy::to_text(arm.treatment.positions);
    record.query_visible = policy::sees_query(arm.treatment);
    for (const Conversation& conversation : conversations) {
      record.conversations.push_back({conversation.id, {}});
      engine::SessionOptions session{.conversation_id = conversation.id,
                                     .treatment = arm.treatment,
                                     .seed = options.seed,
                                     .sampling = {}};
      sessions.push_back(
          std::make_unique<engine::Session>(engine, tokenizer, format, std::move(session)));
    }
  }
  return sessions;
}

// The same turn in every session whose conversation has one, in common steps.
void run_turn(engine::Engine& engine, const Sessions& sessions,
              const std::vector<std::vector<Exchange>>& exchanges, size_t turn, int n_new_max,
              const ValidationListener& listener) {
  std::vector<engine::Session*> active;
  for (size_t i = 0; i < sessions.size(); ++i) {
    const auto& turns = exchanges[i % exchanges.size()];
    if (turn >= turns.size()) continue;
    sessions[i]->begin_turn(turns[turn].input, n_new_max);
    active.push_back(sessions[i].get());
  }
  engine::run_until_idle(engine, active, [&] {
    int64_t n_tokens = 0;
    for (const auto& session : sessions) n_tokens += session->sequence().next_ordinal().value;
    if (listener.on_step) listener.on_step(turn, n_tokens);
  });
}

void record_turn(const engine::Engine& engine, const model::Tokenizer& tokenizer,
                 const Sessions& sessions, const std::vector<std::vector<Exchange>>& exchanges,
                 size_t turn, std::vector<ArmRecord>& arms) {
  const size_t n_conversations = exchanges.size();
  for (size_t i = 0; i < sessions.size(); ++i) {
    const size_t c = i % n_conversations;
    if (turn >= exchanges[c].size()) continue;
    auto& records = arms[i / n_conversations].conversations[c].turns;
    records.push_back(record_of(engine, *sessions[i], tokenizer, exchanges[c][turn].turn_id));
    // The baseline's record is the first to be made.
    const TurnRecord& baseline = arms.front().conversations[c].turns[turn];
    records.back().baseline_share = records.back().cells_after / baseline.cells_after;
  }
}

// What can only be told at the end: how likely the replies were, and what was evicted in all.
void close_records(engine::Engine& engine, const Sessions& sessions,
                   const ValidationOptions& options, std::vector<ArmRecord>& arms) {
  const size_t n_conversations = sessions.size() / arms.size();
  for (size_t i = 0; i < sessions.size(); ++i) {
    ArmRecord& arm = arms[i / n_conversations];
    score_replies(engine, *sessions[i], arm.conversations[i % n_conversations]);
    for (const engine::TurnRecord& turn : sessions[i]->turns()) {
      for (const engine::EventRecord& event : turn.events)
        arm.n_evicted += event.loss.n_by_treatment;
    }
    if (options.eviction_log != nullptr) {
      for (const std::string& line : eviction_lines(*sessions[i], {.arm = arm.arm})) {
        *options.eviction_log += line + "\n";
      }
    }
  }
}

}  // namespace

ValidationInput run_validation(engine::Engine& engine,
                               const std::shared_ptr<const model::Tokenizer>& tokenizer,
                               const model::ChatFormat& format,
                               const std::vector<Conversation>& conversations,
                               const ValidationOptions& options,
                               const ValidationListener& listener) {
  ValidationInput out;
  out.model = engine.config().name;
  out.keep_initial = options.keep_initial;
  out.keep_recent = options.keep_recent;
  out.retention = options.retention;
  out.memory = record_of(
      plan_memory(engine.model(), engine.options(), *tokenizer, format, conversations, options));
  const engine::EngineMemory held = engine.memory();
  out.memory.weights = held.weights_packed > 0 ? held.weights_packed : held.weights_mapped;
  const auto exchanges =
      checked_exchanges(engine, *tokenizer, format, conversations, options.n_new_max);
  size_t n_turns_max = 0;
  for (const auto& turns : exchanges) n_turns_max = std::max(n_turns_max, turns.size());
  const Sessions sessions =
      start_sessions(engine, tokenizer, format, conversations, options, out.arms);
  for (size_t turn = 0; turn < n_turns_max; ++turn) {
    run_turn(engine, sessions, exchanges, turn, options.n_new_max, listener);
    record_turn(engine, *tokenizer, sessions, exchanges, turn, out.arms);
    if (listener.on_turn) listener.on_turn(out.arms, turn);
  }
  close_records(engine, sessions, options, out.arms);
  out.probe = probe_cache(engine, *sessions.front());
  out.memory.cache = engine.memory().cells_live;
  out.memory.activations = engine.memory().compute;
  out.memory.measured_peak = platform::peak_resident_bytes();
  return out;
}

}  // namespace ebb::experiment
