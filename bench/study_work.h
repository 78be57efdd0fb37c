// The study that both engines run in the whole-study contest: made-up conversations, and arms that
// llama.cpp can do as well. Every reply has the same length, so that both do the same work.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "experiment/study.h"
#include "model/model.h"
#include "model/tokenizer.h"

namespace ebb::bench {

struct WorkScale {
  int n_conversations = 20;
  int n_turns = 3;
  int n_new = 100;
  int n_words_min = 45;  // of a user's turn; a word is a token and a third
  int n_words_max = 150;
};

// What is kept at the end of each turn. The baseline keeps everything.
struct WorkArm {
  int keep_initial = 0;
  int keep_recent = 0;
  bool is_baseline() const { return keep_recent == 0; }
};

struct StudyWork {
  experiment::Study study;
  std::vector<WorkArm> arms;  // [study.arms]
  std::vector<experiment::Conversation> conversations;
  WorkScale scale;

  // Reply tokens that a run of the first n conversations delivers, however they are computed.
  double n_reply_tokens(size_t n_conversations) const;
};

// The baseline, four sizes of streaming and four windows.
StudyWork make_contest_work(const WorkScale& scale);
// The baseline, streaming and random eviction: what is validated first.
StudyWork make_protocol_work(const WorkScale& scale);

// The tokens of the work, for engines that know no chat format.
struct WorkTokens {
  std::vector<std::vector<std::vector<int32_t>>> prompts;  // [conversation][turn]
  std::vector<int32_t> closing;                            // behind every reply
  std::vector<int32_t> end_ids;  // never picked: a reply goes on to its full length
  size_t n_longest = 0;          // of a conversation, replies included
};
WorkTokens tokens_of(const StudyWork& work,
                     const std::shared_ptr<const model::Tokenizer>& tokenizer);

}  // namespace ebb::bench
