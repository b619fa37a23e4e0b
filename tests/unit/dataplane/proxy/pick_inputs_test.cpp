#include "dataplane/proxy/pick_inputs.hpp"

#include <gtest/gtest.h>

#include <set>

namespace lb::proxy {
namespace {

ListenerConfig config(Balance policy, size_t backends) {
  ListenerConfig out;
  out.policy.balance = policy;
  for (size_t i = 0; i < backends; ++i) {
    const Endpoint where{IpAddress::v4(0x7f000001 + uint32_t(i)), 80};
    out.candidates.push_back({.weight = uint16_t(i + 1)});
    out.records.push_back(std::make_shared<BackendRecord>(where));
  }
  return out;
}

bool nobody(const BackendRecord&) { return false; }
std::optional<IpAddress> never_asked() {
  ADD_FAILURE() << "asked for a client that the policy does not need";
  return std::nullopt;
}

TEST(PickInputs, SayWhoIsOutAndWhoWasTried) {
  const ListenerConfig given = config(Balance::kRoundRobin, 3);
  given.records[0]->ejected = Ejection::kRefused;
  PickInputs inputs(0);
  const auto& got = inputs.candidates(
      given, [&](const BackendRecord& record) { return &record == given.records[2].get(); }, 0);
  ASSERT_EQ(got.size(), 3U);
  EXPECT_TRUE(got[0].ejected && !got[0].tried);
  EXPECT_TRUE(!got[1].ejected && !got[1].tried);
  EXPECT_TRUE(!got[2].ejected && got[2].tried);
  EXPECT_EQ(got[2].weight, 3);
}

TEST(PickInputs, CountConnectionsWhereThePolicyReadsThem) {
  for (const Balance policy : {Balance::kLeastConnections, Balance::kRandomTwo, Balance::kMaglev}) {
    const ListenerConfig given = config(policy, 2);
    given.records[1]->connections = 7;
    PickInputs inputs(0);
    const auto& got = inputs.candidates(given, nobody, 0);
    EXPECT_EQ(got[0].connections, 0U);
    EXPECT_EQ(got[1].connections, 7U);
  }
}

TEST(PickInputs, StopCountingAtTheLargestNumber) {
  const ListenerConfig given = config(Balance::kMaglev, 1);
  given.records[0]->connections = uint64_t{1} << 40;
  PickInputs inputs(0);
  EXPECT_EQ(inputs.candidates(given, nobody, 0)[0].connections, UINT32_MAX);
}

TEST(PickInputs, ForgetThePickBefore) {
  const ListenerConfig given = config(Balance::kRoundRobin, 2);
  PickInputs inputs(0);
  inputs.candidates(
      given, [](const BackendRecord&) { return true; }, 0);
  EXPECT_FALSE(inputs.candidates(given, nobody, 0)[0].tried);
  EXPECT_EQ(inputs.candidates(config(Balance::kRoundRobin, 1), nobody, 0).size(), 1U);
}

TEST(PickInputs, GiveWhoCameBackAShareThatGrows) {
  ListenerConfig given = config(Balance::kRoundRobin, 2);
  given.policy.slow_start_s = 10;
  given.records[1]->came_back(5'000);
  PickInputs inputs(0);
  const auto share = [&](uint64_t now) { return inputs.candidates(given, nobody, now)[1].share; };
  EXPECT_EQ(share(4'990), 100) << "another thread's clock may be a little behind";
  EXPECT_EQ(share(5'000), 100);
  EXPECT_EQ(share(10'000), 550);
  EXPECT_EQ(inputs.candidates(given, nobody, 10'000)[0].share, 1000);
  EXPECT_FALSE(given.records[1]->untouched());
  EXPECT_EQ(share(15'000), 1000);
  EXPECT_TRUE(given.records[1]->untouched()) << "the list as configured will do again";
}

TEST(PickInputs, ForgetAReturnWhereThePolicyHasNoSlowStart) {
  const ListenerConfig given = config(Balance::kRoundRobin, 1);
  given.records[0]->came_back(5'000);
  PickInputs inputs(0);
  EXPECT_EQ(inputs.candidates(given, nobody, 5'000)[0].share, 1000);
  EXPECT_TRUE(given.records[0]->untouched());
}

TEST(PickInputs, StartASecondReturnAnew) {
  ListenerConfig given = config(Balance::kRoundRobin, 1);
  given.policy.slow_start_s = 10;
  PickInputs inputs(0);
  given.records[0]->readmit(5'000);
  EXPECT_EQ(inputs.candidates(given, nobody, 14'000)[0].share, 910);
  given.records[0]->readmit(14'000);
  EXPECT_EQ(inputs.candidates(given, nobody, 14'000)[0].share, 100);
}

TEST(PickInputs, AskForTheClientOnlyForMaglev) {
  PickInputs inputs(0);
  for (const Balance policy :
       {Balance::kRoundRobin, Balance::kLeastConnections, Balance::kRandomTwo}) {
    EXPECT_EQ(inputs.input(config(policy, 1), never_asked).client_hash, 0U);
  }
}

TEST(PickInputs, HashAClientAlikeOnEveryWorker) {
  PickInputs one(0), other(1);
  const auto client = [] { return IpAddress::v4(0x0a000001); };
  const auto neighbour = [] { return IpAddress::v4(0x0a000002); };
  const ListenerConfig given = config(Balance::kMaglev, 1);
  const uint64_t hash = one.input(given, client).client_hash;
  EXPECT_EQ(other.input(given, client).client_hash, hash);
  EXPECT_NE(one.input(given, neighbour).client_hash, hash);
}

TEST(PickInputs, DrawFreshRandomNumbersOnEveryWorker) {
  PickInputs one(0), other(1);
  std::set<uint64_t> seen;
  const ListenerConfig given = config(Balance::kRandomTwo, 1);
  for (int i = 0; i < 100; ++i) {
    seen.insert(one.input(given, never_asked).random);
    seen.insert(other.input(given, never_asked).random);
  }
  EXPECT_EQ(seen.size(), 200U);
}

ListenerConfig grouped(std::vector<Cidr> sources) {
  ListenerConfig out = config(Balance::kRoundRobin, 1);
  out.groups.shares = {{1, 1}, {2, 1}};
  out.groups.sources = {{}, std::move(sources)};
  return out;
}

TEST(PickInputs, AskForTheClientOfGroupsOnlyWhereItMatters) {
  PickInputs inputs(0);
  EXPECT_EQ(inputs.input(grouped({}), never_asked).group, std::nullopt);
}

TEST(PickInputs, SayForWhichGroupAClientIsMeant) {
  PickInputs inputs(0);
  const ListenerConfig given = grouped({*Cidr::parse("10.0.0.0/24")});
  EXPECT_EQ(inputs.input(given, [] { return IpAddress::v4(0x0a000001); }).group, 1);
  EXPECT_EQ(inputs.input(given, [] { return IpAddress::v4(0x0a000101); }).group, std::nullopt);
}

TEST(PickInputs, HashAStickyClientUnderNoSecret) {
  PickInputs inputs(0);
  ListenerConfig given = grouped({});
  given.policy.sticky_groups = true;
  const IpAddress client = IpAddress::v4(0x0a000001);
  EXPECT_EQ(inputs.input(given, [&] { return client; }).sticky_hash,
            balance::hash_of(Endpoint{client, 0}));
}

}  // namespace
}  // namespace lb::proxy
