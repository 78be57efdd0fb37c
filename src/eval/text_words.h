// Words in two senses: runs of word characters, which are counted, and the tokens of the Penn
// Treebank convention, in which clitics and punctuation stand alone. English only in its clitics.
#pragma once

#include <cstddef>
#include <vector>

#include "eval/text_unicode.h"

namespace ebb::eval {

// Runs of letters with their marks, digits and '_': the word of Unicode's regular expressions, so
// that a vowel sign does not cut a Hindi word in two.
size_t count_words(TextView text);

// Splits at white space, punctuation, clitics (SHE'S -> SHE 'S) and the contractions of "can not",
// "going to" and the like. A full stop leaves its word only at the end of a sentence.
std::vector<Text> tokenize_words(TextView text);

}  // namespace ebb::eval
