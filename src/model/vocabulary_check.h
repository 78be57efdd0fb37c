// Checks a file's vocabulary before libllama sees it: libllama ends the process on some damaged
// ones. Tokenising itself is in tokenizer.h.
#pragma once

#include "model/gguf_file.h"

namespace ebb::model {

// Throws: kBadModel for token lists of another type or length, equal or empty tokens, special ids
// outside the vocabulary, missing byte tokens, malformed merges.  Returns: the number of tokens.
// Cost: linear in the vocabulary, apart from one sort of hashes.
int check_vocabulary(const GgufFile& file);

}  // namespace ebb::model
