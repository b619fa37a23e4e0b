// What is known of Consul's instances, and what has changed because of it.
#include "controller/sources/consul_set.hpp"

#include <gmock/gmock.h>

#include "tests/unit/controller/core/consul_builders.hpp"
#include "tests/unit/controller/core/docker_builders.hpp"

namespace lb::sources {
namespace {

using plan::test::web;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

plan::ConsulInstances all(std::vector<plan::ConsulInstance> instances) {
  return {std::move(instances), {}};
}

std::vector<std::string> backends(const ConsulSet::Changes& changes) {
  if (changes.changed.empty() || changes.changed[0].ports.empty()) return {};
  return plan::test::backends(changes.changed[0].ports[0]);
}

TEST(ConsulSet, TellsOfAServiceThatIsNewAndOfOneThatIsGone) {
  ConsulSet set;
  EXPECT_THAT(backends(set.put("web", all({web("a", "10.0.0.1")}))),
              ElementsAre("10.0.0.1:8080 ready"));
  EXPECT_THAT(set.keys(), ElementsAre("consul/web"));
  EXPECT_EQ(set.instances(), 1u);
  EXPECT_THAT(set.keep({}).removed, ElementsAre("consul/web"));
  EXPECT_THAT(set.names(), IsEmpty());
  EXPECT_EQ(set.instances(), 0u);
}

TEST(ConsulSet, TellsNothingOfWhatIsAsItWas) {
  ConsulSet set;
  set.put("web", all({web("a", "10.0.0.1")}));
  EXPECT_TRUE(set.put("web", all({web("a", "10.0.0.1")})).empty());
  EXPECT_TRUE(set.put("web", all({web("a", "10.0.0.1").modified(99)})).empty());
  EXPECT_TRUE(set.keep({"web", "other"}).empty());
}

TEST(ConsulSet, TellsThatNobodyAsksAnyLonger) {
  ConsulSet set;
  set.put("web", all({web("a", "10.0.0.1")}));
  EXPECT_THAT(set.put("web", all({})).removed, ElementsAre("consul/web"));
  EXPECT_THAT(set.keys(), IsEmpty());
}

TEST(ConsulSet, KeepsWhatItKnewOfAnInstanceThatCannotBeRead) {
  ConsulSet set;
  set.put("web", all({web("a", "10.0.0.1"), web("b", "10.0.0.2")}));
  const auto changes =
      set.put("web", {{web("b", "10.0.0.3")}, {{"n1/a", {}}, {"n1/new", {}}, {"", {}}}});
  EXPECT_THAT(backends(changes), ElementsAre("10.0.0.1:8080 ready", "10.0.0.3:8080 ready"));
}

TEST(ConsulSet, BelievesNoLossWhileItDoubtsAndEachAfterwards) {
  ConsulSet set;
  set.put("web", all({web("a", "10.0.0.1"), web("b", "10.0.0.2")}));
  set.doubt();
  EXPECT_THAT(
      backends(set.put("web", all({web("a", "10.0.0.1").critical(), web("c", "10.0.0.3")}))),
      ElementsAre("10.0.0.1:8080 ready", "10.0.0.2:8080 ready", "10.0.0.3:8080 ready"));
  EXPECT_THAT(backends(set.believe()),
              ElementsAre("10.0.0.1:8080 not_ready", "10.0.0.3:8080 ready"));
  EXPECT_FALSE(set.doubted());
}

TEST(ConsulSet, TellsNothingWhereTheDoubtWasIdle) {
  ConsulSet set;
  set.put("web", all({web("a", "10.0.0.1")}));
  set.doubt();
  set.put("web", all({web("a", "10.0.0.1").critical()}));
  set.put("web", all({web("a", "10.0.0.1")}));
  EXPECT_TRUE(set.believe().empty());
}

TEST(ConsulSet, RemovesTheServiceOfAPortThatIsGone) {
  ConsulSet set;
  const auto before = set.put("web", all({web("a", "10.0.0.1")
                                              .tag("empalme.tcp.80.address=192.0.2.1")
                                              .tag("empalme.tcp.90.address=192.0.2.2")}));
  EXPECT_THAT(before.changed, SizeIs(2));
  const auto after =
      set.put("web", all({web("a", "10.0.0.1").tag("empalme.tcp.80.address=192.0.2.1")}));
  EXPECT_THAT(after.removed, ElementsAre("consul/web@tcp-90"));
  EXPECT_THAT(after.changed, IsEmpty()) << "the other one is as it was";
}

}  // namespace
}  // namespace lb::sources
