#include "bench/study_work.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "experiment/arm_input.h"
#include "model/chat_template.h"

namespace ebb::bench {
namespace {

constexpr std::array<std::string_view, 32> kWords = {
    "please", "answer", "in",      "short",  "lines",  "and",   "the",  "garden",
    "river",  "after",  "winter",  "people", "always", "carry", "two",  "letters",
    "before", "noon",   "because", "of",     "new",    "rules", "that", "nobody",
    "wrote",  "down",   "when",    "we",     "came",   "to",    "live", "here"};

std::string made_up_text(int n_words, uint64_t& state) {
  std::string text;
  for (int i = 0; i < n_words; ++i) {
    state = state * 6364136223846793005U + 1442695040888963407U;  // Knuth's MMIX generator
    if (i > 0) text += i % 12 == 0 ? ". " : " ";
    text += kWords[(state >> 33U) % kWords.size()];
  }
  return text + ".";
}

std::vector<experiment::Conversation> made_up_conversations(const WorkScale& scale) {
  std::vector<experiment::Conversation> out;
  uint64_t state = 1;
  const auto n_lengths = static_cast<uint64_t>(scale.n_words_max - scale.n_words_min + 1);
  for (int c = 0; c < scale.n_conversations; ++c) {
    experiment::Conversation conversation;
    conversation.id = fmt::format("bench-{}", c);
    for (int t = 0; t < scale.n_turns; ++t) {
      experiment::ConversationTurn turn;
      turn.turn_id = t + 1;
      state = state * 6364136223846793005U + 1442695040888963407U;
      const auto n_more = static_cast<int>((state >> 33U) % n_lengths);
      turn.query = made_up_text(scale.n_words_min + n_more, state);
      conversation.turns.push_back(std::move(turn));
    }
    out.push_back(std::move(conversation));
  }
  return out;
}

StudyWork make_work(const WorkScale& scale, std::vector<WorkArm> arms) {
  StudyWork work;
  work.scale = scale;
  work.arms = std::move(arms);
  work.conversations = made_up_conversations(scale);
  work.study.name = "bench";
  work.study.max_new = scale.n_new;
  work.study.history = experiment::History::kOwn;
  work.study.measures = {.generate = true, .fidelity = false, .recall = false, .n_cache_maps = 0};
  for (const WorkArm& arm : work.arms) {
    experiment::StudyArm out;
    if (arm.is_baseline()) {
      out.name = "baseline";
      out.kind = experiment::StudyArmKind::kBaseline;
    } else {
      out.name = fmt::format("keep-{}-{}", arm.keep_initial, arm.keep_recent);
      out.treatment = "streaming";
      out.settings = {{"keep_initial", std::to_string(arm.keep_initial)},
                      {"keep_recent", std::to_string(arm.keep_recent)}};
    }
    work.study.arms.push_back(std::move(out));
  }
  return work;
}

}  // namespace

double StudyWork::n_reply_tokens(size_t n_conversations) const {
  return static_cast<double>(n_conversations * study.arms.size()) * scale.n_turns * scale.n_new;
}

StudyWork make_contest_work(const WorkScale& scale) {
  return make_work(
      scale, {{}, {4, 64}, {4, 128}, {50, 50}, {100, 100}, {0, 64}, {0, 100}, {0, 128}, {0, 200}});
}

StudyWork make_protocol_work(const WorkScale& scale) {
  StudyWork work = make_work(scale, {{}, {50, 50}});
  experiment::StudyArm random;
  random.name = "random";
  random.treatment = "random";
  random.settings = {{"ratio", "0.5"}};
  work.study.arms.push_back(std::move(random));
  return work;
}

WorkTokens tokens_of(const StudyWork& work,
                     const std::shared_ptr<const model::Tokenizer>& tokenizer) {
  WorkTokens out;
  for (int32_t id = 0; id < tokenizer->n_vocab(); ++id) {
    if (tokenizer->is_end_of_generation(id)) out.end_ids.push_back(id);
  }
  const model::ChatFormat format = model::ChatTemplate::find(*tokenizer).format();
  // Any ordinary token: only an end token would change what comes after it.
  const std::vector<int32_t> reply = tokenizer->encode("a", model::ParseSpecial::kNo);
  for (const experiment::Conversation& conversation : work.conversations) {
    model::ConversationEncoder encoder(tokenizer, format);
    auto& turns = out.prompts.emplace_back();
    size_t n_tokens = 0;
    for (const experiment::Exchange& exchange :
         experiment::exchanges_for(conversation, experiment::StudyArmKind::kBaseline)) {
      turns.push_back(encoder.user_turn(exchange.input).ids);
      out.closing = encoder.closing(reply).ids;
      n_tokens += turns.back().size() + static_cast<size_t>(work.scale.n_new) + out.closing.size();
    }
    out.n_longest = std::max(out.n_longest, n_tokens);
  }
  return out;
}

}  // namespace ebb::bench
