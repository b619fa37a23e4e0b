// Keys of session tickets: new ones in time, old ones for as long as tickets are good.
#include "dataplane/tls/ticket_keys.hpp"

#include <gtest/gtest.h>

#include <set>

namespace lb::tls {
namespace {

constexpr int64_t kHour = TicketKeys::kLifeSeconds;

TEST(TicketKeys, AreTheSameForAnHour) {
  TicketKeys keys;
  const auto first = keys.newest(5);
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(keys.newest(5 + kHour - 1)->name, first->name);
  EXPECT_NE(keys.newest(5 + kHour)->name, first->name);
}

TEST(TicketKeys, OpenWhatTheTwoBeforeHaveSealedAndAskForANewTicket) {
  TicketKeys keys;
  const auto first = *keys.newest(0);
  EXPECT_TRUE(keys.find(first.name.data(), 1)->newest);
  const auto older = keys.find(first.name.data(), kHour);
  ASSERT_TRUE(older.has_value());
  EXPECT_FALSE(older->newest);
  EXPECT_EQ(older->key.cipher, first.cipher);
  EXPECT_TRUE(keys.find(first.name.data(), 2 * kHour).has_value());
  EXPECT_FALSE(keys.find(first.name.data(), 3 * kHour).has_value());
}

// Nobody asks in between, so nothing has rotated.
TEST(TicketKeys, AreNoOlderForNotHavingBeenAskedFor) {
  TicketKeys keys;
  const auto first = *keys.newest(0);
  EXPECT_FALSE(keys.find(first.name.data(), 3 * kHour).has_value());
  TicketKeys others;
  const auto second = *others.newest(0);
  EXPECT_TRUE(others.find(second.name.data(), 2 * kHour).has_value());
}

TEST(TicketKeys, AreNotGuessedFromOneAnother) {
  TicketKeys one, other;
  std::set<std::array<unsigned char, 32>> seen;
  for (int64_t hour = 0; hour < 4; ++hour) {
    for (auto* keys : {&one, &other}) {
      const auto key = *keys->newest(hour * kHour);
      seen.insert(key.cipher);
      seen.insert(key.mac);
    }
  }
  EXPECT_EQ(seen.size(), 16u);
}

TEST(TicketKeys, UnknownOnesAreNotFound) {
  TicketKeys keys;
  (void)keys.newest(0);
  const std::array<unsigned char, 16> name{};
  EXPECT_FALSE(keys.find(name.data(), 0).has_value());
}

}  // namespace
}  // namespace lb::tls
