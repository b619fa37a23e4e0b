// What is planned for one state after the other, and that it costs what has changed.
#include "dataplane/proxy/listener_planner.hpp"

#include <gmock/gmock.h>

#include <random>

#include "common/model/diff.hpp"
#include "tests/support/seed.hpp"

namespace lb::proxy {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

IpAddress ip(uint32_t last) { return IpAddress::v4(0x0a000000 + last); }
ListenerId id(uint32_t last, uint16_t port) { return {{ip(last), port}, Protocol::kTcp}; }

Service service(const std::string& key, uint32_t address, uint16_t port, uint16_t backends = 1) {
  Service out{key, {ip(address)}, {}, {}};
  ServicePort at;
  at.port = port;
  for (uint16_t i = 1; i <= backends; ++i) at.backends.emplace_back().port = i;
  out.ports.push_back(at);
  return out;
}

class ListenerPlannerTest : public testing::Test {
 protected:
  std::set<ListenerId> plan(std::vector<Service> services) {
    DesiredState next{{1, ++generation_}, std::move(services)};
    normalise(next);
    share_equal(*held_, next);
    held_ = std::make_shared<const DesiredState>(std::move(next));
    return planner_.plan(held_, 0);
  }
  const ListenerConfig* config(const ListenerId& where) {
    return planner_.planned().at(where).config.get();
  }

  ListenerPlanner planner_{2};
  std::shared_ptr<const DesiredState> held_ = std::make_shared<const DesiredState>();
  uint64_t generation_ = 0;
};

TEST_F(ListenerPlannerTest, TouchesOnlyTheServiceThatChanged) {
  plan({service("a", 1, 80), service("b", 2, 80)});
  const auto* before = config(id(1, 80));
  EXPECT_THAT(plan({service("a", 1, 80), service("b", 2, 80, 2)}), ElementsAre(id(2, 80)));
  EXPECT_EQ(config(id(1, 80)), before);
  EXPECT_EQ(config(id(2, 80))->records.size(), 2U);
}

TEST_F(ListenerPlannerTest, TablesOfSourcesCountForAllThatWasPlanned) {
  Service limited = service("a", 1, 80), sticky = service("b", 2, 80);
  limited.ports[0].policy.max_connections_per_source = 1;
  sticky.ports[0].policy.affinity_seconds = 1;
  plan({limited, sticky});
  EXPECT_EQ(&config(id(1, 80))->limits->totals(), &planner_.source_totals());
  EXPECT_EQ(&config(id(2, 80))->affinity->totals(), &planner_.source_totals());
}

TEST_F(ListenerPlannerTest, KeepsWhatIsKnownOfABackendThatStays) {
  plan({service("a", 1, 80, 2)});
  const auto before = config(id(1, 80))->records;
  const auto* counts = config(id(1, 80))->counts.get();
  plan({service("a", 1, 80, 3)});
  EXPECT_EQ(config(id(1, 80))->records[0], before[0]);
  EXPECT_EQ(config(id(1, 80))->counts.get(), counts);
}

TEST_F(ListenerPlannerTest, NamesListenersThatAreGone) {
  plan({service("a", 1, 80), service("b", 2, 80)});
  EXPECT_THAT(plan({service("b", 2, 80)}), ElementsAre(id(1, 80)));
  EXPECT_EQ(planner_.planned().size(), 1U);
}

TEST_F(ListenerPlannerTest, HandsAListenerFromOneServiceToAnother) {
  plan({service("a", 1, 80), service("b", 2, 80)});
  EXPECT_THAT(plan({service("a", 1, 81), service("b", 1, 80)}),
              ElementsAre(id(1, 80), id(1, 81), id(2, 80)));
  EXPECT_EQ(planner_.planned().at(id(1, 80)).key, "b");
  EXPECT_THAT(planner_.failures(), IsEmpty());
}

TEST_F(ListenerPlannerTest, GivesAContestedListenerToTheLaterOnceTheEarlierIsGone) {
  plan({service("a", 1, 80), service("b", 1, 80)});
  ASSERT_EQ(planner_.failures().size(), 1U);
  EXPECT_EQ(planner_.failures()[0].key, "b");
  plan({service("b", 1, 80)});
  EXPECT_EQ(planner_.planned().at(id(1, 80)).key, "b");
  EXPECT_THAT(planner_.failures(), IsEmpty());
}

TEST_F(ListenerPlannerTest, TakesAListenerFromTheLaterWhenAnEarlierKeyWantsIt) {
  plan({service("b", 1, 80)});
  plan({service("a", 1, 80), service("b", 1, 80)});
  EXPECT_EQ(planner_.planned().at(id(1, 80)).key, "a");
  ASSERT_EQ(planner_.failures().size(), 1U);
}

TEST_F(ListenerPlannerTest, PlansTheSameStepByStepAsFromNothing) {
  const uint32_t seed = test::seed();
  SCOPED_TRACE("EMPALME_SEED=" + std::to_string(seed));
  std::mt19937 random(seed);
  for (int step = 0; step < 1000; ++step) {
    std::vector<Service> services;
    for (char name = 'a'; name < 'f'; ++name) {
      if (random() % 3 == 0) continue;
      services.push_back(service({name}, 1 + random() % 4, static_cast<uint16_t>(80 + random() % 2),
                                 static_cast<uint16_t>(random() % 3)));
    }
    plan(services);
    ListenerPlanner fresh(2);
    fresh.plan(held_, 0);
    ASSERT_EQ(planner_.failures(), fresh.failures()) << "step " << step;
    ASSERT_EQ(planner_.planned().size(), fresh.planned().size());
    for (const auto& [where, planned] : fresh.planned()) {
      ASSERT_EQ(planner_.planned().at(where).key, planned.key) << "step " << step;
      ASSERT_EQ(config(where)->records.size(), planned.config->records.size());
    }
  }
}

TEST_F(ListenerPlannerTest, RemembersFewServicesOfThoseThatCameAndWent) {
  for (int i = 0; i < 1000; ++i) plan({service("s" + std::to_string(i), 1, 80)});
  EXPECT_LT(planner_.remembered(), 300U);
}

TEST_F(ListenerPlannerTest, RemembersFewBackendsOfThoseThatCameAndWent) {
  std::vector<Service> services;
  for (uint16_t i = 0; i < 100; ++i) services.push_back(service(std::to_string(i), i + 1, 80));
  for (uint16_t step = 0; step < 50; ++step) {
    auto& backends = services[0].ports[0].backends;
    backends.assign(100, {});
    for (uint16_t i = 0; i < 100; ++i) backends[i].port = static_cast<uint16_t>(step * 100 + i + 1);
    plan(services);
  }
  EXPECT_LT(planner_.remembered(), 1000U) << "399 are in use";
}

TEST_F(ListenerPlannerTest, ForgetsBackendsThatNobodyUsesAnyMore) {
  for (uint16_t i = 1; i <= 500; ++i) plan({service("a", 1, 80, static_cast<uint16_t>(1 + i % 7))});
  const BackendId last{"a", 80, Protocol::kTcp, {IpAddress{}, 7}};
  plan({service("a", 1, 80)});
  EXPECT_EQ(planner_.find(last), nullptr);
}

}  // namespace
}  // namespace lb::proxy
