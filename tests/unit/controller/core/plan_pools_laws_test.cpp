// The laws of allocation over random pools: selectors, priorities, sharing, edits; seed printed.
#include <gmock/gmock.h>

#include <algorithm>
#include <cstdlib>
#include <random>

#include "tests/unit/controller/core/builders.hpp"

namespace lb::plan {
namespace {

constexpr int kWorlds = 1500;
constexpr int kServices = 8;

uint64_t seed() {
  const char* given = std::getenv("EMPALME_SEED");
  static const uint64_t kSeed = given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  return kSeed;
}

Pool random_pool(std::mt19937_64& random, int number) {
  const uint32_t first = 0xC0000201 + static_cast<uint32_t>(random() % 8);
  Pool out = flags_pool({{IpAddress::v4(first), IpAddress::v4(first + random() % 4)}});
  out.name = "p" + std::to_string(number);
  out.creation_time = std::to_string(random() % 3);
  out.priority = static_cast<int32_t>(random() % 3);
  out.auto_assign = random() % 4 != 0;
  if (random() % 3 == 0) out.namespaces = {random() % 2 == 0 ? "red" : "blue"};
  return out;
}

std::vector<Pool> random_pools(std::mt19937_64& random) {
  std::vector<Pool> out;
  for (int i = 0; i < 3; ++i) {
    if (random() % 4 != 0) out.push_back(random_pool(random, i));
  }
  return out;
}

Claim random_claim(std::mt19937_64& random) {
  Claim out;
  out.families = {Family::kV4};
  out.creation_time = std::to_string(random() % 5);
  out.who.ns = random() % 2 == 0 ? "red" : "blue";
  if (random() % 3 == 0) out.requested = {IpAddress::v4(0xC0000201 + random() % 10)};
  if (random() % 6 == 0) out.who.pool = "p" + std::to_string(random() % 3);
  if (random() % 2 == 0) out.share_key = random() % 2 == 0 ? "k" : "l";
  out.ports = {{static_cast<uint16_t>(80 + random() % 3), Protocol::kTcp}};
  return out;
}

// Allocates until nobody's outcome changes any more; what is given goes into the status.
class Rig {
 public:
  explicit Rig(std::vector<Pool> pools) : allocator(std::move(pools)) {}

  void put(const std::string& key, Claim claim) {
    const auto held = claims.find(key);
    if (held != claims.end()) claim.assigned = held->second.assigned;
    claims[key] = std::move(claim);
    dirty.insert(key);
  }
  void remove(const std::string& key) {
    claims.erase(key);
    allocator.release(key);
  }
  bool settle() {
    for (int round = 0; round < 200; ++round) {
      dirty.merge(allocator.take_changed());
      if (dirty.empty()) return true;
      for (const auto& key : std::exchange(dirty, {})) step(key);
    }
    return false;
  }
  std::map<std::string, std::vector<IpAddress>> outcome() const {
    std::map<std::string, std::vector<IpAddress>> out;
    for (const auto& [key, claim] : claims) out[key] = claim.assigned;
    return out;
  }

  Allocator allocator;
  std::map<std::string, Claim> claims;
  std::set<std::string> dirty;

