#include "controller/sources/interpolate.hpp"

#include <gmock/gmock.h>

#include <cstdlib>

namespace lb::sources {
namespace {

using testing::HasSubstr;

std::optional<std::string> environment(const std::string& name) {
  if (name == "PORT") return "8080";
  if (name == "EMPTY") return "";
  if (name == "NESTED") return "${PORT}";
  return std::nullopt;
}

std::string text_of(const std::string& text) {
  const auto out = interpolate(text, environment);
  return out ? *out : "refused: " + out.error().message;
}

TEST(Interpolate, PutsValuesWhereTheirNamesStand) {
  EXPECT_EQ(text_of("127.0.0.1:${PORT}"), "127.0.0.1:8080");
  EXPECT_EQ(text_of("${PORT}${PORT}"), "80808080");
  EXPECT_EQ(text_of("a${EMPTY}b"), "ab");
}

TEST(Interpolate, ADefaultStandsForWhatIsNotSetOrEmpty) {
  EXPECT_EQ(text_of("${ABSENT:-80}"), "80");
  EXPECT_EQ(text_of("${EMPTY:-80}"), "80");
  EXPECT_EQ(text_of("${PORT:-80}"), "8080");
  EXPECT_EQ(text_of("${ABSENT:-}"), "");
  EXPECT_EQ(text_of("${ABSENT:-10.0.0.0/8,::/0}"), "10.0.0.0/8,::/0");
}

TEST(Interpolate, RefusesANameThatIsNotSet) {
  EXPECT_THAT(text_of("x${ABSENT}"), HasSubstr("the variable ABSENT is not set"));
}

TEST(Interpolate, RefusesWhatIsNoName) {
  for (const char* text : {"${}", "${1A}", "${A B}", "${A-b}", "${:-x}"}) {
    EXPECT_THAT(text_of(text), HasSubstr("names no variable")) << text;
  }
  EXPECT_THAT(text_of("${PORT"), HasSubstr("without its '}'"));
}

TEST(Interpolate, ADollarElsewhereStandsForItself) {
  EXPECT_EQ(text_of("$PORT costs $5 $"), "$PORT costs $5 $");
  EXPECT_EQ(text_of("$${PORT}"), "${PORT}");
  EXPECT_EQ(text_of("${PORT}$${PORT}"), "8080${PORT}");
}

TEST(Interpolate, WhatIsPutInIsNotLookedAtAgain) { EXPECT_EQ(text_of("${NESTED}"), "${PORT}"); }

TEST(Interpolate, TheProcesssOwnEnvironmentIsAsked) {
  ASSERT_EQ(setenv("EMPALME_TEST_VALUE", "7", 1), 0);
  EXPECT_EQ(from_process("EMPALME_TEST_VALUE"), "7");
  ASSERT_EQ(unsetenv("EMPALME_TEST_VALUE"), 0);
  EXPECT_EQ(from_process("EMPALME_TEST_VALUE"), std::nullopt);
}

}  // namespace
}  // namespace lb::sources
