// Limits for each source: connections, rate, memory.
#include "dataplane/proxy/source_limits.hpp"

#include <gtest/gtest.h>

#include <iostream>
#include <map>
#include <numeric>
#include <random>

namespace lb::proxy {
namespace {

using Limits = SourceLimits::Limits;

IpAddress ip(const std::string& text) { return *IpAddress::parse(text); }
IpAddress numbered(uint32_t i) { return IpAddress::v4(0x0a000000 + i); }

constexpr Limits kTwoConnections{.max_connections_per_source = 2, .max_rate_per_source = 0};
constexpr Limits rate_of(uint32_t rate) {
  return {.max_connections_per_source = 0, .max_rate_per_source = rate};
}

// How many of `attempts` evenly spread over [from, to) ms are let in; each leaves at once.
uint32_t admitted(SourceLimits& table, uint32_t rate, uint64_t from, uint64_t to,
                  uint64_t per_ms = 1) {
  uint32_t count = 0;
  for (uint64_t now = from; now < to; ++now) {
    for (uint64_t i = 0; i < per_ms; ++i) {
      if (table.enter(ip("192.0.2.1"), now, rate_of(rate)) != Admit::kYes) continue;
      table.leave(ip("192.0.2.1"));
      ++count;
    }
  }
  return count;
}

TEST(SourceKeys, AnIpv6SourceIsItsFirst64Bits) {
  EXPECT_EQ(key_of_source(ip("2001:db8:0:1::1")), key_of_source(ip("2001:db8:0:1:ffff::2")));
  EXPECT_NE(key_of_source(ip("2001:db8:0:1::1")), key_of_source(ip("2001:db8:0:2::1")));
  EXPECT_NE(key_of_address(ip("2001:db8::1")), key_of_address(ip("2001:db8::2")));
}

TEST(SourceKeys, AMappedAddressIsTheIpv4AddressAndNotItsPrefix) {
  EXPECT_EQ(key_of_source(ip("::ffff:192.0.2.1")), key_of_source(ip("192.0.2.1")));
  EXPECT_EQ(key_of_address(ip("::ffff:192.0.2.1")), key_of_address(ip("192.0.2.1")));
  EXPECT_NE(key_of_source(ip("::ffff:192.0.2.1")), key_of_source(ip("::ffff:192.0.2.2")));
  EXPECT_NE(key_of_source(ip("::1")), key_of_source(ip("0.0.0.0")));
}

TEST(SourceLimits, RefusesTheConnectionAboveTheLimitAndTakesItOnceOneHasLeft) {
  SourceLimits table;
  EXPECT_EQ(table.enter(ip("192.0.2.1"), 0, kTwoConnections), Admit::kYes);
  EXPECT_EQ(table.enter(ip("192.0.2.1"), 0, kTwoConnections), Admit::kYes);
  EXPECT_EQ(table.enter(ip("192.0.2.1"), 0, kTwoConnections), Admit::kTooManyConnections);
  table.leave(ip("192.0.2.1"));
  EXPECT_EQ(table.enter(ip("192.0.2.1"), 0, kTwoConnections), Admit::kYes);
  EXPECT_EQ(table.counts().too_many_connections, 1u);
}

TEST(SourceLimits, SourcesDoNotShareALimit) {
  SourceLimits table;
  const Limits one{.max_connections_per_source = 1, .max_rate_per_source = 1};
  for (uint32_t i = 0; i < 1000; ++i) EXPECT_EQ(table.enter(numbered(i), 5, one), Admit::kYes);
  EXPECT_EQ(table.sources_tracked(), 1000u);
}

TEST(SourceLimits, AddressesOfOneIpv6NetworkShareALimit) {
  SourceLimits table;
  EXPECT_EQ(table.enter(ip("2001:db8::1"), 0, kTwoConnections), Admit::kYes);
  EXPECT_EQ(table.enter(ip("2001:db8::2"), 0, kTwoConnections), Admit::kYes);
  EXPECT_EQ(table.enter(ip("2001:db8::3"), 0, kTwoConnections), Admit::kTooManyConnections);
  table.leave(ip("2001:db8::1"));
  EXPECT_EQ(table.connections(ip("2001:db8::99")), 1u);
}

TEST(SourceLimits, ZeroMeansNoLimit) {
  SourceLimits table;
  for (int i = 0; i < 10000; ++i) ASSERT_EQ(table.enter(ip("192.0.2.1"), 0, {}), Admit::kYes);
  EXPECT_EQ(table.connections(ip("192.0.2.1")), 10000u);
}

TEST(SourceLimits, ConnectionsCountFromBeforeALimitWasSet) {
  SourceLimits table;
  for (int i = 0; i < 3; ++i) table.enter(ip("192.0.2.1"), 0, {});
  EXPECT_EQ(table.enter(ip("192.0.2.1"), 0, kTwoConnections), Admit::kTooManyConnections);
}

TEST(SourceLimits, AFreshSourceMayComeAsOftenAtOnceAsInOneSecond) {
  for (const uint32_t rate : {1u, 2u, 3u, 7u, 100u, 999u, 30000u}) {
    SourceLimits table;
    uint32_t count = 0;
    while (table.enter(ip("192.0.2.1"), 77, rate_of(rate)) == Admit::kYes && count < 40000) ++count;
    EXPECT_EQ(count, rate);
    EXPECT_EQ(table.counts().too_fast, 1u);
  }
}

TEST(SourceLimits, OverASimulatedMinuteTheRateIsRightWithinOnePercent) {
  for (const uint32_t rate : {1u, 3u, 10u, 150u, 333u, 999u, 3000u}) {
    SourceLimits table;
    const uint64_t per_ms = rate / 500 + 2;
    const uint32_t first = admitted(table, rate, 0, 60000, per_ms);
    EXPECT_NEAR(first, 61.0 * rate, std::max(1.0, 0.01 * 61 * rate))
        << "the burst, and a minute; rate " << rate;
    const uint32_t next = admitted(table, rate, 60000, 120000, per_ms);
    EXPECT_NEAR(next, 60.0 * rate, 0.01 * 60 * rate) << "a minute; rate " << rate;
  }
}

TEST(SourceLimits, RefusedAttemptsCostNoToken) {
  SourceLimits table;
  ASSERT_EQ(table.enter(ip("192.0.2.1"), 0, rate_of(1)), Admit::kYes);
  for (uint64_t now = 1; now < 1000; ++now) {
    ASSERT_EQ(table.enter(ip("192.0.2.1"), now, rate_of(1)), Admit::kTooFast) << now;
  }
  EXPECT_EQ(table.enter(ip("192.0.2.1"), 1000, rate_of(1)), Admit::kYes);
}

TEST(SourceLimits, ARateThatIsLoweredHoldsFromTheNextConnection) {
  SourceLimits table;
  for (int i = 0; i < 50; ++i)
    ASSERT_EQ(table.enter(ip("192.0.2.1"), 0, rate_of(100)), Admit::kYes);
  EXPECT_EQ(table.enter(ip("192.0.2.1"), 0, rate_of(1)), Admit::kTooFast);
  EXPECT_EQ(table.enter(ip("192.0.2.1"), 500, rate_of(1)), Admit::kYes);
}

TEST(SourceLimits, ATimeThatGoesBackGivesNoTokens) {
  SourceLimits table;
  ASSERT_EQ(table.enter(ip("192.0.2.1"), 1000, rate_of(1)), Admit::kYes);
  EXPECT_EQ(table.enter(ip("192.0.2.1"), 990, rate_of(1)), Admit::kTooFast);
  EXPECT_EQ(table.enter(ip("192.0.2.1"), 2000, rate_of(1)), Admit::kYes);
}

TEST(SourceLimits, ASourceWithoutARateIsForgottenWhenItLeaves) {
  SourceLimits table;
  table.enter(ip("192.0.2.1"), 0, kTwoConnections);
  table.enter(ip("192.0.2.1"), 0, kTwoConnections);
  table.leave(ip("192.0.2.1"));
  EXPECT_EQ(table.sources_tracked(), 1u);
  table.leave(ip("192.0.2.1"));
  EXPECT_EQ(table.sources_tracked(), 0u);
}

TEST(SourceLimits, ASourceWithARateIsForgottenOneSecondAfterItsLastConnection) {
  SourceLimits table;
  ASSERT_EQ(table.enter(ip("192.0.2.1"), 0, rate_of(1)), Admit::kYes);
  table.leave(ip("192.0.2.1"));
  EXPECT_EQ(table.sweep(999, 100), 0u);
  EXPECT_EQ(table.sources_tracked(), 1u);
  EXPECT_EQ(table.sweep(1000, 100), 1u);
  EXPECT_EQ(table.sources_tracked(), 0u);
}

TEST(SourceLimits, ASweepLeavesSourcesWithConnectionsAlone) {
  SourceLimits table;
  for (uint32_t i = 0; i < 200; ++i) table.enter(numbered(i), 0, rate_of(5));
  for (uint32_t i = 0; i < 100; ++i) table.leave(numbered(i));
  EXPECT_EQ(table.sweep(1'000'000, 1000), 100u);
  for (uint32_t i = 0; i < 200; ++i) EXPECT_EQ(table.connections(numbered(i)), i < 100 ? 0u : 1u);
}

TEST(SourceLimits, SweepsKeepToTheirBudgetAndReachEveryShardInTheEnd) {
  SourceLimits table;
  for (uint32_t i = 0; i < 10000; ++i) table.enter(numbered(i), 0, rate_of(5));
  for (uint32_t i = 0; i < 10000; ++i) table.leave(numbered(i));
  size_t left = 10000;
  for (int round = 0; round < 200 && left > 0; ++round) {
    const size_t gone = table.sweep(5000, 100);
    ASSERT_EQ(gone, std::min<size_t>(100, left));
    left -= gone;
    ASSERT_EQ(table.sources_tracked(), left);
  }
  EXPECT_EQ(left, 0u);
}

TEST(SourceLimits, UnmatchedLeavesAreCountedAndDoNothingElse) {
  SourceLimits table;
  table.leave(ip("192.0.2.1"));
  table.enter(ip("192.0.2.1"), 0, rate_of(1));
  table.leave(ip("192.0.2.1"));
  table.leave(ip("192.0.2.1"));
  EXPECT_EQ(table.counts().unmatched_leaves, 2u);
  EXPECT_EQ(table.connections(ip("192.0.2.1")), 0u);
}

TEST(SourceLimits, TheBoundHoldsAndIdleSourcesMakeRoom) {
  SourceLimits table(640);
  for (uint32_t i = 0; i < 20000; ++i) {
    ASSERT_EQ(table.enter(numbered(i), i, rate_of(5)), Admit::kYes);
    table.leave(numbered(i));
  }
  EXPECT_LE(table.sources_tracked(), 640u);
  EXPECT_EQ(table.counts().table_full, 0u);
  EXPECT_GT(table.counts().evicted, 0u);
}

TEST(SourceLimits, TheSourceThatHasBeenIdleLongestGoesFirst) {
  SourceLimits table(64);  // one source in each shard
  const SourceKey busy = key_of_source(numbered(0));
  std::vector<IpAddress> same;
  for (uint32_t i = 1; same.size() < 2; ++i) {
    const auto shard = [](const SourceKey& key) { return hash_of(key, process_hash_seed()) >> 58; };
    if (shard(key_of_source(numbered(i))) == shard(busy)) same.push_back(numbered(i));
  }
  table.enter(same[0], 0, rate_of(1));
  table.leave(same[0]);
  EXPECT_EQ(table.enter(same[1], 100, rate_of(1)), Admit::kYes);
  EXPECT_EQ(table.counts().evicted_early, 1u);
  EXPECT_EQ(table.connections(same[1]), 1u);
}

TEST(SourceLimits, WhenEverySourceIsConnectedANewOneIsRefusedAndOldOnesAreStillLimited) {
  SourceLimits table(640);
  uint32_t let_in = 0;
  for (uint32_t i = 0; i < 5000; ++i) {
    if (table.enter(numbered(i), 0, kTwoConnections) == Admit::kYes) ++let_in;
  }
  EXPECT_EQ(let_in, 640u);
  EXPECT_EQ(table.sources_tracked(), 640u);
  EXPECT_EQ(table.counts().table_full, 5000u - 640);
  EXPECT_EQ(table.enter(numbered(0), 0, kTwoConnections), Admit::kYes);
  EXPECT_EQ(table.enter(numbered(0), 0, kTwoConnections), Admit::kTooManyConnections);
}

TEST(SourceLimits, WhatSeveralTablesLackedRoomForIsKnownWhenTheyAreGone) {
  const auto totals = std::make_shared<SourceTotals>();
  SourceLimitsCounts counted;
  for (const bool stay : {true, false}) {
    SourceLimits table(640, process_hash_seed(), totals);
    for (uint32_t i = 0; i < 2000; ++i) {
      table.enter(numbered(i), 0, rate_of(5));
      if (!stay) table.leave(numbered(i));
    }
    const SourceLimitsCounts each = table.counts();
    counted.table_full += each.table_full;
    counted.evicted += each.evicted;
    counted.evicted_early += each.evicted_early;
  }
  EXPECT_GT(totals->limits_full, 0u);
  EXPECT_EQ(totals->limits_full, counted.table_full);
  EXPECT_GT(totals->limits_evicted, 0u);
  EXPECT_EQ(totals->limits_evicted, counted.evicted);
  EXPECT_GT(totals->limits_evicted_early, 0u);
  EXPECT_EQ(totals->limits_evicted_early, counted.evicted_early);
}

// Sources that an attacker would choose: neighbours, one of each /16, and strides.
TEST(SourceLimits, CraftedSourcesOfOneSlash8SpreadOverAllShards) {
  for (const uint32_t stride : {1u, 64u, 256u, 4096u}) {
    SourceLimits table;
    for (uint32_t i = 0; i < 32768; ++i) {
      table.enter(IpAddress::v4(0x0a000000 | (i * stride & 0xffffff) | i * stride >> 24), 0, {});
    }
    const auto shards = table.sources_by_shard();
    const size_t sum = std::accumulate(shards.begin(), shards.end(), size_t{0});
    ASSERT_EQ(shards.size(), 64u);
    for (const size_t size : shards) {
      EXPECT_LT(size * 64, 2 * sum) << "stride " << stride;
      EXPECT_GT(size * 64 * 2, sum) << "stride " << stride;
    }
  }
}

TEST(SourceLimits, AnotherKeyLaysSourcesOutInAnotherWay) {
  SourceLimits a(kMaxSources, HashSeed{1, 2});
  SourceLimits b(kMaxSources, HashSeed{1, 3});
  for (uint32_t i = 0; i < 1000; ++i) {
    a.enter(numbered(i), 0, {});
    b.enter(numbered(i), 0, {});
  }
  EXPECT_NE(a.sources_by_shard(), b.sources_by_shard());
}

// What the limits should do, kept in the plainest way.
struct Model {
  uint32_t connections = 0;
  double tokens = 0;
  uint64_t at = 0;
  bool known = false;

