// The laws of allocator and plan over generated worlds: thousands of histories, the seed printed.
#include <gmock/gmock.h>

#include <algorithm>
#include <random>

#include "tests/support/seed.hpp"
#include "tests/unit/controller/core/builders.hpp"

namespace lb::plan {
namespace {

constexpr int kWorlds = 3000;

using test::seed;

// A cluster in small: objects, what is published, and a controller that plans until it rests.
class Cluster {
 public:
  explicit Cluster(std::vector<AddressRange> pools) : allocator_(std::move(pools)) {}

  void put(const ServiceBuilder& builder) {
    objects_.insert_or_assign(builder.key(), builder);
    touch(builder.key());
  }
  void remove(const std::string& key) {
    const auto found = objects_.find(key);
    if (found == objects_.end()) return;
    found->second.deleting();
    touch(key);
  }

  // Plans, publishes, acknowledges and writes until nothing is left to do.
  bool settle() {
    for (int round = 0; round < 200; ++round) {
      auto changed = allocator_.take_changed();
      dirty_.merge(changed);
      if (dirty_.empty()) return true;
      const auto keys = std::exchange(dirty_, {});
      for (const auto& key : keys) step(key);
    }
    return false;
  }

  void restart(std::vector<AddressRange> pools) {
    allocator_ = Allocator(std::move(pools));
    for (auto& [key, plan] : plan_all(world_, allocator_)) carry_out(key, plan);
  }

  std::map<std::string, std::string> addresses() const {
    std::map<std::string, std::string> out;
    for (const auto& [key, service] : world_.published) {
      const auto& addresses = service.service->addresses;
      out[key] = addresses.empty() ? "" : addresses.front().to_string();
    }
    return out;
  }

  World world_;
  Allocator allocator_;
  std::map<std::string, ServiceBuilder> objects_;

 private:
  void touch(const std::string& key) {
    const auto found = objects_.find(key);
    if (found == objects_.end()) {
      world_.services.erase(key);
    } else {
      world_.services[key] = found->second.source();
    }
    dirty_.insert(key);
  }
  void step(const std::string& key) {
    const ServicePlan plan = plan_service(world_, allocator_, key);
    carry_out(key, plan);
  }
  void carry_out(const std::string& key, const ServicePlan& plan) {
    const auto held = world_.published.find(key);
    const bool same = plan.desired
                          ? held != world_.published.end() && *held->second.service == *plan.desired
                          : held == world_.published.end();
    if (!same) {
      if (plan.desired) {
        world_.published[key] = {std::make_shared<const Service>(*plan.desired)};
      } else {
        world_.published.erase(key);
      }
      dirty_.insert(key);
    }
    if (!plan.patch) return;
    auto& object = objects_.at(key);
    apply(*plan.patch, object.object());
    const bool gone =
        !object.object().meta.deletion_time.empty() && object.object().meta.finalizers.empty();
    if (gone) objects_.erase(key);
    touch(key);
  }

