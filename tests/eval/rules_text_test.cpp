// The text helpers under the rules, on small examples.
#include <gtest/gtest.h>

#include "eval/text_json.h"
#include "eval/text_language.h"
#include "eval/text_pattern.h"
#include "eval/text_sentences.h"
#include "eval/text_words.h"

namespace ebb::eval {
namespace {

size_t count_sentences(TextView text) { return split_sentences(text).size(); }

TEST(Sentences, EndAtStopsButNotAfterAbbreviationsAndInitials) {
  EXPECT_EQ(count_sentences(U"It rained. We left! Why?"), 3U);
  EXPECT_EQ(count_sentences(U"Mr. J. Hale paid $4.50 at 9 a.m. on Monday."), 1U);
  EXPECT_EQ(count_sentences(U"She works for the U.N. They sent her to Peru."), 2U);
  EXPECT_EQ(count_sentences(U"On 3. floors we met."), 1U);
  EXPECT_EQ(count_sentences(U""), 0U);
}

TEST(Sentences, KeepClosingQuotesWithWhatTheyClose) {
  const auto sentences = split_sentences(U"“Not far.” (Really.) Yes.");
  ASSERT_EQ(sentences.size(), 3U);
  EXPECT_EQ(sentences[0], U"“Not far.”");
  EXPECT_EQ(sentences[1], U"(Really.)");
}

TEST(Sentences, EndInsideARunOfMarksThatStandsAlone) {
  EXPECT_EQ(count_sentences(U"Really?! Yes."), 2U);
  EXPECT_EQ(count_sentences(U"Use !?!?. Then go."), 3U);
}

TEST(Words, AreRunsOfLettersWithTheirMarks) {
  EXPECT_EQ(count_words(U"co-op, a_b 3.5 l'été"), 7U);
  EXPECT_EQ(count_words(U"रोटी खरीदेंगे"), 2U);
}

TEST(Words, SplitOffCliticsAndPunctuation) {
  const std::vector<Text> expected = {U"WE", U"CA", U"N'T", U"GO", U"--", U"CAN", U"NOT", U"!"};
  EXPECT_EQ(tokenize_words(U"WE CAN'T GO--CANNOT!"), expected);
  const std::vector<Text> at_end = {U"HERE", U"IT", U"'S", U"."};
  EXPECT_EQ(tokenize_words(U"HERE IT'S."), at_end);
}

TEST(Patterns, HavePythonsMeaning) {
  const auto count = [](TextView pattern, TextView text) {
    return Pattern(pattern, CaseRule::kIgnore).count_in(text);
  };
  EXPECT_EQ(count(U"\\bart\\b", U"Art, party, ART"), 2U);
  EXPECT_EQ(count(U"{x}", U"a {x}"), 1U);
  EXPECT_EQ(count(U"a{2}", U"aaaa"), 2U);
  EXPECT_EQ(count(U"[[]", U"[["), 2U);
  EXPECT_EQ(count(U"ss", U"ß ſS"), 1U);  // one to one: a sharp s is no double s
  EXPECT_EQ(count(U"ı", U"I i ı"), 3U);
  EXPECT_EQ(count(U"(?P<q>a)(?P=q)", U"aA"), 1U);
  EXPECT_EQ(count(U"x\\Z", U"x\nx"), 1U);
  EXPECT_EQ(count(U"\\W", U"a-b"), 1U);
}

TEST(Case, FollowsUnicode) {
  EXPECT_EQ(to_lower(U"ΤΕΛΟΣ İ"), U"τελος i̇");
  EXPECT_TRUE(is_all_upper(U"ÉCOLE 日本 7"));
  EXPECT_FALSE(is_all_upper(U"7"));
  EXPECT_FALSE(is_all_upper(U"ǅ"));
}

TEST(Unicode, DecodesMalformedBytesOneByOne) {
  EXPECT_EQ(decode_utf8("a\xff\xc3(é"), U"a\uFFFD\uFFFD(é");
  EXPECT_EQ(encode_utf8(U"aé€😀"), "aé€😀");
}

TEST(Json, TakesWhatPythonTakes) {
  for (const TextView good : {TextView(U"[1, -2.5e3, {\"a\": []}]"), TextView(U" NaN "),
                              TextView(U"\"\\ud800\""), TextView(U"1e999")}) {
    EXPECT_TRUE(is_json(good)) << encode_utf8(good);
  }
  for (const TextView bad :
       {TextView(U""), TextView(U"[1,]"), TextView(U"01"), TextView(U"{\"a\"}"), TextView(U"[1] 2"),
        TextView(U"\"a\nb\""), TextView(U"[}")}) {
    EXPECT_FALSE(is_json(bad)) << encode_utf8(bad);
  }
  EXPECT_FALSE(is_json(Text(200000, U'[')));
}

TEST(Language, IsToldFromASentence) {
  EXPECT_EQ(detect_language(U"The garden was quiet after the rain."), "en");
  EXPECT_EQ(detect_language(U"THE GARDEN WAS QUIET AFTER THE RAIN."), "en");
  EXPECT_EQ(detect_language(U"Der Garten war nach dem Regen still."), "de");
  EXPECT_EQ(detect_language(U"今天早上花园很安静，我们去市场买面包。"), "zh-cn");
  EXPECT_EQ(detect_language(U"אחותי שותה תה וקוראת ספר"), "he");
  EXPECT_EQ(detect_language(U"12 + 3 https://example.org a@example.org"), std::nullopt);
}

TEST(Language, OfAForeignTextInCapitalsIsNotEnglish) {
  EXPECT_EQ(detect_language(U"DER GARTEN WAR NACH DEM REGEN STILL UND KEINER KAM ZUM TOR."), "de");
}

}  // namespace
}  // namespace ebb::eval
