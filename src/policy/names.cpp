#include "policy/names.h"

#include "policy/treatment_text.h"

namespace ebb::policy {

const NameTable<PositionMode>& position_names() {
  static const NameTable<PositionMode> kNames = {{PositionMode::kOriginal, "original"},
                                                 {PositionMode::kCompact, "compact"},
                                                 {PositionMode::kColliding, "colliding"}};
  return kNames;
}

const NameTable<RatioOf>& ratio_of_names() {
  static const NameTable<RatioOf> kNames = {{RatioOf::kLogical, "logical"},
                                            {RatioOf::kPrompt, "prompt"},
                                            {RatioOf::kTurn, "turn"},
                                            {RatioOf::kLive, "live"}};
  return kNames;
}

const NameTable<ScopeCells>& scope_names() {
  static const NameTable<ScopeCells> kNames = {{ScopeCells::kWhole, "whole"},
                                               {ScopeCells::kNewestTurn, "newest_turn"},
                                               {ScopeCells::kHybrid, "hybrid"}};
  return kNames;
}

const NameTable<ScopeLayers>& layer_scope_names() {
  static const NameTable<ScopeLayers> kNames = {{ScopeLayers::kAll, "all"},
                                                {ScopeLayers::kGlobal, "global"},
                                                {ScopeLayers::kSliding, "sliding"}};
  return kNames;
}

const NameTable<AllocatorKind>& allocator_names() {
  static const NameTable<AllocatorKind> kNames = {
      {AllocatorKind::kUniform, "uniform"},    {AllocatorKind::kLayers, "layers"},
      {AllocatorKind::kPyramid, "pyramid"},    {AllocatorKind::kPyramidKvpress, "pyramid_kvpress"},
      {AllocatorKind::kAdaFloor, "ada_floor"}, {AllocatorKind::kAdaMix, "ada_mix"},
      {AllocatorKind::kGlobal, "global"},      {AllocatorKind::kSpanQuota, "span_quota"},
      {AllocatorKind::kFile, "file"}};
  return kNames;
}

const NameTable<QuotaBy>& quota_names() {
  static const NameTable<QuotaBy> kNames = {
      {QuotaBy::kSpan, "span"}, {QuotaBy::kTurn, "turn"}, {QuotaBy::kRole, "role"}};
  return kNames;
}

const NameTable<Refine>& refine_names() {
  static const NameTable<Refine> kNames = {{Refine::kNone, "none"},
                                           {Refine::kValueNorm, "value_norm"},
                                           {Refine::kValueOutput, "value_output"},
                                           {Refine::kCriticalL1, "critical_l1"},
                                           {Refine::kCriticalL2, "critical_l2"}};
  return kNames;
}

const NameTable<Observe>& observe_names() {
  static const NameTable<Observe> kNames = {{Observe::kLastReplyTokens, "last_reply_tokens"},
                                            {Observe::kLastUserTokens, "last_user_tokens"},
                                            {Observe::kRawTail, "raw_tail"}};
  return kNames;
}

const NameTable<Role>& role_names() {
  static const NameTable<Role> kNames = {
      {Role::kTemplate, "template"}, {Role::kSystem, "system"}, {Role::kInstruction, "instruction"},
      {Role::kContent, "content"},   {Role::kQuery, "query"},   {Role::kReply, "reply"}};
  return kNames;
}

std::string to_text(EventKind kind) {
  switch (kind) {
    case EventKind::kPromptEnd:
      return "prompt_end";
    case EventKind::kTurnEnd:
      return "turn_end";
    case EventKind::kEveryN:
      return "every_n";
    case EventKind::kCap:
      return "cap";
    case EventKind::kPromptBlock:
      return "prompt_block";
  }
  return "";
}

std::string to_text(PositionMode mode) { return name_of(position_names(), mode); }
std::string to_text(Role role) { return name_of(role_names(), role); }

}  // namespace ebb::policy
