#include "bench/study_peer.h"

#include <algorithm>

#include "base/error.h"

namespace ebb::bench {
namespace {

constexpr int kFirstTurnsAtOnce = 32;

int n_sequences_of(const PeerWay& way, const StudyWork& work) {
  if (way.n_conversations_at_once == 0) return 1;
  const int n_first = std::min(kFirstTurnsAtOnce, static_cast<int>(work.conversations.size()));
  return std::max(n_first, way.n_conversations_at_once * static_cast<int>(work.arms.size()));
}

PeerOptions peer_options(const PeerWay& way, const StudyWork& work, const WorkTokens& tokens,
                         int n_threads) {
  const int n_sequences = n_sequences_of(way, work);
  // libllama rounds each sequence's cells up to 256.
  const auto n_cells = static_cast<int>((tokens.n_longest + 255) / 256 * 256);
  return {.n_threads = n_threads,
          .flash_attention = way.flash_attention,
          .n_ctx = n_cells * n_sequences,
          .n_sequences = n_sequences,
          .cells = way.cells,
          .n_logit_rows_max = n_sequences};
}

int32_t pick(std::span<float> logits, const std::vector<int32_t>& end_ids) {
  for (const int32_t id : end_ids) logits[static_cast<size_t>(id)] = -1e30F;
  return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

}  // namespace

PeerStudy::PeerStudy(std::shared_ptr<const PeerModel> model, const StudyWork& work,
                     const WorkTokens& tokens, int n_threads, const PeerWay& way)
    : work_(work),
      tokens_(tokens),
      way_(way),
      peer_(std::move(model), peer_options(way, work, tokens, n_threads)) {}

void PeerStudy::append(std::vector<Lane>& lanes, const std::vector<PeerItem>& items) {
  peer_.append_items(items, [&](size_t i, std::span<float> logits) {
    lanes[i].next_id = pick(logits, tokens_.end_ids);
  });
}

void PeerStudy::play_turn(std::vector<Lane>& lanes) {
  std::vector<PeerItem> items;
  for (const Lane& lane : lanes) {
    items.push_back({lane.sequence, tokens_.prompts[lane.conversation][lane.turn]});
  }
  append(lanes, items);
  std::vector<int32_t> ids(lanes.size());
  for (int n = 1; n < work_.scale.n_new; ++n) {
    for (size_t i = 0; i < lanes.size(); ++i) {
      ids[i] = lanes[i].next_id;
      items[i].ids = std::span(ids).subspan(i, 1);
    }
    append(lanes, items);
  }
  // The last token and what the chat format puts behind a reply.
  std::vector<std::vector<int32_t>> ends;
  for (const Lane& lane : lanes) {
    auto& end = ends.emplace_back(1, lane.next_id);
    end.insert(end.end(), tokens_.closing.begin(), tokens_.closing.end());
  }
  for (size_t i = 0; i < lanes.size(); ++i) items[i].ids = ends[i];
  append(lanes, items);
  for (Lane& lane : lanes) end_turn(lane);
}

void PeerStudy::end_turn(Lane& lane) {
  ++lane.turn;
  if (lane.arm->is_baseline()) return;
  peer_.evict(lane.sequence, lane.arm->keep_initial,
              peer_.n_tokens(lane.sequence) - lane.arm->keep_recent);
}

void PeerStudy::run_first_turns(size_t n_conversations) {
  first_turns_.clear();
  for (size_t first = 0; first < n_conversations; first += kFirstTurnsAtOnce) {
    peer_.clear();
    std::vector<Lane> lanes;
    for (size_t i = first; i < std::min(n_conversations, first + kFirstTurnsAtOnce); ++i) {
      lanes.push_back({static_cast<int>(i - first), i, work_.arms.data(), 0, 0});
    }
    play_turn(lanes);
    for (const Lane& lane : lanes) first_turns_.push_back(peer_.save(lane.sequence));
  }
}

void PeerStudy::run_group(size_t first, size_t n_conversations) {
  peer_.clear();
  std::vector<Lane> lanes;
  const auto n_arms = static_cast<int>(work_.arms.size());
  for (size_t i = 0; i < n_conversations; ++i) {
    const int base = static_cast<int>(i) * n_arms;
    peer_.restore(base, first_turns_[first + i]);
    for (int a = 0; a < n_arms; ++a) {
      if (a > 0) peer_.share(base, base + a);
      lanes.push_back({base + a, first + i, &work_.arms[static_cast<size_t>(a)], 0, 0});
    }
  }
  for (Lane& lane : lanes) end_turn(lane);
  for (int t = 1; t < work_.scale.n_turns; ++t) play_turn(lanes);
}

void PeerStudy::run_one_by_one(size_t n_conversations) {
  for (size_t c = 0; c < n_conversations; ++c) {
    for (const WorkArm& arm : work_.arms) {
      peer_.clear();
      std::vector<Lane> lanes = {{0, c, &arm, 0, 0}};
      for (int t = 0; t < work_.scale.n_turns; ++t) play_turn(lanes);
    }
  }
}

void PeerStudy::run(size_t n_conversations) {
  if (way_.n_conversations_at_once == 0) {
    run_one_by_one(n_conversations);
    return;
  }
  EBB_CHECK(work_.arms.front().is_baseline());
  run_first_turns(n_conversations);
  const auto n_at_once = static_cast<size_t>(way_.n_conversations_at_once);
  for (size_t first = 0; first < n_conversations; first += n_at_once) {
    run_group(first, std::min(n_at_once, n_conversations - first));
  }
}

}  // namespace ebb::bench
