// For whom a connection is: by name, then by where it comes from.
#include "dataplane/balance/route_table.hpp"

#include <gtest/gtest.h>

#include <random>

#include "tests/support/seed.hpp"

namespace lb::balance {
namespace {

using Route = std::optional<size_t>;

IpAddress ip(const char* text) { return IpAddress::parse(text).value(); }
Cidr range(const char* text) { return Cidr::parse(text).value(); }
Match named(std::vector<std::string> names) { return {std::move(names), {}}; }
Match from(std::vector<Cidr> sources) { return {{}, std::move(sources)}; }

const auto kClient = IpAddress::parse("192.0.2.1").value();

TEST(RouteTable, KnowsANameAmongOthers) {
  const RouteTable table({named({"a.test"}), named({"b.test", "c.test"})});
  EXPECT_EQ(table.find("a.test", kClient), Route(0));
  EXPECT_EQ(table.find("c.test", kClient), Route(1));
}

TEST(RouteTable, HasNobodyForANameThatNobodyAsksFor) {
  const RouteTable table({named({"a.test"})});
  EXPECT_EQ(table.find("b.test", kClient), std::nullopt);
  EXPECT_EQ(table.find("", kClient), std::nullopt);
}

TEST(RouteTable, GivesTheRestToWhoAsksForNoName) {
  const RouteTable table({named({"a.test"}), Match{}});
  EXPECT_EQ(table.find("b.test", kClient), Route(1));
  EXPECT_EQ(table.find("", kClient), Route(1));
  EXPECT_EQ(table.find("a.test", kClient), Route(0));
}

TEST(RouteTable, AWildcardStandsForAnyNumberOfLabelsButNotForNone) {
  const RouteTable table({named({"*.shop.test"})});
  EXPECT_EQ(table.find("a.shop.test", kClient), Route(0));
  EXPECT_EQ(table.find("b.a.shop.test", kClient), Route(0));
  EXPECT_EQ(table.find("shop.test", kClient), std::nullopt);
  EXPECT_EQ(table.find("ashop.test", kClient), std::nullopt);
}

TEST(RouteTable, TheLongestWildcardWinsAndTheNameItselfBeforeIt) {
  const RouteTable table({named({"*.test"}), named({"*.shop.test"}), named({"a.shop.test"})});
  EXPECT_EQ(table.find("x.test", kClient), Route(0));
  EXPECT_EQ(table.find("b.shop.test", kClient), Route(1));
  EXPECT_EQ(table.find("a.shop.test", kClient), Route(2));
}

TEST(RouteTable, TheLongestRangeWins) {
  const RouteTable table({Match{}, from({range("10.0.0.0/8")}), from({range("10.1.0.0/16")})});
  EXPECT_EQ(table.find("", ip("10.1.2.3")), Route(2));
  EXPECT_EQ(table.find("", ip("10.2.2.3")), Route(1));
  EXPECT_EQ(table.find("", ip("192.0.2.1")), Route(0));
}

TEST(RouteTable, ANameFromElsewhereIsTheNextWiderOnes) {
  const RouteTable table(
      {{{"a.shop.test"}, {range("10.0.0.0/8")}}, named({"*.shop.test"}), Match{}});
  EXPECT_EQ(table.find("a.shop.test", ip("10.0.0.1")), Route(0));
  EXPECT_EQ(table.find("a.shop.test", ip("192.0.2.1")), Route(1));
  EXPECT_EQ(table.find("b.test", ip("10.0.0.1")), Route(2));
}

TEST(RouteTable, AClientWhoseAddressIsNotKnownIsFromNowhere) {
  const RouteTable table({from({range("0.0.0.0/0")}), Match{}});
  EXPECT_EQ(table.find("", std::nullopt), Route(1));
}

TEST(RouteTable, RangesOfBothFamiliesMayStandTogether) {
  const RouteTable table({from({range("10.0.0.0/8"), range("2001:db8::/32")})});
  EXPECT_EQ(table.find("", ip("2001:db8::1")), Route(0));
  EXPECT_EQ(table.find("", ip("2001:db9::1")), std::nullopt);
}

TEST(RouteTable, SaysWhetherANameMakesADifference) {
  EXPECT_FALSE(RouteTable({Match{}, from({range("10.0.0.0/8")})}).by_name());
  EXPECT_TRUE(RouteTable({Match{}, named({"a.test"})}).by_name());
}

// The same by trying every route on every name.
Route naive(const std::vector<Match>& matches, const std::string& name, const IpAddress& client) {
  Route best;
  std::pair<size_t, int> best_rank;
  for (size_t i = 0; i < matches.size(); ++i) {
    const Match& match = matches[i];
    size_t by_name = match.names.empty() ? 1 : 0;
    for (const auto& each : match.names) {
      if (each == name) by_name = 1000;
      const std::string suffix = each.substr(1);
      if (each[0] == '*' && name.size() > suffix.size() && name.ends_with(suffix)) {
        by_name = std::max(by_name, 1 + suffix.size());
      }
    }
    int by_source = match.sources.empty() ? 0 : -1;
    for (const auto& each : match.sources) {
      if (each.contains(client)) by_source = std::max(by_source, 1 + each.prefix_length());
    }
    const std::pair rank{by_name, by_source};
    if (by_name == 0 || by_source < 0 || (best && rank <= best_rank)) continue;
    best = i;
    best_rank = rank;
  }
  return best;
}

TEST(RouteTable, AgreesWithTryingEveryRoute) {
  SCOPED_TRACE(test::seed());
  std::mt19937 random(test::seed());
  const std::vector<std::string> names{"a.test", "b.a.test",   "*.a.test",
                                       "*.test", "c.b.a.test", "*.b.a.test"};
  const std::vector<Cidr> ranges{range("10.0.0.0/8"), range("10.1.0.0/16"), range("0.0.0.0/0")};
  const std::vector<IpAddress> clients{ip("10.1.0.1"), ip("10.2.0.1"), ip("192.0.2.1")};
  const std::vector<std::string> asked{"",           "a.test", "b.a.test",   "x.a.test",
                                       "c.b.a.test", "y.test", "x.b.a.test", "other"};
  for (int round = 0; round < 2000; ++round) {
    std::vector<Match> matches;
    for (const auto& name : names) {
      if (random() % 2 == 0) matches.push_back(named({name}));
      if (random() % 3 == 0) matches.push_back({{name}, {ranges[random() % ranges.size()]}});
    }
    if (random() % 2 == 0) matches.push_back(from({ranges[random() % ranges.size()]}));
    if (random() % 2 == 0) matches.push_back({});
    const RouteTable table(matches);
    for (const auto& name : asked) {
      for (const auto& client : clients) {
        ASSERT_EQ(table.find(name, client), naive(matches, name, client))
            << name << " from " << client.to_string();
      }
    }
  }
}

}  // namespace
}  // namespace lb::balance
