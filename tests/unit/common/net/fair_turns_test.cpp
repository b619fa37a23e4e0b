// Turns that are fair to parties.
#include "common/net/fair_turns.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace lb::net {
namespace {

using Turns = FairTurns<int>;

TEST(FairTurns, NobodyInLineIsNobodyNext) {
  Turns turns;
  EXPECT_EQ(turns.next(), nullptr);
  EXPECT_EQ(turns.to_cut(), nullptr);
}

TEST(FairTurns, OneOfAPartyIsServedInTheOrderOfComing) {
  Turns turns;
  auto first = turns.join("a", 1);
  auto second = turns.join("a", 2);
  EXPECT_EQ(*turns.next(), 1);
  turns.hold(first);
  EXPECT_EQ(*turns.next(), 2);
  turns.leave(second);
  EXPECT_EQ(turns.next(), nullptr);
  turns.leave(first);
}

TEST(FairTurns, WhoHoldsLeastIsNextThoughItCameLast) {
  Turns turns;
  auto held = turns.join("a", 1);
  turns.hold(held);
  auto more = turns.join("a", 2);
  auto late = turns.join("b", 3);
  EXPECT_EQ(*turns.next(), 3);
  for (auto* each : {&held, &more, &late}) turns.leave(*each);
}

TEST(FairTurns, PartiesThatHoldTheSameTakeTurns) {
  Turns turns;
  std::vector<Turns::Turn> all;
  for (int i = 0; i < 3; ++i) all.push_back(turns.join("a", i));
  for (int i = 10; i < 13; ++i) all.push_back(turns.join("b", i));
  std::vector<int> order;
  while (const int* next = turns.next()) {
    order.push_back(*next);
    auto& turn = all[size_t(*next < 10 ? *next : *next - 7)];
    turns.hold(turn);
    turns.leave(turn);
  }
  EXPECT_EQ(order, (std::vector<int>{0, 10, 1, 11, 2, 12}));
}

TEST(FairTurns, TheLatestOfWhoHoldsMostIsCutForWhoHoldsLeast) {
  Turns turns;
  std::vector<Turns::Turn> all;
  for (int i = 0; i < 3; ++i) turns.hold(all.emplace_back(turns.join("a", i)));
  EXPECT_EQ(turns.to_cut(), nullptr) << "for nobody";
  all.push_back(turns.join("b", 9));
  ASSERT_NE(turns.to_cut(), nullptr);
  EXPECT_EQ(*turns.to_cut(), 2);
  for (auto& each : all) turns.leave(each);
}

TEST(FairTurns, NobodyIsCutForOneWhoWouldThenHoldMore) {
  Turns turns;
  std::vector<Turns::Turn> all;
  for (int i = 0; i < 2; ++i) turns.hold(all.emplace_back(turns.join("a", i)));
  turns.hold(all.emplace_back(turns.join("b", 5)));
  all.push_back(turns.join("b", 6));
  EXPECT_EQ(turns.to_cut(), nullptr);
  for (auto& each : all) turns.leave(each);
}

TEST(FairTurns, NobodyIsCutForItsOwnParty) {
  Turns turns;
  std::vector<Turns::Turn> all;
  for (int i = 0; i < 5; ++i) turns.hold(all.emplace_back(turns.join("a", i)));
  all.push_back(turns.join("a", 6));
  EXPECT_EQ(turns.to_cut(), nullptr);
  for (auto& each : all) turns.leave(each);
}

TEST(FairTurns, TheLoadOfAPartyIsWhatHoldsAndWhatWaits) {
  Turns turns;
  auto held = turns.join("a", 1);
  turns.hold(held);
  auto waits = turns.join("a", 2);
  EXPECT_TRUE(held.holds());
  EXPECT_FALSE(waits.holds());
  EXPECT_EQ(turns.load("a"), 2u);
  turns.leave(held);
  turns.leave(waits);
  EXPECT_FALSE(held);
  EXPECT_EQ(turns.load("a"), 0u);
}

// Law: with cuts, no two parties that want more differ by two.
TEST(FairTurns, HoweverTheyComeAndGoThePlacesAreSharedEvenly) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  constexpr size_t kPlaces = 20;
  struct One {
    std::string party;
    Turns::Turn turn;
  };
  Turns turns;
  std::map<int, One> all;
  const auto holders = [&](const std::string& party) {
    return std::count_if(all.begin(), all.end(), [&](const auto& each) {
      return each.second.turn.holds() && (party.empty() || each.second.party == party);
    });
  };
  const auto serve = [&] {
    while (const int* next = turns.next()) {
      if (size_t(holders("")) >= kPlaces) {
        const int* cut = turns.to_cut();
        if (cut == nullptr) return;
        One& loser = all.at(*cut);
        const int id = *cut;
        turns.leave(loser.turn);
        loser.turn = turns.join(loser.party, id);
        next = turns.next();
      }
      turns.hold(all.at(*next).turn);
    }
  };
  for (int step = 0; step < 400; ++step) {
    if (all.size() < 40 || random() % 2 == 0) {
      const std::string party(1, char('a' + std::min(random() % 8, random() % 8)));
      all[step] = {party, turns.join(party, step)};
    } else {
      const auto gone = std::next(all.begin(), long(random() % all.size()));
      turns.leave(gone->second.turn);
      all.erase(gone);
    }
    serve();
    ASSERT_EQ(size_t(holders("")), std::min(kPlaces, all.size())) << "no place stays empty";
    for (const auto& [id, one] : all) {
      if (one.turn.holds()) continue;
      for (char other = 'a'; other < 'i'; ++other) {
        ASSERT_LE(holders(std::string(1, other)), holders(one.party) + 1) << one.party << other;
      }
    }
  }
  for (auto& [id, one] : all) turns.leave(one.turn);
}

}  // namespace
}  // namespace lb::net