  Admit enter(uint64_t now, const Limits& limits) {
    const double rate = limits.max_rate_per_source;
    tokens = known ? std::min(rate, tokens + rate * static_cast<double>(now - at) / 1000) : rate;
    known = true;
    at = now;
    if (connections >= limits.max_connections_per_source) return Admit::kTooManyConnections;
    if (tokens < 0.999) return Admit::kTooFast;
    tokens -= 1;
    ++connections;
    return Admit::kYes;
  }
};

TEST(SourceLimits, DoesWhatAPlainModelDoes) {
  const uint64_t seed = std::random_device{}();
  std::cout << "seed " << seed << std::endl;
  std::mt19937_64 random(seed);
  SourceLimits table;
  std::map<uint32_t, Model> model;
  const Limits limits{.max_connections_per_source = 6, .max_rate_per_source = 5};
  uint64_t now = 0;
  for (int i = 0; i < 100000; ++i) {
    const auto source = static_cast<uint32_t>(random() % 40);
    Model& expected = model[source];
    if (random() % 2 == 0 && expected.connections > 0) {
      table.leave(numbered(source));
      --expected.connections;
    } else {
      ASSERT_EQ(table.enter(numbered(source), now, limits), expected.enter(now, limits)) << i;
    }
    ASSERT_EQ(table.connections(numbered(source)), expected.connections);
    now += random() % 8;
    if (random() % 100 == 0) table.sweep(now, random() % 20);
  }
  const SourceLimitsCounts counts = table.counts();
  EXPECT_GT(counts.too_fast, 100u);
  EXPECT_GT(counts.too_many_connections, 100u);
  EXPECT_EQ(counts.unmatched_leaves, 0u);
}

}  // namespace
}  // namespace lb::proxy
