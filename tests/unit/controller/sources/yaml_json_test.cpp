#include "controller/sources/yaml_json.hpp"
#include "common/model/json.hpp"

#include <gtest/gtest.h>

namespace lb::sources {
namespace {

using Json = nlohmann::json;

Json read(std::string_view text) {
  Json value;
  PositionMap positions;
  const auto status = parse_yaml(text, value, positions);
  EXPECT_TRUE(status.ok()) << status.error().message;
  return value;
}

std::string complaint(std::string_view text) {
  Json value;
  PositionMap positions;
  const auto status = parse_yaml(text, value, positions);
  EXPECT_FALSE(status.ok()) << value;
  return status.ok() ? "" : status.error().message;
}

TEST(ParseYaml, TypesPlainScalarsAndKeepsQuotedOnesText) {
  EXPECT_EQ(read("[1, -2, true, null, ~, '1', \"true\", 1.5, 10.0.0.1:80]"),
            Json::parse(R"([1, -2, true, null, null, "1", "true", "1.5", "10.0.0.1:80"])"));
}

TEST(ParseYaml, ReadsJson) {
  EXPECT_EQ(read(R"({"a": [1, {"b": "c"}]})"), Json::parse(R"({"a":[1,{"b":"c"}]})"));
}

TEST(ParseYaml, TakesAnEmptyFileAsNull) { EXPECT_TRUE(read("# nothing\n").is_null()); }

TEST(ParseYaml, RemembersWhereThingsStood) {
  Json value;
  PositionMap positions;
  ASSERT_TRUE(parse_yaml("a:\n  - b: 1\n    c: 2\n", value, positions).ok());
  EXPECT_EQ(positions.find("/a/0/c"), (Position{3, 5}));
  EXPECT_EQ(positions.find("/a/0/c/missing"), (Position{3, 5}));
}

TEST(ParseYaml, NamesLineAndColumnOfASyntaxError) {
  EXPECT_NE(complaint("a: 1\nb: [1,\n").find("at line 3, column 1"), std::string::npos);
}

TEST(ParseYaml, RefusesTheSameKeyTwice) {
  EXPECT_EQ(complaint("a: 1\nb: 2\na: 3\n"), "appears twice at line 3, column 1");
}

TEST(ParseYaml, RefusesASecondDocument) {
  EXPECT_NE(complaint("a: 1\n---\nb: 2\n").find("second document"), std::string::npos);
}

TEST(ParseYaml, RefusesAStrayCharacterAtTheTopAndEnds) {
  for (const char* text : {",a: [1]", ",", "a: 1\n---\n,b", "? a\n,"}) {
    EXPECT_NE(complaint(text).find(" at line "), std::string::npos) << text;
  }
}

TEST(ParseYaml, RefusesKeysThatAreNotWords) {
  EXPECT_NE(complaint("? [1, 2]\n: 3\n").find("a key must be a word"), std::string::npos);
}

TEST(ParseYaml, RefusesDepth) {
  EXPECT_NE(complaint(std::string(40, '[') + std::string(40, ']')).find("nested too deep"),
            std::string::npos);
}

TEST(ParseYaml, SurvivesDepthThatWouldExhaustTheStack) {
  EXPECT_FALSE(complaint(std::string(100'000, '[')).empty());
}

TEST(ParseYaml, RefusesAliasesThatMultiply) {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 9; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int k = 0; k < 10; ++k) bomb += (k > 0 ? ", " : "") + before;
    bomb += "]\n";
  }
  EXPECT_NE(complaint(bomb).find("too many values"), std::string::npos);
}

}  // namespace
}  // namespace lb::sources
