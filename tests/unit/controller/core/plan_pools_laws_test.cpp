// The laws of allocation over random pools: selectors, priorities, sharing, edits; seed printed.
#include <gmock/gmock.h>

#include <algorithm>
#include <functional>
#include <random>

#include "tests/support/seed.hpp"
#include "tests/unit/controller/core/builders.hpp"

namespace lb::plan {
namespace {

constexpr int kWorlds = 1500;
constexpr int kServices = 8;

using test::seed;

Selector random_selector(std::mt19937_64& random) {
  using enum Selector::Operator;
  constexpr Selector::Operator kAll[] = {kIn, kNotIn, kExists, kDoesNotExist};
  Selector out;
  if (random() % 3 == 0) out.labels = {{"tier", "front"}};
  const Selector::Operator op = kAll[random() % 4];
  out.expressions = {{"tier", op, {}}};
  if (op == kIn || op == kNotIn) out.expressions[0].values = {"front"};
  return out;
}

Labels random_labels(std::mt19937_64& random) {
  constexpr const char* kTiers[] = {"front", "back"};
  return random() % 3 == 0 ? Labels{} : Labels{{"tier", kTiers[random() % 2]}};
}

Pool random_pool(std::mt19937_64& random, int number) {
  const uint32_t first = 0xC0000201 + static_cast<uint32_t>(random() % 8);
  Pool out = flags_pool({{IpAddress::v4(first), IpAddress::v4(first + random() % 4)}});
  out.name = "p" + std::to_string(number);
  out.creation_time = std::to_string(random() % 3);
  out.priority = static_cast<int32_t>(random() % 3);
  out.auto_assign = random() % 4 != 0;
  if (random() % 3 == 0) out.namespaces = {random() % 2 == 0 ? "red" : "blue"};
  if (random() % 5 == 0) out.namespace_selector = random_selector(random);
  if (random() % 5 == 0) out.service_selector = random_selector(random);
  out.deleting = random() % 10 == 0;
  if (random() % 4 == 0) out.edges = {out.ranges[0].first, out.ranges[0].last};
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
  out.who.ns_labels = random_labels(random);
  out.who.labels = random_labels(random);
  if (random() % 3 == 0) out.requested = {IpAddress::v4(0xC0000201 + random() % 10)};
  if (random() % 6 == 0) out.who.pool = "p" + std::to_string(random() % 3);
  if (random() % 2 == 0) out.share_key = random() % 2 == 0 ? "k" : "l";
  out.ports = {{static_cast<uint16_t>(80 + random() % 3), Protocol::kTcp, {}}};
  return out;
}

// One address that was given by an allocate(), and what the allocator knew of before it.
struct Given {
  std::string key;
  Claim claim;
  IpAddress address;
  std::set<IpAddress> rested;  // quarantined before
};

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
    registered.erase(key);
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
  std::map<std::string, Claim> registered;  // as the allocator has them
  std::set<std::string> dirty;
  std::function<void(const Given&)> on_given = [](const Given&) {};

