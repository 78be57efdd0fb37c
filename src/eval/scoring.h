// From finished units to scores: which instructions a reply obeyed, and one number a unit and
// endpoint. Runs no model and asks no judge; judge answers come in as values.
//
// Endpoints of a unit; one is absent where nothing can be said, and never guessed:
//   rules          share of passing rules of an active instruction, strict; mean over the active
//                  instructions with rules, then over the scored turns
//   rules_loose    the same, loose
//   judge          the same from the judge; absent while any of its answers is pending
//   combined       rule where there is one, else judge; weighted where there are both. Absent
//                  while an active instruction has neither
//   perseveration  the share that outdated instructions are still obeyed: by rule, else by judge
//   recall         mean over the probes of instructions active in the conversation's last turn (all
//                  probes where none is active) of the log-likelihood per token
//   retention      (recall - R0) / (R1 - R0), R1 of the baseline, R0 of the arm that never got the
//                  instructions, same conversation and seed (else the mean over seeds); absent
//                  where R1 - R0 is at most kMinRecallGain
//   kl, top1, delta_loglik   means weighted by tokens over the turns measured against the baseline
//                  after the first loss of a cell; a unit that lost none has none of them, so that
//                  perfect values of arms without eviction never enter a mean
#pragma once

#include <span>

#include "eval/judge_answers.h"
#include "record/score_records.h"
#include "record/study_records.h"

namespace ebb::eval {

// Nats per token. Below it the instruction is as likely unseen as seen, and a ratio is noise.
inline constexpr double kMinRecallGain = 0.05;

// judge: null where none ran.
// Throws: kBadData for a rule that does not parse (with conversation, instruction and rule), a unit
// of an unknown conversation, and whatever scored_turns refuses; kUsage for weights of the combined
// score that are negative or both 0.
record::StudyScores score_units(const record::StudyInfo& study,
                                std::span<const record::ConversationText> conversations,
                                std::span<const record::UnitRecord> units,
                                const JudgeAnswers* judge);

// What a combined score would ask the judge for: an instruction without rules always, others only
// where the study gives the judge a weight.
bool needs_judge(const record::StudyInfo& study, const record::InstructionText& instruction);

}  // namespace ebb::eval
