#include "dataplane/handoff/socket_plan.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace lb::handoff {
namespace {

using Owned = std::vector<std::vector<size_t>>;

proxy::ListenerId listener(uint16_t port = 80) {
  return {{*IpAddress::parse("192.0.2.1"), port}, Protocol::kTcp};
}

// One socket for each worker named.
std::vector<SocketLabel> sockets_of(std::initializer_list<unsigned> workers, uint16_t port = 80) {
  std::vector<SocketLabel> labels;
  for (const unsigned worker : workers) labels.push_back({listener(port), worker, false});
  return labels;
}

SocketPlan plan(const std::vector<SocketLabel>& labels, unsigned workers) {
  return plan_sockets(labels, workers).at(labels.front().listener);
}

TEST(SocketPlan, AsManyWorkersKeepWhatTheyHad) {
  const SocketPlan kept = plan(sockets_of({0, 1, 2}), 3);
  EXPECT_EQ(kept.owned, (Owned{{0}, {1}, {2}}));
  EXPECT_TRUE(kept.may_open.empty());
}

TEST(SocketPlan, FewerWorkersOwnSeveralSockets) {
  const SocketPlan fewer = plan(sockets_of({0, 1, 2, 3}), 2);
  EXPECT_EQ(fewer.owned[0].size(), 2u);
  EXPECT_EQ(fewer.owned[1].size(), 2u);
  EXPECT_TRUE(fewer.may_open.empty());
}

TEST(SocketPlan, MoreWorkersMayOpenTheirOwn) {
  const SocketPlan more = plan(sockets_of({0, 1}), 4);
  EXPECT_EQ(more.owned, (Owned{{0}, {1}, {}, {}}));
  EXPECT_EQ(more.may_open, (std::vector<unsigned>{2, 3}));
}

TEST(SocketPlan, WhatOneWorkerOwnedTwiceIsSpreadAgain) {
  const SocketPlan spread = plan(sockets_of({0, 0, 1, 1}), 4);
  for (const auto& owned : spread.owned) EXPECT_EQ(owned.size(), 1u);
  EXPECT_TRUE(spread.may_open.empty());
}

TEST(SocketPlan, ASharedSocketHasOneOwnerAndNoneIsAdded) {
  std::vector<SocketLabel> labels = sockets_of({0});
  labels[0].shared = true;
  const SocketPlan shared = plan(labels, 3);
  EXPECT_EQ(shared.owned, (Owned{{0}, {}, {}}));
  EXPECT_TRUE(shared.may_open.empty());
}

TEST(SocketPlan, TheOwnerOfASharedSocketMayBeGone) {
  std::vector<SocketLabel> labels = sockets_of({5});
  labels[0].shared = true;
  const SocketPlan shared = plan(labels, 2);
  EXPECT_EQ(shared.owned[0].size() + shared.owned[1].size(), 1u);
}

TEST(SocketPlan, OneWorkerTakesEverything) {
  EXPECT_EQ(plan(sockets_of({0, 1, 2}), 1).owned, (Owned{{0, 1, 2}}));
}

TEST(SocketPlan, SurplusOfManyListenersDoesNotFallToOneWorker) {
  std::vector<SocketLabel> labels;
  for (uint16_t port = 80; port < 90; ++port) {
    const auto three = sockets_of({0, 1, 2}, port);
    labels.insert(labels.end(), three.begin(), three.end());
  }
  size_t first = 0;
  for (const auto& [id, each] : plan_sockets(labels, 2)) first += each.owned[0].size();
  EXPECT_EQ(first, 15u);
}

TEST(SocketPlan, ProtocolsOfOnePortAreDifferentListeners) {
  std::vector<SocketLabel> labels = sockets_of({0, 0});
  labels[1].listener.protocol = Protocol::kUdp;
  EXPECT_EQ(plan_sockets(labels, 1).size(), 2u);
}

TEST(SocketPlan, NothingTakenIsNothingPlanned) { EXPECT_TRUE(plan_sockets({}, 4).empty()); }

// The promise that matters: no socket is left without a worker that accepts from it.
TEST(SocketPlan, EverySocketHasExactlyOneWorkerAndCountsAreLevel) {
  const auto seed = std::random_device{}();
  std::printf("seed %u\n", seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 500; ++round) {
    std::vector<SocketLabel> labels;
    for (size_t i = 1 + random() % 20; i > 0; --i) {
      labels.push_back({listener(), static_cast<unsigned>(random() % 12), false});
    }
    const auto workers = static_cast<unsigned>(1 + random() % 8);
    const SocketPlan made = plan(labels, workers);
    ASSERT_EQ(made.owned.size(), workers);
    std::vector<size_t> seen;
    size_t fewest = labels.size(), most = 0;
    for (const auto& owned : made.owned) {
      seen.insert(seen.end(), owned.begin(), owned.end());
      fewest = std::min(fewest, owned.size());
      most = std::max(most, owned.size());
    }
    std::sort(seen.begin(), seen.end());
    ASSERT_EQ(seen.size(), labels.size());
    for (size_t i = 0; i < seen.size(); ++i) EXPECT_EQ(seen[i], i);
    EXPECT_LE(most - fewest, 1u);
    EXPECT_EQ(made.may_open.empty(), fewest > 0);
  }
}

}  // namespace
}  // namespace lb::handoff
