// libllama's side of the whole-study contest, as good as its interface allows: sequences advance in
// one batch, prompts and first turns are computed once and given to the arms with
// llama_memory_seq_cp, and cells go with llama_memory_seq_rm. What stays keeps its position, as in
// ebb's default mode: llama_memory_seq_add would turn the shared keys of all arms, and is more
// work.
#pragma once

#include <memory>
#include <vector>

#include "bench/libllama_peer.h"
#include "bench/study_work.h"

namespace ebb::bench {

struct PeerWay {
  FlashAttention flash_attention = FlashAttention::kOff;
  PeerCells cells = PeerCells::kOnePool;
  int n_conversations_at_once = 2;  // all arms of each in one batch; 0 = one arm after another
};

class PeerStudy {
 public:
  // `work` and `tokens` are borrowed.
  PeerStudy(std::shared_ptr<const PeerModel> model, const StudyWork& work, const WorkTokens& tokens,
            int n_threads, const PeerWay& way);

  // The first n conversations, every arm.
  void run(size_t n_conversations);

 private:
  struct Lane {
    int sequence = 0;
    size_t conversation = 0;
    const WorkArm* arm = nullptr;
    size_t turn = 0;
    int32_t next_id = 0;
  };

  void run_one_by_one(size_t n_conversations);
  // The first turn of each conversation, as saved bytes.
  void run_first_turns(size_t n_conversations);
  void run_group(size_t first, size_t n_conversations);
  // A turn of every lane with its eviction.
  void play_turn(std::vector<Lane>& lanes);
  void append(std::vector<Lane>& lanes, const std::vector<PeerItem>& items);
  void end_turn(Lane& lane);

  const StudyWork& work_;
  const WorkTokens& tokens_;
  PeerWay way_;
  LibllamaPeer peer_;
  std::vector<std::vector<uint8_t>> first_turns_;  // [conversation]
};

}  // namespace ebb::bench
