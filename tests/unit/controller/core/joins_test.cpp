// Groups whose backends another service has: what is taken in, and what is said where nothing is.
#include "controller/core/joins.hpp"

#include <gmock/gmock.h>

#include <map>

#include "common/model/state_json.hpp"
#include "controller/core/service_status.hpp"
#include "tests/unit/controller/core/builders.hpp"

namespace lb::plan {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing::UnorderedElementsAre;

Backend backend_at(const std::string& address, const std::string& group = "") {
  Backend out;
  out.address = ip(address);
  out.port = 8080;
  out.group = group;
  return out;
}

ServicePort port_with(uint16_t number, std::vector<Backend> backends,
                      const std::string& name = "") {
  ServicePort out;
  out.name = name;
  out.port = number;
  out.backends = std::move(backends);
  return out;
}

class JoinsTest : public testing::Test {
 protected:
  void guest(const std::string& key, std::vector<ServicePort> ports) {
    world_.services[key].key = key;
    world_.services[key].ports = std::move(ports);
  }
  // "address group" of each backend of the host, whose port 80 is named "http".
  std::vector<std::string> taken(const Join& join) {
    SourceService host;
    host.key = "file/host";
    host.joins = {join};
    std::vector<ServicePort> ports{port_with(80, {backend_at("10.0.0.1", "own")}, "http")};
    ports[0].groups = {{"new", 1, {}}, {"own", 1, {}}};
    take_in(world_, host, ports, problems_);
    std::vector<std::string> out;
    for (const auto& each : ports[0].backends) {
      out.push_back(each.address.to_string() + " " + each.group);
    }
    return out;
  }
  Join join(uint16_t port = 0) const { return {80, Protocol::kTcp, "new", "file/b", port}; }

