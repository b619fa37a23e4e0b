// Services that instances of Consul become by their tags.
#include <gmock/gmock.h>

#include <algorithm>

#include "tests/unit/controller/core/consul_builders.hpp"
#include "tests/unit/controller/core/docker_builders.hpp"

namespace lb::plan {
namespace {

using namespace test;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

std::vector<SourceService> made(const std::vector<ConsulInstance>& instances) {
  return consul_services("web", instances);
}

std::vector<std::string> backends_of(const std::vector<ConsulInstance>& instances) {
  const auto services = made(instances);
  if (services.empty() || services[0].ports.empty()) return {};
  return backends(services[0].ports[0]);
}

TEST(ConsulServices, AreMadeOfInstancesThatAskForItAtTheirOwnPort) {
  const auto services = made({web("b", "10.0.0.2"), web("a", "10.0.0.1")});
  ASSERT_THAT(services, SizeIs(1));
  EXPECT_EQ(services[0].key, "consul/web");
  EXPECT_THAT(services[0].addresses, ElementsAre(IpAddress::parse("0.0.0.0").value()));
  ASSERT_THAT(services[0].ports, SizeIs(1));
  EXPECT_EQ(services[0].ports[0].port, 80);
  EXPECT_EQ(services[0].ports[0].name, "tcp-80");
  EXPECT_THAT(backends(services[0].ports[0]),
              ElementsAre("10.0.0.1:8080 ready", "10.0.0.2:8080 ready"));
  EXPECT_THAT(services[0].problems, IsEmpty());
}

TEST(ConsulServices, LeaveOutWhoeverDoesNotAsk) {
  EXPECT_THAT(made({InstanceBuilder("a", "10.0.0.1", 80)}), IsEmpty());
  EXPECT_THAT(made({InstanceBuilder("a", "10.0.0.1", 80).tag("empalme.tcp.80")}), IsEmpty());
  EXPECT_THAT(made({InstanceBuilder("a", "10.0.0.1", 80).tag("empalme.enable=false")}), IsEmpty());
  EXPECT_THAT(made({}), IsEmpty());
}

TEST(ConsulServices, LeaveOutProxiesThatTookOverTheTagsOfTheirService) {
  const ConsulInstance proxy = web("web-sidecar-proxy", "10.0.0.1").kind("connect-proxy");
  EXPECT_THAT(made({proxy}), IsEmpty());
}

TEST(ConsulServices, TellOfAnInstanceThatNamesNoPort) {
  const auto services = made({InstanceBuilder("a", "10.0.0.1", 80).enabled()});
  ASSERT_THAT(services, SizeIs(1));
  EXPECT_THAT(services[0].ports, IsEmpty());
  EXPECT_THAT(messages(services[0].problems),
              ElementsAre(AllOf(HasSubstr("instance n1/a"), HasSubstr("empalme.tcp.<port>"))));
}

TEST(ConsulServices, ReadTheFieldsOfLabelsFromTags) {
  const auto services = made({web("a", "10.0.0.1")
                                  .tag("empalme.tcp.80.address=192.0.2.1")
                                  .tag("empalme.tcp.80.weight=7")
                                  .tag("empalme.tcp.80.policy.balance=maglev")
                                  .tag("empalme.tcp.80.health.type=http")
                                  .tag("empalme.udp.53.target=5353")
                                  .tag("empalme.udp.53.address=192.0.2.1")
                                  .tag("version=1.2")
                                  .tag("urlprefix-/")});
  ASSERT_THAT(services, SizeIs(1));
  EXPECT_THAT(services[0].problems, IsEmpty());
  EXPECT_EQ(services[0].addresses[0].to_string(), "192.0.2.1");
  ASSERT_THAT(services[0].ports, SizeIs(2));
  EXPECT_EQ(services[0].ports[0].backends[0].port, 5353);
  EXPECT_EQ(services[0].ports[1].backends[0].weight, 7);
  EXPECT_EQ(services[0].ports[1].policy.balance, Balance::kMaglev);
}

TEST(ConsulServices, PreferTheTargetThatATagNames) {
  const auto with = [](const char* first, const char* second) {
    return backends_of({InstanceBuilder("a", "10.0.0.1", 8080).enabled().tag(first).tag(second)});
  };
  EXPECT_THAT(with("empalme.tcp.80", "empalme.tcp.80.target=9000"),
              ElementsAre("10.0.0.1:9000 ready"));
  EXPECT_THAT(with("empalme.tcp.80.target=9000", "empalme.tcp.80"),
              ElementsAre("10.0.0.1:9000 ready"));
  EXPECT_THAT(with("empalme.tcp.80=9001", ""), ElementsAre("10.0.0.1:9001 ready"));
  EXPECT_THAT(with("empalme.tcp.80.weight=2", ""), ElementsAre("10.0.0.1:8080 ready"));
}

TEST(ConsulServices, TakeTheStateFromTheChecks) {
  const auto as = [](ConsulHealth health) {
    return backends_of({web("a", "10.0.0.1").health(health)});
  };
  EXPECT_THAT(as(ConsulHealth::kPassing), ElementsAre("10.0.0.1:8080 ready"));
  EXPECT_THAT(as(ConsulHealth::kWarning), ElementsAre("10.0.0.1:8080 ready"));
  EXPECT_THAT(as(ConsulHealth::kMaintenance), ElementsAre("10.0.0.1:8080 draining"));
  EXPECT_THAT(as(ConsulHealth::kCritical), ElementsAre("10.0.0.1:8080 not_ready"));
}

TEST(ConsulServices, TakeTheWeightOfTheStateUnlessATagSaysOne) {
  const auto weight = [](const ConsulInstance& instance) {
    return made({instance})[0].ports[0].backends[0].weight;
  };
  EXPECT_EQ(weight(web("a", "10.0.0.1").weights(10, 2)), 10);
  EXPECT_EQ(weight(web("a", "10.0.0.1").weights(10, 2).health(ConsulHealth::kWarning)), 2);
  EXPECT_EQ(weight(web("a", "10.0.0.1").weights(10, 2).tag("empalme.tcp.80.weight=5")), 5);
}

TEST(ConsulServices, SayWhereABackendIs) {
  const auto services = made({web("web-1", "10.0.0.1").on("node-7").zone("eu-1")});
  const Backend& backend = services[0].ports[0].backends[0];
  EXPECT_EQ(backend.name, "web-1");
  EXPECT_EQ(backend.node, "node-7");
  EXPECT_EQ(backend.zone, "eu-1");
}

TEST(ConsulServices, TellOfAnInstanceWhoseAddressIsAName) {
  const auto services = made({web("a", "db.example"), web("b", "10.0.0.2")});
  EXPECT_THAT(backends(services[0].ports[0]), ElementsAre("10.0.0.2:8080 ready"));
  EXPECT_THAT(reasons(services[0].problems), ElementsAre("InstanceAddress"));
  EXPECT_THAT(services[0].problems[0].message, HasSubstr("db.example"));
}

TEST(ConsulServices, TellOfAnInstanceWithoutAPort) {
  const auto services = made({InstanceBuilder("a", "10.0.0.1", 0).enabled().tag("empalme.tcp.80")});
  EXPECT_THAT(services[0].ports, IsEmpty());
  EXPECT_THAT(messages(services[0].problems), ElementsAre(HasSubstr("is no port: '0'")));
}

TEST(ConsulServices, FollowTheTagsThatWereRegisteredLast) {
  const ConsulInstance old =
      web("a", "10.0.0.1").modified(10).tag("empalme.tcp.80.policy.balance=maglev");
  const ConsulInstance fresh =
      web("b", "10.0.0.2").modified(11).tag("empalme.tcp.80.policy.balance=random_two");
  for (const auto& each : {std::vector{old, fresh}, std::vector{fresh, old}}) {
    const auto services = made(each);
    EXPECT_EQ(services[0].ports[0].policy.balance, Balance::kRandomTwo);
    EXPECT_THAT(reasons(services[0].problems), ElementsAre("LabelsDiffer"));
  }
}

TEST(ConsulServices, ServeOneOfTwoInstancesWithOneAddress) {
  const auto services = made({web("a", "10.0.0.1"), web("b", "10.0.0.1")});
  EXPECT_THAT(services[0].ports[0].backends, SizeIs(1));
  EXPECT_THAT(reasons(services[0].problems), ElementsAre("SameAddress"));
}

TEST(ConsulServices, ArePortByPortWhereTheyListenAtDifferentAddresses) {
  const auto services = made({web("a", "10.0.0.1")
                                  .tag("empalme.tcp.80.address=192.0.2.1")
                                  .tag("empalme.tcp.90.address=192.0.2.2")});
  ASSERT_THAT(services, SizeIs(2));
  EXPECT_EQ(services[0].key, "consul/web");
  EXPECT_EQ(services[1].key, "consul/web@tcp-90");
}

TEST(ConsulServices, AreNotServedWhereAGuardCannotBeRead) {
  const auto services = made({web("a", "10.0.0.1").tag("empalme.tcp.80.policy.source-ranges=")});
  EXPECT_THAT(services[0].ports, IsEmpty());
  EXPECT_THAT(messages(services[0].problems), ElementsAre(HasSubstr("is not served here")));
}

TEST(ConsulLosses, AreNotBelievedOfOneThatIsMissingOrHasTurnedCritical) {
  const std::vector<ConsulInstance> before = {web("a", "10.0.0.1"), web("b", "10.0.0.2"),
                                              web("c", "10.0.0.3").critical()};
  const auto believed = without_losses(before, {web("a", "10.0.0.1").critical()});
  EXPECT_THAT(backends_of(believed),
              ElementsAre("10.0.0.1:8080 ready", "10.0.0.2:8080 ready", "10.0.0.3:8080 not_ready"));
}

TEST(ConsulLosses, LeaveWhatIsNewOrBetterAsItIs) {
  const std::vector<ConsulInstance> before = {web("a", "10.0.0.1").critical()};
  const auto believed =
      without_losses(before, {web("a", "10.0.0.1"), web("d", "10.0.0.4").critical()});
  EXPECT_THAT(backends_of(believed), ElementsAre("10.0.0.1:8080 ready", "10.0.0.4:8080 not_ready"));
}

TEST(ConsulLosses, LeaveMaintenanceAsItIs) {
  const auto believed = without_losses({web("a", "10.0.0.1")},
                                       {web("a", "10.0.0.1").health(ConsulHealth::kMaintenance)});
  EXPECT_THAT(backends_of(believed), ElementsAre("10.0.0.1:8080 draining"));
}

TEST(ConsulLosses, TakeANewAddressOfOneThatHasTurnedCritical) {
  const auto believed = without_losses({web("a", "10.0.0.1")}, {web("a", "10.0.0.9").critical()});
  EXPECT_THAT(backends_of(believed), ElementsAre("10.0.0.9:8080 ready"));
}

}  // namespace
}  // namespace lb::plan
