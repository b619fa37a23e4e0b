// Names that services may ask for, and what of an address and port a match takes.
#include "common/model/match.hpp"

#include <gmock/gmock.h>

#include "common/model/state_json.hpp"

namespace lb {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Cidr range(const char* text) { return Cidr::parse(text).value(); }

TEST(ServerName, IsLowerCaseWhateverWasWritten) {
  EXPECT_EQ(parse_server_name("Shop.Example.COM").value(), "shop.example.com");
}

TEST(ServerName, MayStandForAllThatEndInIt) {
  EXPECT_EQ(parse_server_name("*.example.com").value(), "*.example.com");
}

TEST(ServerName, MayHaveOneLabelOnly) { EXPECT_TRUE(parse_server_name("localhost").ok()); }

TEST(ServerName, IsNoAddress) {
  EXPECT_FALSE(parse_server_name("192.0.2.1").ok());
  EXPECT_FALSE(parse_server_name("2001:db8::1").ok());
}

TEST(ServerName, IsRefusedWithWhatWasWritten) {
  const auto refused = parse_server_name("a..b");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, "InvalidName");
  EXPECT_THAT(refused.error().message, HasSubstr("'a..b'"));
}

TEST(ServerName, HasNoLabelThatIsEmptyOrTooLongOrBeginsWithAHyphen) {
  for (const std::string text :
       {"", ".", "a.", ".a", "*", "*.", "*.*.a", "a.*.b", "-a.b", "a-.b", "a b", "a/b", "a\nb"}) {
    EXPECT_FALSE(parse_server_name(text).ok()) << text;
  }
  EXPECT_TRUE(parse_server_name(std::string(63, 'a') + ".b").ok());
  EXPECT_FALSE(parse_server_name(std::string(64, 'a') + ".b").ok());
}

TEST(ServerName, HasAtMost253Bytes) {
  std::string name = "a";
  while (name.size() + 2 <= 253) name += ".a";
  EXPECT_TRUE(parse_server_name(name).ok()) << name.size();
  EXPECT_FALSE(parse_server_name(name + ".a").ok());
}

TEST(Match, WithoutAnythingTakesAllThatIsLeft) {
  EXPECT_THAT(atoms_of({}), ElementsAre(MatchAtom{"", ""}));
}

TEST(Match, TakesEachNameFromEachRange) {
  EXPECT_THAT(atoms_of({{"a.test", "b.test"}, {range("10.0.0.0/8"), range("192.0.2.1")}}),
              ElementsAre(MatchAtom{"a.test", "10.0.0.0/8"}, MatchAtom{"a.test", "192.0.2.1/32"},
                          MatchAtom{"b.test", "10.0.0.0/8"}, MatchAtom{"b.test", "192.0.2.1/32"}));
}

TEST(Match, SaysWhatItTakes) {
  EXPECT_EQ(describe({"a.test", "10.0.0.0/8"}), "a.test from 10.0.0.0/8");
  EXPECT_EQ(describe({"", ""}), "all that no name takes");
}

std::string state_with(const std::string& match) {
  return R"({"schema":"empalme.io/v1","epoch":1,"generation":1,"services":[{"key":"a",
             "addresses":["192.0.2.1"],"ports":[{"port":443,"match":)" +
         match + "}]}]}";
}

TEST(Match, IsReadWithItsNamesInLowerCase) {
  const auto state = decode_state(state_with(R"({"names":["B.test","a.test"]})"));
  ASSERT_TRUE(state.ok()) << state.error().message;
  EXPECT_THAT(state->services[0].ports[0].match.names, ElementsAre("a.test", "b.test"));
}

TEST(Match, IsRefusedAtTheNameThatIsNone) {
  const auto state = decode_state(state_with(R"({"names":["a.test","a b"]})"));
  ASSERT_FALSE(state.ok());
  EXPECT_EQ(state.error().pointer, "/services/0/ports/0/match/names/1");
}

TEST(Match, IsRefusedWhereItSaysSomethingTwice) {
  EXPECT_FALSE(decode_state(state_with(R"({"names":["a.test","A.test"]})")).ok());
  EXPECT_FALSE(decode_state(state_with(R"({"sources":["10.0.0.0/8","10.1.2.3/8"]})")).ok());
}

TEST(Match, IsRefusedWithMoreNamesThanThereMayBe) {
  const auto names = [](size_t count) {
    std::string out = R"({"names":[)";
    for (size_t i = 0; i < count; ++i) out += (i == 0 ? "\"n" : ",\"n") + std::to_string(i) + '"';
    return state_with(out + "]}");
  };
  EXPECT_TRUE(decode_state(names(kMaxMatchAtoms)).ok());
  EXPECT_FALSE(decode_state(names(kMaxMatchAtoms + 1)).ok());
}

TEST(Match, IsBoundedByNamesTimesSources) {
  Match match;
  for (size_t i = 0; i < 64; ++i) match.names.push_back("n" + std::to_string(i));
  for (uint32_t i = 0; i < 64; ++i) match.sources.push_back({IpAddress::v4(i << 8), 24});
  EXPECT_TRUE(check_size(match).ok());
  match.names.push_back("one-more");
  EXPECT_FALSE(check_size(match).ok());
}

TEST(Match, HasAtMost256Sources) {
  Match match;
  for (uint32_t i = 0; i < kMaxMatchSources; ++i) match.sources.push_back({IpAddress::v4(i), 32});
  EXPECT_TRUE(check_size(match).ok());
  match.sources.push_back({IpAddress::v4(1u << 30), 32});
  EXPECT_FALSE(check_size(match).ok());
}

}  // namespace
}  // namespace lb
