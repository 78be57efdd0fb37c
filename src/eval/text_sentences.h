// Splits English text into sentences by the decision procedure of Kiss and Strunk, "Unsupervised
// Multilingual Sentence Boundary Detection" (Computational Linguistics 32:4, 2006), section 4, with
// short word lists of our own instead of trained ones. Other languages work as far as they end
// sentences with . ? or !.
#pragma once

#include <vector>

#include "eval/text_unicode.h"

namespace ebb::eval {

// Sentences in order, without the white space between them. Blank text has none.
std::vector<TextView> split_sentences(TextView text);

// What the word lists know about a lower-case word; see text_sentences_words.cpp.
bool is_abbreviation(TextView word);      // "mr", "u.s": its full stop does not end a sentence
bool is_sentence_starter(TextView word);  // begins sentences far more often than chance
bool is_common_word(TextView word);       // an ordinary word, written small inside a sentence
bool is_also_a_name(TextView word);       // common, but seen with a capital inside sentences too

}  // namespace ebb::eval