  std::set<std::string> dirty_;
};

ServiceBuilder random_service(std::mt19937_64& random, int number) {
  auto out = service("s" + std::to_string(number)).unmarked();
  out.created("2026-01-01T00:00:" + std::to_string(10 + random() % 50) + "Z");
  if (random() % 3 == 0) out.requests("192.0.2." + std::to_string(10 + random() % 8));
  if (random() % 8 == 0) out.type("ClusterIP");
  return out;
}

std::vector<AddressRange> small_pool() { return {pool("192.0.2.10-192.0.2.15")}; }

void expect_no_address_twice(const Cluster& cluster) {
  std::set<std::string> seen;
  for (const auto& [key, address] : cluster.addresses()) {
    EXPECT_TRUE(seen.insert(address).second) << address << " is served twice, seed " << seed();
  }
}

TEST(PlanLaws, NoAddressIsEverServedTwiceOrOutsideThePools) {
  std::mt19937_64 random(seed());
  for (int world = 0; world < kWorlds; ++world) {
    Cluster cluster(small_pool());
    for (int event = 0; event < 12; ++event) {
      if (random() % 4 == 0) {
        cluster.remove("kubernetes/default/s" + std::to_string(random() % 8));
      } else {
        cluster.put(random_service(random, static_cast<int>(random() % 8)));
      }
      ASSERT_TRUE(cluster.settle()) << "never rests, seed " << seed() << " world " << world;
      expect_no_address_twice(cluster);
      for (const auto& [key, address] : cluster.addresses()) {
        ASSERT_TRUE(cluster.allocator_.in_pool(ip(address))) << address << " seed " << seed();
      }
    }
  }
}

TEST(PlanLaws, PlanningItsOwnResultChangesNothing) {
  std::mt19937_64 random(seed());
  for (int world = 0; world < kWorlds; ++world) {
    Cluster cluster(small_pool());
    for (int i = 0; i < 8; ++i) cluster.put(random_service(random, i));
    ASSERT_TRUE(cluster.settle());
    for (const auto& [key, plan] : plan_all(cluster.world_, cluster.allocator_)) {
      EXPECT_EQ(plan.patch, std::nullopt) << key << " seed " << seed();
      EXPECT_TRUE(plan.events.empty()) << key << " seed " << seed();
      const auto served = cluster.world_.published.find(key);
      const bool same = plan.desired ? served != cluster.world_.published.end() &&
                                           *served->second.service == *plan.desired
                                     : served == cluster.world_.published.end();
      EXPECT_TRUE(same) << key << " seed " << seed();
    }
  }
}

TEST(PlanLaws, RequestedAddressesDoNotDependOnTheOrderOfEvents) {
  std::mt19937_64 random(seed());
  for (int world = 0; world < kWorlds; ++world) {
    std::vector<ServiceBuilder> services;
    for (int i = 0; i < 6; ++i) {
      services.push_back(service("s" + std::to_string(i)));
      services.back().created("2026-01-01T00:00:" + std::to_string(10 + random() % 50) + "Z");
      services.back().requests("192.0.2." + std::to_string(10 + random() % 4));
    }
    std::map<std::string, std::string> first;
    for (int order = 0; order < 3; ++order) {
      std::shuffle(services.begin(), services.end(), random);
      Cluster cluster(small_pool());
      // Planned together, before any status is written: what is written is a claim of its own.
      for (const auto& builder : services) {
        cluster.world_.services[builder.key()] = builder.source();
        plan_service(cluster.world_, cluster.allocator_, builder.key());
      }
      std::map<std::string, std::string> outcome;
      for (const auto& [key, plan] : plan_all(cluster.world_, cluster.allocator_)) {
        outcome[key] = plan.desired ? plan.desired->addresses.front().to_string() : "none";
      }
      if (order == 0) first = outcome;
      ASSERT_EQ(outcome, first) << "seed " << seed() << " world " << world;
    }
  }
}

TEST(PlanLaws, ARestartKeepsEveryAddressThatIsInAStatus) {
  std::mt19937_64 random(seed());
  for (int world = 0; world < kWorlds; ++world) {
    Cluster cluster(small_pool());
    for (int i = 0; i < 6; ++i) cluster.put(random_service(random, i));
    ASSERT_TRUE(cluster.settle());
    const auto before = cluster.addresses();
    cluster.restart(small_pool());
    ASSERT_TRUE(cluster.settle());
    EXPECT_EQ(cluster.addresses(), before) << "seed " << seed();
  }
}

TEST(PlanLaws, EverythingThatIsDeletedGoesAndItsAddressesComeBack) {
  std::mt19937_64 random(seed());
  for (int world = 0; world < kWorlds; ++world) {
    Cluster cluster(small_pool());
    for (int i = 0; i < 8; ++i) cluster.put(random_service(random, i));
    ASSERT_TRUE(cluster.settle());
    for (int i = 0; i < 8; ++i) {
      const std::string key = "kubernetes/default/s" + std::to_string(i);
      const auto found = cluster.objects_.find(key);
      if (found != cluster.objects_.end() && found->second.object().meta.finalizers.empty()) {
        cluster.objects_.erase(found);
        continue;
      }
      cluster.remove(key);
    }
    ASSERT_TRUE(cluster.settle());
    EXPECT_TRUE(cluster.objects_.empty()) << "seed " << seed();
    EXPECT_TRUE(cluster.addresses().empty()) << "seed " << seed();
    EXPECT_EQ(cluster.allocator_.usage().assigned, 0u) << "seed " << seed();
  }
}

}  // namespace
}  // namespace lb::plan
