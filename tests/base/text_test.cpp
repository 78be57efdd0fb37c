// Edit distance and the nearest name for "did you mean".
#include "base/text.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace ebb {
namespace {

const std::vector<std::string> kPolicies = {"full", "random", "streaming", "snapkv", "keydiff"};

TEST(EditDistance, CountsInsertionsDeletionsAndSubstitutions) {
  EXPECT_EQ(edit_distance("", ""), 0U);
  EXPECT_EQ(edit_distance("", "abc"), 3U);
  EXPECT_EQ(edit_distance("abc", ""), 3U);
  EXPECT_EQ(edit_distance("abc", "abc"), 0U);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
  EXPECT_EQ(edit_distance("ab", "ba"), 2U);
}

TEST(NearestName, FindsATypingError) {
  EXPECT_EQ(nearest_name("streming", kPolicies), "streaming");
  EXPECT_EQ(nearest_name("snapvk", kPolicies), "snapkv");
}

TEST(NearestName, OffersNothingForAnotherWord) {
  EXPECT_EQ(nearest_name("temperature", kPolicies), "");
  EXPECT_EQ(nearest_name("x", {}), "");
}

TEST(NearestName, AThirdOfTheLettersMayBeWrongAndNoMore) {
  const std::vector<std::string> known = {"abcdefghijkl"};
  EXPECT_EQ(nearest_name("ABCDefghijkl", known), "abcdefghijkl");
  EXPECT_EQ(nearest_name("ABCDEfghijkl", known), "");
}

TEST(NearestName, TheFirstOfEquallyNearNamesWins) {
  const std::vector<std::string> known = {"bat", "cat"};
  EXPECT_EQ(nearest_name("rat", known), "bat");
}

TEST(DidYouMean, IsReadyToAppendToAMessage) {
  EXPECT_EQ(did_you_mean("ful", kPolicies), " (did you mean 'full'?)");
  EXPECT_EQ(did_you_mean("temperature", kPolicies), "");
}

TEST(ReadableUtf8, LeavesCharactersAsTheyAre) {
  const std::string text = "a\u00FC\u6F22\U0001F600\uFFFD\uD7FF\U0010FFFF\n";
  EXPECT_EQ(readable_utf8(text), text);
  EXPECT_EQ(well_formed_bytes(text), text.size());
  EXPECT_EQ(readable_utf8(""), "");
}

TEST(ReadableUtf8, EveryOtherByteBecomesOneReplacement) {
  const std::string mark = "\uFFFD";
  const std::vector<std::string> malformed = {"\x80",              // goes on from nothing
                                              "\xC0\xAF",          // overlong /
                                              "\xE0\x9F\xBF",      // overlong
                                              "\xED\xA0\x80",      // a surrogate
                                              "\xF0\x8F\xBF\xBF",  // overlong
                                              "\xF4\x90\x80\x80",  // above 10FFFF
                                              "\xF5\x80\x80\x80",  // no such first byte
                                              "\xF0\x9F\x98",      // cut
                                              "\xFF"};
  for (const std::string& bytes : malformed) {
    std::string marks;
    for (size_t i = 0; i < bytes.size(); ++i) marks += mark;
    EXPECT_EQ(readable_utf8("a" + bytes + "b"), "a" + marks + "b");
    EXPECT_EQ(well_formed_bytes("a" + bytes), 1U);
  }
  EXPECT_EQ(readable_utf8(std::string(1, '\0')), mark);
  EXPECT_EQ(readable_utf8("\xE6(\xBC"), mark + "(" + mark);
}

}  // namespace
}  // namespace ebb
