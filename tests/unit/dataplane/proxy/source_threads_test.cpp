// Limits and affinity used by several workers at once.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <iostream>
#include <random>
#include <thread>

#include "dataplane/proxy/affinity_table.hpp"
#include "dataplane/proxy/source_limits.hpp"

namespace lb::proxy {
namespace {

constexpr int kThreads = 4;
constexpr uint32_t kSources = 50;
constexpr uint32_t kMost = 5;
constexpr int kSteps = 30000;

IpAddress numbered(uint32_t i) { return IpAddress::v4(0x0a000000 + i); }

uint64_t printed_seed() {
  const uint64_t seed = std::random_device{}();
  std::cout << "seed " << seed << std::endl;
  return seed;
}

// Runs work(index) in kThreads threads and waits for them.
template <class Work>
void in_threads(const Work& work) {
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) threads.emplace_back(work, i);
  for (std::thread& thread : threads) thread.join();
}

struct Watched {
  std::array<std::atomic<int>, kSources> open{};  // what was let in and has not begun to leave
  std::atomic<int> above{0};
};

// Comes and goes at random; everything has left at the end.
void churn(SourceLimits& table, Watched& watched, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<uint32_t> mine;
  for (int step = 0; step < kSteps; ++step) {
    if (random() % 2 == 0 && !mine.empty()) {
      std::swap(mine[random() % mine.size()], mine.back());
      --watched.open[mine.back()];
      table.leave(numbered(mine.back()));
      mine.pop_back();
      continue;
    }
    const auto source = static_cast<uint32_t>(random() % kSources);
    const auto now = static_cast<uint64_t>(step);
    const SourceLimits::Limits limits{kMost, random() % 2 == 0 ? 0 : 1'000'000U};
    if (table.enter(numbered(source), now, limits) != Admit::kYes) continue;
    if (++watched.open[source] > static_cast<int>(kMost)) ++watched.above;
    mine.push_back(source);
    if (random() % 64 == 0) table.sweep(now, 10);
  }
  for (const uint32_t source : mine) {
    --watched.open[source];
    table.leave(numbered(source));
  }
}

TEST(SourceThreads, NoSourceIsEverAboveItsLimitAndAllCountsReturnToZero) {
  const uint64_t seed = printed_seed();
  SourceLimits table;
  Watched watched;
  in_threads([&](int i) { churn(table, watched, seed + static_cast<uint64_t>(i)); });
  EXPECT_EQ(watched.above, 0);
  EXPECT_EQ(table.counts().unmatched_leaves, 0u) << "a count would have been below zero";
  EXPECT_GT(table.counts().too_many_connections, 0u);
  for (uint32_t i = 0; i < kSources; ++i) EXPECT_EQ(table.connections(numbered(i)), 0u);
  table.sweep(kSteps + 1000, 1000);
  EXPECT_EQ(table.sources_tracked(), 0u);
}

TEST(SourceThreads, WorkersShareOneRate) {
  SourceLimits table;
  std::atomic<int> let_in{0};
  in_threads([&](int) {
    for (uint64_t now = 0; now < 10000; ++now) {
      if (table.enter(numbered(1), now, {0, 100}) != Admit::kYes) continue;
      ++let_in;
      table.leave(numbered(1));
    }
  });
  // Threads run apart from each other, so one may see the end before another sees the start; time
  // never runs back within the table.
  EXPECT_GE(let_in, 1000);
  EXPECT_LE(let_in, 1100);
}

TEST(SourceThreads, TheBoundHoldsWhileWorkersFillTheTable) {
  SourceLimits table(6400);
  std::atomic<uint64_t> let_in{0};
  in_threads([&](int i) {
    for (uint32_t n = 0; n < 10000; ++n) {
      const IpAddress source = numbered(n * kThreads + static_cast<uint32_t>(i));
      if (table.enter(source, 0, {1, 0}) == Admit::kYes) ++let_in;
    }
  });
  EXPECT_EQ(let_in, 6400u);
  EXPECT_EQ(table.sources_tracked(), 6400u);
}

TEST(SourceThreads, WhatAffinityFindsIsAlwaysWhatSomebodyRememberedForThatSource) {
  const uint64_t seed = printed_seed();
  AffinityTable table(320);
  std::atomic<int> wrong{0};
  std::atomic<int> found{0};
  in_threads([&](int i) {
    std::mt19937_64 random(seed + static_cast<uint64_t>(i));
    for (uint64_t now = 0; now < kSteps; ++now) {
      const auto source = static_cast<uint32_t>(random() % 400);
      const auto low = static_cast<uint16_t>(random() % 4);
      const auto port = static_cast<uint16_t>(source * 4 + low);
      if (random() % 3 == 0) table.remember(numbered(source), {numbered(9), port}, now, 500);
      if (random() % 500 == 0) table.forget({numbered(9), port});
      if (random() % 100 == 0) table.sweep(now, 5);
      const auto got = table.find(numbered(source), now);
      if (!got) continue;
      ++found;
      if (got->port / 4 != source || got->address != numbered(9)) ++wrong;
    }
  });
  EXPECT_EQ(wrong, 0);
  EXPECT_GT(found, 1000);
  table.sweep(kSteps + 500, 1000);
  EXPECT_EQ(table.sources_tracked(), 0u);
}

}  // namespace
}  // namespace lb::proxy
