// The same tree as nlohmann's own, in a time that grows with the text; and what is refused.
#include "common/model/dom_builder.hpp"

#include <gtest/gtest.h>

#include <random>

#include "common/model/json.hpp"

namespace lb::wire {
namespace {

using Json = nlohmann::json;

Json built(const std::string& text, DomLimits limits = {100, 100'000'000}) {
  return build_dom(text, limits);
}

Error refused(const std::string& text, DomLimits limits = {100, 100}) {
  try {
    built(text, limits);
  } catch (const Refused& refused) {
    return refused.error;
  }
  ADD_FAILURE() << "not refused";
  return {};
}

Json random_value(std::mt19937& random, int depth) {
  switch (random() % (depth > 4 ? 6 : 8)) {
    case 0:
      return nullptr;
    case 1:
      return random() % 2 == 0;
    case 2:
      return -int64_t(random());
    case 3:
      return uint64_t(random()) << 32;
    case 4:
      return double(random()) / 7;
    case 5:
      return std::string(random() % 5, char('a' + random() % 26));
    case 6: {
      Json out = Json::array();
      for (unsigned i = random() % 5; i > 0; --i) out.push_back(random_value(random, depth + 1));
      return out;
    }
    default: {
      Json out = Json::object();
      for (unsigned i = random() % 5; i > 0; --i) {
        out[std::to_string(i)] = random_value(random, depth + 1);
      }
      return out;
    }
  }
}

TEST(DomBuilder, MakesTheTreeThatNlohmannMakes) {
  const unsigned seed = std::random_device{}();
  std::mt19937 random(seed);
  for (int i = 0; i < 2000; ++i) {
    const std::string text = random_value(random, 0).dump();
    ASSERT_EQ(built(text), Json::parse(text)) << "seed " << seed << ": " << text;
  }
}

// nlohmann's parser with a callback looks at all elements of a list after each: hours for this.
TEST(DomBuilder, ReadsALongListOfObjectsInTimeForItsLength) {
  std::string text = "[";
  for (int i = 0; i < 1'000'000; ++i) text += "{},";
  text.back() = ']';
  EXPECT_EQ(built(text).size(), 1'000'000U);
}

TEST(DomBuilder, RefusesTooManyValuesBeforeTheyAreMade) {
  EXPECT_EQ(built("[1,2,{\"a\":3}]", {3, 5}).size(), 3U);
  EXPECT_EQ(refused("[1,2,{\"a\":3}]", {3, 4}).code, "TooLarge");
}

TEST(DomBuilder, PointsAtWhatIsTooDeep) {
  EXPECT_EQ(built("[[[]]]", {3, 9}).size(), 1U);
  const Error error = refused(R"({"a":[1,{"b":[[]]}]})", {4, 99});
  EXPECT_EQ(error.code, "TooDeep");
  EXPECT_EQ(error.pointer, "/a/1/b/0");
}

TEST(DomBuilder, PointsAtAMemberThatAppearsTwice) {
  const Error error = refused(R"({"a":[{},{"b":{"c":1}},{"d":{"e":[],"e":1}}]})", {9, 99});
  EXPECT_EQ(error.code, "Syntax");
  EXPECT_EQ(error.pointer, "/a/2/d/e");
}

TEST(DomBuilder, SaysWhereTheTextIsAtFault) {
  EXPECT_EQ(refused("[1,\n 2").message, "not valid JSON at line 2, column 3");
  EXPECT_EQ(refused("[1] x").code, "Syntax");
}

TEST(DomBuilder, TellsANumberThatNoDoubleHoldsFromAMistake) {
  EXPECT_EQ(refused("[1e999]").message, "a number is too large to represent");
}

}  // namespace
}  // namespace lb::wire