  World world_;
  std::vector<Problem> problems_;
};

TEST_F(JoinsTest, TheGuestsBackendsAreOfTheGroup) {
  guest("file/b", {port_with(80, {backend_at("10.0.0.2"), backend_at("10.0.0.3", "its own")})});
  EXPECT_THAT(taken(join()), ElementsAre("10.0.0.1 own", "10.0.0.2 new", "10.0.0.3 new"));
  EXPECT_THAT(problems_, IsEmpty());
}

TEST_F(JoinsTest, ABackendOfBothStaysWhereItIs) {
  guest("file/b", {port_with(80, {backend_at("10.0.0.1"), backend_at("10.0.0.2")})});
  EXPECT_THAT(taken(join()), ElementsAre("10.0.0.1 own", "10.0.0.2 new"));
  ASSERT_THAT(problems_, SizeIs(1)) << "two selectors that overlap";
  EXPECT_THAT(problems_[0].message, HasSubstr("1 of 2 backends of file/b are in another group"));
}

TEST_F(JoinsTest, WhileItsSourceIsAwayAGuestIsWhatIsPublished) {
  Service published{
      "file/host",
      {},
      {port_with(80, {backend_at("10.0.0.7", "new"), backend_at("10.0.0.8", "other")})},
      {}};
  world_.published["file/host"].service = std::make_shared<const Service>(published);
  EXPECT_THAT(taken(join()), SizeIs(1)) << "the source is there, the guest is not";
  world_.unsynced = {"file/"};
  problems_.clear();
  EXPECT_THAT(taken(join()), ElementsAre("10.0.0.1 own", "10.0.0.7 new"));
  EXPECT_THAT(problems_, IsEmpty());
}

TEST_F(JoinsTest, ThePortIsTheOneNamedThenOfTheSameNameThenNumberThenTheOnlyOne) {
  guest("file/b",
        {port_with(81, {backend_at("10.0.0.2")}, "http"), port_with(80, {backend_at("10.0.0.3")}),
         port_with(82, {backend_at("10.0.0.4")})});
  EXPECT_THAT(taken(join(82)), ElementsAre("10.0.0.1 own", "10.0.0.4 new"));
  EXPECT_THAT(taken(join()), ElementsAre("10.0.0.1 own", "10.0.0.2 new"));
  world_.services["file/b"].ports[0].name = "";
  EXPECT_THAT(taken(join()), ElementsAre("10.0.0.1 own", "10.0.0.3 new"));
  guest("file/b", {port_with(9000, {backend_at("10.0.0.5")})});
  EXPECT_THAT(taken(join()), ElementsAre("10.0.0.1 own", "10.0.0.5 new"));
}

TEST_F(JoinsTest, WhereThePortIsNotPlainNothingIsTakenAndItIsSaid) {
  guest("file/b", {port_with(1, {backend_at("10.0.0.2")}), port_with(2, {backend_at("10.0.0.3")})});
  EXPECT_THAT(taken(join()), SizeIs(1));
  ASSERT_THAT(problems_, SizeIs(1));
  EXPECT_EQ(problems_[0].message, "group 'new' of port 80: file/b has no such port; say which");
}

TEST_F(JoinsTest, AGuestOfAnotherProtocolIsNone) {
  guest("file/b", {port_with(80, {backend_at("10.0.0.2")})});
  world_.services["file/b"].ports[0].protocol = Protocol::kUdp;
  EXPECT_THAT(taken(join()), SizeIs(1));
  EXPECT_THAT(problems_, SizeIs(1));
}

TEST_F(JoinsTest, WhatAClusterMayNotNameIsLeftOutUnderTheHostsKeyToo) {
  guest("kubernetes/d/b", {port_with(80, {backend_at("127.0.0.1"), backend_at("10.0.0.2")})});
  EXPECT_THAT(taken({80, Protocol::kTcp, "new", "kubernetes/d/b", 0}),
              ElementsAre("10.0.0.1 own", "10.0.0.2 new"));
  ASSERT_THAT(problems_, SizeIs(1));
  EXPECT_THAT(problems_[0].message, HasSubstr("127.0.0.1:8080 of kubernetes/d/b: "));
}

TEST_F(JoinsTest, AGuestThatIsNotThereIsSaidAndBlocksNothing) {
  EXPECT_THAT(taken(join()), ElementsAre("10.0.0.1 own"));
  ASSERT_THAT(problems_, SizeIs(1));
  EXPECT_EQ(problems_[0].reason, "GroupWithoutService");
  EXPECT_EQ(problems_[0].message, "group 'new' of port 80: there is no service file/b");
  EXPECT_FALSE(problems_[0].blocks);
  EXPECT_EQ(problems_[0].port, 0) << "the port is served";
}

TEST(JoinIndex, KnowsBothWaysAndForgets) {
  JoinIndex index;
  index.set("a", {{80, Protocol::kTcp, "x", "g", 0}, {80, Protocol::kTcp, "y", "h", 0}});
  index.set("b", {{80, Protocol::kTcp, "x", "g", 0}});
  EXPECT_THAT(index.hosts_of("g"), UnorderedElementsAre("a", "b"));
  EXPECT_THAT(index.guests_of("a"), UnorderedElementsAre("g", "h"));
  index.set("a", {{80, Protocol::kTcp, "y", "h", 0}});
  EXPECT_THAT(index.hosts_of("g"), UnorderedElementsAre("b"));
  index.set("b", {});
  EXPECT_THAT(index.hosts_of("g"), IsEmpty());
}

SourceService annotated(const std::string& groups) {
  return service("web")
      .annotated(kGroupsAnnotation, groups)
      .source({SliceBuilder("web").port("p80", 8080).endpoint("10.0.0.1")});
}

TEST(GroupsAnnotation, MakesAGroupOfEachServiceAndJoinsTheOthersOfItsNamespace) {
  const auto web = annotated("web=90, web-canary=10");
  ASSERT_THAT(web.problems, IsEmpty());
  EXPECT_THAT(web.ports[0].groups,
              ElementsAre(BackendGroup{"web", 90, {}}, BackendGroup{"web-canary", 10, {}}));
  EXPECT_EQ(web.ports[0].backends[0].group, "web");
  EXPECT_THAT(web.joins, ElementsAre(Join{80, Protocol::kTcp, "web-canary",
                                          "kubernetes/default/web-canary", 0}));
}

TEST(GroupsAnnotation, WhatCannotBeReadIsSaidAndTheServiceServedByItsOwn) {
  for (const char* wrong : {"web", "web=x", "web=70000", "web=1,web=2", "other=1", "=1", "web=", "",
                            "web=1,Not-A-Name=1"}) {
    const auto web = annotated(wrong);
    ASSERT_THAT(web.problems, SizeIs(1)) << wrong;
    EXPECT_EQ(web.problems[0].reason, "InvalidAnnotation");
    EXPECT_THAT(web.problems[0].message, HasSubstr(kGroupsAnnotation));
    EXPECT_THAT(web.ports[0].groups, IsEmpty());
    EXPECT_THAT(web.joins, IsEmpty());
  }
}

// One that it would refuse would keep all changes of all Services from it.
TEST(GroupsAnnotation, WhateverATenantWritesADataPlaneTakesIt) {
  std::string many = "web=1";
  for (int i = 0; i < 63; ++i) many += ",a" + std::to_string(i) + "=1";
  for (const std::string& text :
       {many, many + ",one-more=1", "web=1," + std::string(5000, 'a') + "=1"}) {
    const auto web = annotated(text);
    DesiredState state{{1, 1}, {}};
    state.services.push_back({web.key, {ip("192.0.2.10")}, web.ports, {}});
    const auto decoded = decode_state(encode_state(state));
    EXPECT_TRUE(decoded.ok()) << decoded.error().pointer << " " << decoded.error().message;
    EXPECT_EQ(web.ports[0].groups.size(), text == many ? 64u : 0u);
  }
}

TEST(GroupsAnnotation, AServiceOneOfWhoseGroupsHasNobodyIsProgrammed) {
  const auto web = annotated("web=90, web-canary=10");
  World world;
  std::vector<ServicePort> ports = web.ports;
  std::vector<Problem> problems;
  world.services[web.key] = web;
  take_in(world, web, ports, problems);
  const auto status = served_status({web, {ip("192.0.2.10")}, problems, {}, {}});
  std::map<std::string, std::string> said;
  for (const auto& each : status.conditions) said[each.type] = each.status + " " + each.reason;
  EXPECT_EQ(said[kProgrammed], "True Programmed");
  EXPECT_EQ(said[kDegraded], "True GroupWithoutService");
  EXPECT_FALSE(said.contains(kPortsError));
}

TEST(GroupsAnnotation, ThePlanServesBothByTheirShares) {
  World world;
  Allocator allocator{{pool("192.0.2.10-192.0.2.12")}};
  const auto web = annotated("web=90, web-canary=10");
  world.services[web.key] = web;
  const auto canary =
      service("web-canary")
          .type("ClusterIP")
          .source({SliceBuilder("web-canary").port("p80", 9090).endpoint("10.0.0.9")});
  world.services[canary.key] = canary;
  const auto plan = plan_service(world, allocator, web.key);
  ASSERT_TRUE(plan.desired);
  const auto& backends = plan.desired->ports[0].backends;
  ASSERT_THAT(backends, SizeIs(2));
  EXPECT_EQ(backends[0].group, "web");
  EXPECT_EQ(backends[1].group, "web-canary");
  EXPECT_EQ(backends[1].endpoint().to_string(), "10.0.0.9:9090");
}

TEST_F(JoinsTest, AGuestThatListensNowhereIsForThoseThatTakeItIn) {
  guest("docker/shop/web", {port_with(80, {backend_at("10.0.0.7")})});
  SourceService& host = world_.services["file/shop"];
  host.key = "file/shop";
  host.addresses = {ip("127.0.0.1")};
  host.ports = {port_with(80, {})};
  host.ports[0].groups = {{"containers", 1, {}}};
  host.joins = {{80, Protocol::kTcp, "containers", "docker/shop/web", 0}};
  Allocator allocator{{pool("192.0.2.10-192.0.2.12")}};
  EXPECT_EQ(plan_service(world_, allocator, "docker/shop/web").desired, std::nullopt);
  const auto out = plan_service(world_, allocator, "file/shop");
  ASSERT_THAT(out.desired->ports.at(0).backends, SizeIs(1));
  EXPECT_EQ(out.desired->ports[0].backends[0].address, ip("10.0.0.7"));
}

}  // namespace
}  // namespace lb::plan
