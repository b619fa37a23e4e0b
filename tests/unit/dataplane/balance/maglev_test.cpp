#include "dataplane/balance/maglev.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/dataplane/balance/balance_support.hpp"

namespace lb::balance {
namespace {

class MaglevTest : public ::testing::Test {
 protected:
  size_t picked(const Candidates& candidates, uint64_t client, const PickOptions& options = {}) {
    return picker_.pick(candidates, {client, 0}, options).value_or(SIZE_MAX);
  }

  // Flows of `clients` random clients whose backend differs between two lists, that of `before`
  // being `leaver`, and those of everybody else.
  std::pair<int, int> moves(const Candidates& before, const Candidates& after, size_t leaver,
                            int clients) {
    std::pair<int, int> out;
    Maglev then, now;
    for (int i = 0; i < clients; ++i) {
      const uint64_t client = random_();
      const size_t from = *then.pick(before, {client, 0}, {});
      const size_t to = *now.pick(after, {client, 0}, {});
      if (before[from].identity == after[to].identity) continue;
      ++(from == leaver ? out.first : out.second);
    }
    return out;
  }

  const uint32_t start_ = seed();
  ::testing::ScopedTrace trace_{__FILE__, __LINE__, seed_text(start_)};
  Random random_{start_};
  Maglev picker_;
};

TEST_F(MaglevTest, GivesAClientTheSameBackendOnEveryWorker) {
  const Candidates candidates = equals(7);
  const auto left = make_picker(Balance::kMaglev, 0), right = make_picker(Balance::kMaglev, 1);
  for (int i = 0; i < 1000; ++i) {
    const uint64_t client = random_();
    EXPECT_EQ(left->pick(candidates, {client, 1}, {}), right->pick(candidates, {client, 2}, {}));
  }
}

TEST_F(MaglevTest, SharesByWeightOverRandomClients) {
  const Counts got = shares(picker_, with_weights({5, 3, 2}), kPicks, random_);
  EXPECT_NEAR(got[0], kPicks * 0.5, kPicks * 0.01);
  EXPECT_NEAR(got[1], kPicks * 0.3, kPicks * 0.01);
  EXPECT_NEAR(got[2], kPicks * 0.2, kPicks * 0.01);
}

TEST_F(MaglevTest, NeverPicksWeightZero) {
  EXPECT_EQ(shares(picker_, with_weights({0, 1, 0}), 1000, random_), (Counts{0, 1000, 0}));
  EXPECT_EQ(picked(with_weights({0, 0}), 1), SIZE_MAX);
  EXPECT_EQ(picked({}, 1), SIZE_MAX);
}

TEST_F(MaglevTest, MovesAtMostTwiceTheLeaversPartWhenOneLeavesTheList) {
  for (size_t count = 3; count <= 50; ++count) {
    const Candidates before = equals(count, uint32_t(random_() % 1'000'000));
    const size_t leaver = random_() % count;
    Candidates after = before;
    after.erase(after.begin() + int64_t(leaver));
    constexpr int kClients = 20'000;
    const auto [its, others] = moves(before, after, leaver, kClients);
    EXPECT_LE(its + others, 2.0 * kClients / double(count)) << count;
    EXPECT_LE(others, kClients * 0.03) << count;
  }
}

TEST_F(MaglevTest, MovesNobodyElseWhenOneMayNotBePicked) {
  const std::vector<Candidate> ways_out = {{.state = BackendState::kDraining},
                                           {.state = BackendState::kNotReady},
                                           {.health = Health::kDown},
                                           {.ejected = true},
                                           {.tried = true}};
  for (const Candidate& way : ways_out) {
    const Candidates before = equals(10);
    Candidates after = before;
    after[4] = way;
    after[4].identity = before[4].identity;
    const auto [its, others] = moves(before, after, 4, 10'000);
    EXPECT_NEAR(its, 1000, 200);
    EXPECT_EQ(others, 0);
  }
}

TEST_F(MaglevTest, SpreadsTheFlowsOfOneThatIsOutByWeight) {
  Candidates candidates = with_weights({60, 20, 10, 10});
  candidates[0].ejected = true;
  const Counts got = shares(picker_, candidates, kPicks, random_);
  EXPECT_NEAR(got[1], kPicks * 0.5, kPicks * 0.01);
  EXPECT_NEAR(got[2], kPicks * 0.25, kPicks * 0.01);
  EXPECT_NEAR(got[3], kPicks * 0.25, kPicks * 0.01);
}

TEST_F(MaglevTest, BringsEverybodyHomeWhenItComesBack) {
  Candidates candidates = equals(5);
  std::vector<uint64_t> clients(1000);
  for (uint64_t& client : clients) client = random_();
  std::vector<size_t> homes;
  for (const uint64_t client : clients) homes.push_back(picked(candidates, client));
  candidates[2].health = Health::kDown;
  for (const uint64_t client : clients) EXPECT_NE(picked(candidates, client), 2U);
  candidates[2].health = Health::kUnknown;
  for (size_t i = 0; i < clients.size(); ++i) EXPECT_EQ(picked(candidates, clients[i]), homes[i]);
}

TEST_F(MaglevTest, FindsTheOnlyOneLeftOfThousands) {
  Candidates candidates = equals(2000);
  for (Candidate& each : candidates) each.state = BackendState::kNotReady;
  candidates[1234].state = BackendState::kReady;
  EXPECT_EQ(shares(picker_, candidates, 1000, random_)[1234], 1000U);
}

TEST_F(MaglevTest, SpreadsByWeightWhenOnlyAFewOfThousandsAreLeft) {
  Candidates candidates = equals(2000);
  for (Candidate& each : candidates) each.state = BackendState::kNotReady;
  for (const size_t i : {10, 500, 1999}) candidates[i].state = BackendState::kReady;
  candidates[10].weight = 2;
  const Counts got = shares(picker_, candidates, 20'000, random_);
  EXPECT_NEAR(got[10], 10'000, 600);
  EXPECT_NEAR(got[500], 5'000, 600);
}

TEST_F(MaglevTest, KeepsAClientOnItsBackendWhileThatHasRoom) {
  Candidates candidates = equals(10);
  for (Candidate& each : candidates) each.connections = 100;
  const uint64_t client = random_();
  const size_t home = picked(candidates, client);
  candidates[home].connections = 125;
  EXPECT_EQ(picked(candidates, client), home);
  candidates[home].connections = 140;
  const size_t away = picked(candidates, client);
  EXPECT_NE(away, home);
  EXPECT_EQ(picked(candidates, client), away) << "where to is settled as well";
}

TEST_F(MaglevTest, LetsAnyBackendHaveTwo) {
  Candidates candidates = equals(10);
  const uint64_t client = random_();
  const size_t home = picked(candidates, client);
  candidates[home].connections = 1;
  EXPECT_EQ(picked(candidates, client), home);
  candidates[home].connections = 2;
  EXPECT_NE(picked(candidates, client), home);
}

TEST_F(MaglevTest, CountsTheLoadOfTheTierOnly) {
  Candidates candidates = equals(3);
  candidates[0] = {.health = Health::kDown, .connections = 1'000'000, .identity = 1};
  candidates[1].connections = 10;
  EXPECT_EQ(shares(picker_, candidates, 1000, random_), (Counts{0, 0, 1000}));
}

// All from one client hash: whoever aims could do no worse.
TEST_F(MaglevTest, BoundsTheLoadOfAMillionSourcesThatAllHitOneBackend) {
  Candidates candidates = equals(10);
  const uint64_t client = random_();
  for (int i = 0; i < 1'000'000; ++i) ++candidates[picked(candidates, client)].connections;
  for (const Candidate& each : candidates) EXPECT_LE(each.connections, 1.25 * 100'000 + 1);
}

TEST_F(MaglevTest, BoundsTheLoadByWeightAtEveryStep) {
  Candidates candidates = with_weights({5, 3, 2, 10});
  const uint64_t client = random_();
  for (int i = 1; i <= 20'000; ++i) {
    ++candidates[picked(candidates, client)].connections;
    if (i < 20) continue;  // below, two are always allowed
    for (const Candidate& each : candidates) {
      ASSERT_LE(each.connections, 1.25 * i * each.weight / 20 + 1) << i;
    }
  }
}

// Sources sought out, with another secret, to land all in one place, spread as any others.
TEST_F(MaglevTest, SpreadsSourcesThatWereSoughtOutUnderAnotherSecret) {
  const Candidates candidates = equals(4);
  Counts got(4);
  int found = 0;
  for (uint32_t address = 0; found < 10'000; ++address) {
    const IpAddress source = IpAddress::v4(address);
    if (picked(candidates, hash_of(source, 1)) != 0) continue;
    ++found;
    ++got[picked(candidates, hash_of(source, start_ + 2))];
  }
  for (const uint32_t count : got) EXPECT_NEAR(count, 2500, 300);
}

TEST_F(MaglevTest, GivesABackendInSlowStartItsPartOfItsFlowsOnly) {
  Candidates candidates = equals(4);
  candidates[1].share = 300;
  const Counts got = shares(picker_, candidates, kPicks, random_);
  EXPECT_NEAR(got[1], kPicks * 0.25 * 0.3, kPicks * 0.01);
  EXPECT_NEAR(got[0], kPicks * (0.25 + 0.25 * 0.7 / 3), kPicks * 0.01);
}

TEST_F(MaglevTest, NeverTakesAClientBackWhileASlowStartGoesOn) {
  Candidates candidates = equals(4);
  for (int i = 0; i < 300; ++i) {
    const uint64_t client = random_();
    candidates[1].share = 1000;
    const size_t home = picked(candidates, client);
    bool there = false;
    for (uint16_t share = 100; share <= 1000; share += 100) {
      candidates[1].share = share;
      const size_t now = picked(candidates, client);
      if (home != 1) {
        ASSERT_EQ(now, home) << "flows of the others stay";
      } else {
        ASSERT_TRUE(!there || now == 1);
      }
      there = now == 1;
    }
  }
}

TEST_F(MaglevTest, ServesEverybodyWhenAllStartSlowly) {
  Candidates candidates = equals(3);
  for (Candidate& each : candidates) each.share = 100;
  const Counts got = shares(picker_, candidates, 30'000, random_);
  for (const uint32_t count : got) EXPECT_NEAR(count, 10'000, 600);
}

TEST_F(MaglevTest, PrefersTheZoneAndGoesHomeToIt) {
  Candidates candidates = equals(6);
  candidates[0].near = candidates[3].near = true;
  const PickOptions near{.panic_percent = 0, .prefer_near = true};
  const Counts got = shares(picker_, candidates, kPicks, random_, near);
  EXPECT_EQ(got[0] + got[3], uint32_t(kPicks));
  EXPECT_NEAR(got[0], kPicks / 2, kPicks * 0.01);
  candidates[0].ejected = candidates[3].ejected = true;
  EXPECT_EQ(shares(picker_, candidates, 1000, random_, near)[0], 0U);
}

}  // namespace
}  // namespace lb::balance
