// Affinity: who is remembered, for how long, and what is forgotten.
#include "dataplane/proxy/affinity_table.hpp"

#include <gtest/gtest.h>

#include <iostream>
#include <map>
#include <random>

namespace lb::proxy {
namespace {

IpAddress ip(const std::string& text) { return *IpAddress::parse(text); }
IpAddress numbered(uint32_t i) { return IpAddress::v4(0x0a000000 + i); }
Endpoint backend(uint16_t port) { return {ip("198.51.100.1"), port}; }

TEST(AffinityTable, FindsTheBackendThatWasRememberedLast) {
  AffinityTable table;
  EXPECT_EQ(table.find(ip("192.0.2.1"), 0), std::nullopt);
  table.remember(ip("192.0.2.1"), backend(1), 0, 1000);
  EXPECT_EQ(table.find(ip("192.0.2.1"), 0), backend(1));
  table.remember(ip("192.0.2.1"), backend(2), 0, 1000);
  EXPECT_EQ(table.find(ip("192.0.2.1"), 0), backend(2));
  EXPECT_EQ(table.find(ip("192.0.2.2"), 0), std::nullopt);
  EXPECT_EQ(table.sources_tracked(), 1u);
}

TEST(AffinityTable, EveryAddressOfAnIpv6NetworkHasItsOwnBackend) {
  AffinityTable table;
  table.remember(ip("2001:db8::1"), backend(1), 0, 1000);
  EXPECT_EQ(table.find(ip("2001:db8::2"), 0), std::nullopt);
}

TEST(AffinityTable, AMappedAddressIsTheIpv4Address) {
  AffinityTable table;
  table.remember(ip("192.0.2.1"), backend(1), 0, 1000);
  EXPECT_EQ(table.find(ip("::ffff:192.0.2.1"), 0), backend(1));
}

TEST(AffinityTable, AnEntryEndsWhenItHasNotBeenUsedForTheTimeout) {
  AffinityTable table;
  table.remember(ip("192.0.2.1"), backend(1), 0, 1000);
  EXPECT_EQ(table.find(ip("192.0.2.1"), 999), backend(1));
  EXPECT_EQ(table.find(ip("192.0.2.1"), 1998), backend(1)) << "each use starts the time again";
  EXPECT_EQ(table.find(ip("192.0.2.1"), 2998), std::nullopt);
  EXPECT_EQ(table.sources_tracked(), 0u);
}

TEST(AffinityTable, AClockThatLagsDoesNotShortenAnEntry) {
  AffinityTable table;
  table.remember(ip("192.0.2.1"), backend(1), 100, 1000);
  EXPECT_EQ(table.find(ip("192.0.2.1"), 50), backend(1));
  EXPECT_EQ(table.find(ip("192.0.2.1"), 1099), backend(1));
}

TEST(AffinityTable, VeryLongTimeoutsDoNotWrap) {
  AffinityTable table;
  table.remember(ip("192.0.2.1"), backend(1), 1000, uint64_t{UINT32_MAX} * 1000);
  EXPECT_EQ(table.find(ip("192.0.2.1"), 1000 + uint64_t{49} * 86400 * 1000), backend(1));
}

TEST(AffinityTable, ForgettingABackendLeavesTheOthers) {
  AffinityTable table;
  for (uint32_t i = 0; i < 30000; ++i) {
    table.remember(numbered(i), backend(static_cast<uint16_t>(1 + i % 3)), 0, 1000);
  }
  EXPECT_EQ(table.forget(backend(2)), 10000u);
  EXPECT_EQ(table.sources_tracked(), 20000u);
  for (uint32_t i = 0; i < 30000; ++i) {
    const auto expected = backend(static_cast<uint16_t>(1 + i % 3));
    ASSERT_EQ(table.find(numbered(i), 1), i % 3 == 1 ? std::nullopt : std::optional(expected));
  }
  EXPECT_EQ(table.forget(backend(2)), 0u);
}

TEST(AffinityTable, ASweepForgetsWhatHasExpiredAndKeepsToItsBudget) {
  AffinityTable table;
  for (uint32_t i = 0; i < 5000; ++i) table.remember(numbered(i), backend(1), i, 1000);
  EXPECT_EQ(table.sweep(3499, 1000), 1000u);
  EXPECT_EQ(table.sweep(3499, 100000), 1500u);
  EXPECT_EQ(table.sources_tracked(), 2500u);
  EXPECT_EQ(table.sweep(3499, 100000), 0u);
  EXPECT_EQ(table.find(numbered(2500), 3499), backend(1));
  table.sweep(100000, 100000);
  EXPECT_EQ(table.sources_tracked(), 0u);
}

TEST(AffinityTable, TheBoundHoldsAndTheLeastRecentlyUsedGo) {
  AffinityTable table(6400);
  const uint32_t kept = 500;
  for (uint32_t i = 0; i < 50000; ++i) {
    table.remember(numbered(i), backend(1), i, 1'000'000);
    for (uint32_t j = 0; j < kept && i % 1000 == 0; ++j) table.find(numbered(j), i);
  }
  EXPECT_LE(table.sources_tracked(), 6400u);
  EXPECT_EQ(table.evicted() + table.sources_tracked(), 50000u);
  for (uint32_t j = 0; j < kept; ++j) EXPECT_EQ(table.find(numbered(j), 50000), backend(1)) << j;
  EXPECT_EQ(table.find(numbered(kept), 50000), std::nullopt);
}

TEST(AffinityTable, WhatSeveralTablesHadToForgetIsKnownWhenTheyAreGone) {
  const auto totals = std::make_shared<SourceTotals>();
  uint64_t evicted = 0;
  for (int round = 0; round < 2; ++round) {
    AffinityTable table(640, process_hash_seed(), totals);
    for (uint32_t i = 0; i < 2000; ++i) table.remember(numbered(i), backend(1), i, 1'000'000);
    evicted += table.evicted();
  }
  EXPECT_GE(evicted, 2u * (2000 - 640));
  EXPECT_EQ(totals->affinity_evicted, evicted);
}

TEST(AffinityTable, DoesWhatAPlainModelDoes) {
  const uint64_t seed = std::random_device{}();
  std::cout << "seed " << seed << std::endl;
  std::mt19937_64 random(seed);
  AffinityTable table;
  std::map<uint32_t, std::pair<Endpoint, uint64_t>> model;  // with the end of each entry
  constexpr uint64_t kTimeout = 300;
  uint64_t now = 0;
  for (int i = 0; i < 100000; ++i, now += random() % 3) {
    const auto source = static_cast<uint32_t>(random() % 500);
    const Endpoint chosen = backend(static_cast<uint16_t>(random() % 5));
    const auto action = random() % 100;
    if (action < 30) {
      table.remember(numbered(source), chosen, now, kTimeout);
      model[source] = {chosen, now + kTimeout};
    } else if (action < 31) {
      table.forget(chosen);
      std::erase_if(model, [&](const auto& held) { return held.second.first == chosen; });
    } else if (action < 32) {
      table.sweep(now, random() % 50);
    } else {
      const auto held = model.find(source);
      const bool expected = held != model.end() && held->second.second > now;
      const auto found = table.find(numbered(source), now);
      ASSERT_EQ(found, expected ? std::optional(held->second.first) : std::nullopt) << i;
      if (expected) held->second.second = now + kTimeout;
    }
  }
  table.sweep(now + kTimeout, 100000);
  EXPECT_EQ(table.sources_tracked(), 0u);
}

}  // namespace
}  // namespace lb::proxy
