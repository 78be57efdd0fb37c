// Public conversation sets, read by path: IFEval and files made like it (sys_ifeval, IFBench),
// Multi-IF, MT-Bench and MultiChallenge. Nothing of these sets is part of the project. Rules that
// ebb does not know are left out with a notice that counts them, never silently; their parameters
// are checked where replies are scored.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "experiment/conversation.h"

namespace ebb::experiment {

enum class ConversationFormat {
  kPlan,            // conversation.h
  kIfEval,          // JSONL: key, prompt, instruction_id_list, kwargs, optional messages
  kMtBench,         // JSONL: question_id, category, turns
  kMultiChallenge,  // JSONL: QUESTION_ID, AXIS, CONVERSATION, TARGET_QUESTION, PASS_CRITERIA
  kMultiIf,  // CSV: key, turn_1_prompt, turn_1_instruction_id_list, turn_1_kwargs, turn_2_...
};

// From the text's first row.  Throws: kBadData where it is none of them.
ConversationFormat detect_format(std::string_view text, const std::string& where);

// Throws: kBadData with file and line, what was found and what was expected.
ConversationSet import_conversations(std::string_view text, ConversationFormat format,
                                     const std::string& where);

// "plan", "ifeval", "mt-bench", "multichallenge", "multi-if".
std::string_view format_name(ConversationFormat format);
// Throws: kUsage with the known names.
ConversationFormat parse_format(std::string_view name);

// The rules of IFEval that ebb knows; other ids of a row get a notice.
const std::vector<std::string>& importable_rules();

}  // namespace ebb::experiment