 private:
  void step(const std::string& key) {
    if (!claims.contains(key)) return;
    Claim& claim = claims.at(key);
    const auto rested = allocator.quarantined();
    registered[key] = claim;
    const auto out = allocator.allocate(key, claim);
    if (out.addresses == claim.assigned) return;
    if (!out.addresses.empty()) on_given({key, claim, out.addresses.front(), rested});
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

// Sixteen events in each of many worlds: Services that come, change and go, and edits of pools.
void run_worlds(const std::function<void(Rig&)>& prepare, const std::function<void(Rig&)>& check) {
  std::mt19937_64 random(seed());
  for (int world = 0; world < kWorlds; ++world) {
    Rig rig(random_pools(random));
    prepare(rig);
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
      check(rig);
      if (testing::Test::HasFailure()) return;
    }
  }
}

TEST(PoolLaws, NoAddressHasTwoOwnersButByAShareKeyWithPortsThatDiffer) {
  run_worlds([](Rig&) {}, [](Rig& rig) { expect_sound(rig); });
}

// Who may have addresses of a pool, told anew so that the code under test is not its own judge.
bool may_have(const Pool& pool, const Applicant& who) {
  const bool named = std::count(pool.namespaces.begin(), pool.namespaces.end(), who.ns) > 0;
  const bool everybody = pool.namespaces.empty() && !pool.namespace_selector;
  const bool selected = pool.namespace_selector && pool.namespace_selector->matches(who.ns_labels);
  const bool fits = !pool.service_selector || pool.service_selector->matches(who.labels);
  return !pool.deleting && (who.pool.empty() || who.pool == pool.name) && fits &&
         (everybody || named || selected);
}

// Pools that pick for this one, the first to be asked first.
std::vector<const Pool*> asked(const Rig& rig, const Applicant& who) {
  std::vector<const Pool*> out;
  for (const Pool& pool : rig.allocator.pools().all()) {
    if (may_have(pool, who) && (pool.auto_assign || !who.pool.empty())) out.push_back(&pool);
  }
  std::sort(out.begin(), out.end(), [](const Pool* a, const Pool* b) {
    return a->priority != b->priority ? a->priority > b->priority : a->name < b->name;
  });
  return out;
}

TEST(PoolLaws, NobodyIsGivenAnAddressOfAPoolThatIsNotForIt) {
  const auto judge = [](const Rig& rig, const Given& given) {
    const Pool* pool = rig.allocator.pools().owner(given.address);
    ASSERT_NE(pool, nullptr) << given.key << " seed " << seed();
    EXPECT_TRUE(may_have(*pool, given.claim.who)) << given.key << " seed " << seed();
    if (!given.claim.requested.empty()) {
      EXPECT_EQ(given.claim.requested[0], given.address);
    } else if (given.claim.who.pool.empty() && given.claim.share_key.empty()) {
      EXPECT_TRUE(pool->auto_assign) << given.key << " seed " << seed();
      // One that was asked for by number may be given once more, when nothing else is free.
      EXPECT_TRUE(!pool->avoids(given.address) || given.rested.contains(given.address))
          << given.key << " seed " << seed();
    }
  };
  run_worlds([&](Rig& rig) { rig.on_given = [&](const Given& g) { judge(rig, g); }; }, [](Rig&) {});
}

// What could have been given at that time: nobody has it or speaks for it, and it does not rest.
bool has_free(const Rig& rig, const Pool& pool) {
  std::set<IpAddress> spoken = rig.allocator.quarantined();
  for (const auto& [key, claim] : rig.registered) {
    for (const auto& each : rig.allocator.held(key)) spoken.insert(each);
    spoken.insert(claim.assigned.begin(), claim.assigned.end());
    spoken.insert(claim.requested.begin(), claim.requested.end());
  }
  const AddressRange& range = pool.ranges.at(0);
  for (std::optional<IpAddress> each = range.first; each && *each <= range.last;
       each = each->next()) {
    const bool mine = rig.allocator.pools().owner(*each) == &pool && !pool.avoids(*each);
    if (mine && !spoken.contains(*each)) return true;
  }
  return false;
}

TEST(PoolLaws, APickComesFromTheFirstPoolByPriorityAndNameThatHasAFreeAddress) {
  const auto judge = [](const Rig& rig, const Given& given) {
    if (!given.claim.requested.empty() || !given.claim.share_key.empty()) return;
    const bool rested = given.rested.contains(given.address);
    const PoolSet& pools = rig.allocator.pools();
    for (const Pool* pool : asked(rig, given.claim.who)) {
      if (!rested && pool == pools.owner(given.address)) return;
      EXPECT_FALSE(has_free(rig, *pool))
          << pool->name << " was to give to " << given.key << ", seed " << seed();
    }
  };
  run_worlds([&](Rig& rig) { rig.on_given = [&](const Given& g) { judge(rig, g); }; }, [](Rig&) {});
}

TEST(PoolLaws, WhoeverWaitsHasNoFreeAddressToWaitFor) {
  run_worlds([](Rig&) {},
             [](Rig& rig) {
               for (const auto& [key, claim] : rig.claims) {
                 if (!claim.assigned.empty() || !claim.requested.empty()) continue;
                 for (const Pool* pool : asked(rig, claim.who)) {
                   EXPECT_FALSE(has_free(rig, *pool))
                       << key << " waits beside " << pool->name << ", seed " << seed();
                 }
               }
             });
}

TEST(PoolLaws, SettlingAgainChangesNothing) {
  run_worlds([](Rig&) {},
             [](Rig& rig) {
               const auto before = rig.outcome();
               for (const auto& [key, claim] : rig.claims) rig.dirty.insert(key);
               ASSERT_TRUE(rig.settle());
               EXPECT_EQ(rig.outcome(), before) << "seed " << seed();
             });
}

TEST(PoolLaws, ARestartAfterEditsMovesNobodyWhomADataPlaneServes) {
  run_worlds([](Rig&) {},
             [](Rig& rig) {
               Rig again(rig.allocator.pools().all());
               again.claims = rig.claims;
               for (auto& [key, claim] : again.claims) {
                 claim.served = claim.assigned;
                 again.allocator.claim(key, claim);
                 again.dirty.insert(key);
               }
               ASSERT_TRUE(again.settle());
               EXPECT_EQ(again.outcome(), rig.outcome()) << "seed " << seed();
             });
}

TEST(PoolLaws, AnEditOfPoolsMovesNobody) {
  std::mt19937_64 random(seed());
  for (int world = 0; world < kWorlds; ++world) {
    Rig rig(random_pools(random));
    for (int i = 0; i < kServices; ++i) {
      rig.put("s" + std::to_string(i), random_claim(random));
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