 private:
  void step(const std::string& key) {
    if (!claims.contains(key)) return;
    Claim& claim = claims.at(key);
    const auto out = allocator.allocate(key, claim);
    if (out.addresses == claim.assigned) return;
    claim.assigned = out.addresses;
    dirty.insert(key);
  }
};

bool may_share(const Claim& a, const Claim& b) {
  if (a.share_key.empty() || a.share_key != b.share_key || a.who.ns != b.who.ns) return false;
  return std::none_of(a.ports.begin(), a.ports.end(),
                      [&](const auto& port) { return b.ports.contains(port); });
}

void expect_sound(const Rig& rig) {
  for (const auto& [a, x] : rig.claims) {
    for (const auto& [b, y] : rig.claims) {
      const bool both = a < b && !x.assigned.empty() && x.assigned == y.assigned;
      if (both) {
        ASSERT_TRUE(may_share(x, y)) << a << " and " << b << ", seed " << seed();
      }
    }
  }
}

TEST(PoolLaws, NoAddressHasTwoOwnersButByAShareKeyWithPortsThatDiffer) {
  std::mt19937_64 random(seed());
  for (int world = 0; world < kWorlds; ++world) {
    Rig rig(random_pools(random));
    for (int event = 0; event < 16; ++event) {
      const std::string key = "s" + std::to_string(random() % kServices);
      if (random() % 5 == 0) {
        rig.remove(key);
      } else if (random() % 5 == 0) {
        rig.allocator.set_pools(random_pools(random));
      } else {
        rig.put(key, random_claim(random));
      }
      ASSERT_TRUE(rig.settle()) << "never rests, seed " << seed() << " world " << world;
      expect_sound(rig);
    }
  }
}

TEST(PoolLaws, AnEditOfPoolsMovesNobodyWhoNamedNoPool) {
  std::mt19937_64 random(seed());
  for (int world = 0; world < kWorlds; ++world) {
    Rig rig(random_pools(random));
    for (int i = 0; i < kServices; ++i) {
      Claim claim = random_claim(random);
      claim.who.pool.clear();
      rig.put("s" + std::to_string(i), std::move(claim));
    }
    ASSERT_TRUE(rig.settle());
    const auto before = rig.outcome();
    rig.allocator.set_pools(random_pools(random));
    ASSERT_TRUE(rig.settle());
    for (const auto& [key, addresses] : rig.outcome()) {
      if (!before.at(key).empty()) {
        ASSERT_EQ(addresses, before.at(key)) << key << " seed " << seed() << " world " << world;
      }
    }
  }
}

TEST(PoolLaws, ARestartKeepsEveryAddressOfAStatusThatAPoolHas) {
  std::mt19937_64 random(seed());
  for (int world = 0; world < kWorlds; ++world) {
    const auto pools = random_pools(random);
    Rig rig(pools);
    for (int i = 0; i < kServices; ++i) rig.put("s" + std::to_string(i), random_claim(random));
    ASSERT_TRUE(rig.settle());
    Rig again(pools);
    again.claims = rig.claims;
    for (const auto& [key, claim] : rig.claims) {
      again.allocator.claim(key, claim);
      again.dirty.insert(key);
    }
    ASSERT_TRUE(again.settle());
    for (const auto& [key, addresses] : again.outcome()) {
      const auto before = rig.outcome().at(key);
      if (!before.empty()) {
        ASSERT_EQ(addresses, before) << key << " seed " << seed();
      }
    }
  }
}

TEST(PoolLaws, RequestedAddressesDoNotDependOnTheOrderOfEvents) {
  std::mt19937_64 random(seed());
  for (int world = 0; world < kWorlds; ++world) {
    const auto pools = random_pools(random);
    std::vector<std::pair<std::string, Claim>> claims;
    for (int i = 0; i < kServices; ++i) {
      claims.emplace_back("s" + std::to_string(i), random_claim(random));
      claims.back().second.requested = {IpAddress::v4(0xC0000201 + random() % 5)};
    }
    std::map<std::string, std::string> first;
    for (int order = 0; order < 3; ++order) {
      std::shuffle(claims.begin(), claims.end(), random);
      Allocator allocator(pools);
      std::map<std::string, std::string> outcome;
      for (const auto& [key, claim] : claims) allocator.allocate(key, claim);
      for (const auto& [key, claim] : claims) allocator.allocate(key, claim);
      for (const auto& [key, claim] : claims) {
        const auto out = allocator.allocate(key, claim);
        outcome[key] = out.problem ? out.problem->reason : out.addresses.front().to_string();
      }
      if (order == 0) first = outcome;
      ASSERT_EQ(outcome, first) << "seed " << seed() << " world " << world;
    }
  }
}

}  // namespace
}  // namespace lb::plan
