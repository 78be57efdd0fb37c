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

}  // namespace
}  // namespace ebb
