// A ratio is the decimal that was written, and its floor is exact.
#include "base/ratio.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>

#include "base/error.h"

namespace ebb {
namespace {

void expect_refused(const std::string& text) {
  try {
    Ratio::parse(text);
    FAIL() << "'" << text << "' was taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    EXPECT_NE(std::string(error.what()).find(text), std::string::npos) << error.what();
  }
}

TEST(Ratio, TwentyNineHundredthsOfAHundredAreTwentyNine) {
  EXPECT_EQ(Ratio::parse("0.29").floor_of(100), 29);
  EXPECT_EQ(Ratio::from_double(0.29).floor_of(100), 29);
}

TEST(Ratio, EveryHundredthOfAHundredIsExact) {
  for (int64_t i = 0; i <= 100; ++i) {
    EXPECT_EQ(Ratio::from_double(static_cast<double>(i) / 100.0).floor_of(100), i);
  }
}

TEST(Ratio, FloorRoundsDown) {
  const Ratio third = Ratio::parse("1/3");
  EXPECT_EQ(third.floor_of(0), 0);
  EXPECT_EQ(third.floor_of(2), 0);
  EXPECT_EQ(third.floor_of(3), 1);
  EXPECT_EQ(third.floor_of(299), 99);
  EXPECT_EQ(third.floor_of(300), 100);
}

TEST(Ratio, FloorDoesNotOverflowForHugeCounts) {
  constexpr int64_t n = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(Ratio::parse("1").floor_of(n), n);
  EXPECT_EQ(Ratio::parse("0.99999999999999999").floor_of(n), n - 93);
}

TEST(Ratio, SpellingsOfOneNumberAreEqualAndTheTextIsKept) {
  for (const char* text : {"0.5", ".5", "5e-1", "0.50", "1/2", "2/4", "50E-2"}) {
    const Ratio ratio = Ratio::parse(text);
    EXPECT_EQ(ratio.numerator(), 1) << text;
    EXPECT_EQ(ratio.denominator(), 2) << text;
    EXPECT_EQ(ratio.text(), text);
    EXPECT_EQ(ratio.to_double(), 0.5) << text;
  }
}

TEST(Ratio, TheEndsOfTheRangeAreRatios) {
  for (const char* text : {"0", "0.0", "0/7", ".0"}) EXPECT_EQ(Ratio::parse(text).floor_of(9), 0);
  for (const char* text : {"1", "1.0", "7/7", "1e0"}) EXPECT_EQ(Ratio::parse(text).floor_of(9), 9);
  EXPECT_EQ(Ratio().floor_of(9), 0);
}

TEST(Ratio, WhatIsNoNumberFromZeroToOneIsRefused) {
  for (const char* text : {"",
                           ".",
                           "-1",
                           "-0.5",
                           "+0.5",
                           "1.01",
                           "2",
                           "1e1",
                           "3/2",
                           "1/0",
                           "1/",
                           "/2",
                           "0.5/1",
                           "nan",
                           "inf",
                           "0,5",
                           "0.5 ",
                           " 0.5",
                           "50%",
                           "1e",
                           "1e-",
                           "0.5.5",
                           "1/2/3",
                           "0x1",
                           "0.1234567890123456789",
                           "1e-19",
                           "1e99999999999"}) {
    expect_refused(text);
  }
}

TEST(Ratio, DoublesOutsideTheRangeAreRefused) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  for (const double value : {kNan, kInfinity, -kInfinity, -1.0, -1e-9, 1.0000001}) {
    EXPECT_THROW(Ratio::from_double(value), Error) << value;
  }
}

TEST(Ratio, ANegativeCountIsAProgrammersError) {
  EXPECT_THROW(Ratio::parse("0.5").floor_of(-1), Error);
}

}  // namespace
}  // namespace ebb
