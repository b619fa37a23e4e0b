// What labels ask for, and what a label that cannot be read costs.
#include "controller/core/docker_labels.hpp"

#include <gmock/gmock.h>

#include "tests/unit/controller/core/docker_builders.hpp"

namespace lb::plan {
namespace {

using test::container;
using test::messages;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

ContainerLabels read(const Container& from) {
  auto out = read_labels(from);
  EXPECT_TRUE(out) << from.name << " asks for nothing";
  return out.value_or(ContainerLabels{});
}

// The one port of a container with target 8080 and this label of port 80.
LabelledPort port_with(const std::string& field, const std::string& text) {
  const auto labels =
      read(container("web").tcp("80", "8080").label("empalme.tcp.80." + field, text));
  EXPECT_THAT(labels.problems, IsEmpty()) << field;
  EXPECT_THAT(labels.ports, SizeIs(1)) << field;
  return labels.ports.empty() ? LabelledPort{} : labels.ports[0];
}

TEST(DockerLabels, AskForNothingUnlessTheContainerSaysYes) {
  EXPECT_FALSE(read_labels(container("web")));
  EXPECT_FALSE(read_labels(container("web").label("empalme.tcp.80.target", "8080")));
  EXPECT_FALSE(read_labels(container("web").tcp("80", "8080").label("empalme.enable", "false")));
  EXPECT_FALSE(read_labels(container("web").tcp("80", "8080").label("empalme.enable", "0")));
  EXPECT_TRUE(read_labels(container("web").tcp("80", "8080").label("empalme.enable", " True")));
}

TEST(DockerLabels, AYesThatIsNoneServesNothingAndIsToldOf) {
  const auto labels = read(container("web").tcp("80", "8080").label("empalme.enable", "yse"));
  EXPECT_THAT(labels.ports, IsEmpty());
  EXPECT_THAT(messages(labels.problems),
              ElementsAre(AllOf(HasSubstr("container web"), HasSubstr("empalme.enable"),
                                HasSubstr("'yse'"))));
}

TEST(DockerLabels, NamePortTargetAndProtocol) {
  const auto labels =
      read(container("dns").enabled().tcp("80", "8080").label("empalme.udp.53.target", "5353"));
  ASSERT_THAT(labels.ports, SizeIs(2));
  EXPECT_EQ(labels.ports[0].name(), "tcp-80");
  EXPECT_EQ(labels.ports[0].target, 8080);
  EXPECT_EQ(labels.ports[1].name(), "udp-53");
  EXPECT_EQ(labels.ports[1].target, 5353);
}

// Certificates come from files and Secrets: in plain such a port would not be what was asked for.
TEST(DockerLabels, EndNoTlsAndServeNothingInPlainInstead) {
  for (const char* field :
       {"tls.secrets", "policy.tls.secrets", "tls.certificates", "tls", "policy.tls"}) {
    const auto labels = read(container("web")
                                 .tcp("80", "8080")
                                 .label(std::string("empalme.tcp.80.") + field, "web-tls"));
    EXPECT_THAT(labels.ports, IsEmpty()) << field;
    EXPECT_THAT(messages(labels.problems), ElementsAre(HasSubstr(field)));
  }
}

TEST(DockerLabels, ListenEverywhereUnlessTheyNameAddresses) {
  EXPECT_THAT(port_with("weight", "1").addresses, ElementsAre(IpAddress::parse("0.0.0.0").value()));
  EXPECT_THAT(
      port_with("address", "192.0.2.2, 192.0.2.1,192.0.2.2").addresses,
      ElementsAre(IpAddress::parse("192.0.2.1").value(), IpAddress::parse("192.0.2.2").value()));
}

TEST(DockerLabels, WithoutATargetThePortIsTheSameInside) {
  const auto labels = read(container("web").enabled().label("empalme.tcp.80.weight", "7"));
  ASSERT_THAT(labels.ports, SizeIs(1));
  EXPECT_EQ(labels.ports[0].target, 80);
  EXPECT_EQ(labels.ports[0].weight, 7);
}

TEST(DockerLabels, ReachEveryKindOfPolicyField) {
  EXPECT_EQ(port_with("policy.balance", "maglev").policy.balance, Balance::kMaglev);
  EXPECT_EQ(port_with("policy.connect-timeout-ms", "300").policy.connect_timeout_ms, 300u);
  EXPECT_EQ(port_with("policy.connect_timeout_ms", "300").policy.connect_timeout_ms, 300u);
  EXPECT_TRUE(port_with("policy.retry-before-first-byte", "true").policy.retry_before_first_byte);
  EXPECT_THAT(port_with("policy.source-ranges", "10.0.0.0/8,192.0.2.0/24").policy.source_ranges,
              SizeIs(2));
  EXPECT_EQ(port_with("policy.ejection.refused", "9").policy.ejection.refused, 9u);
  EXPECT_EQ(port_with("health.type", "http").policy.health.type, HealthType::kHttp);
  EXPECT_EQ(port_with("health.path", "/ready").policy.health.path, "/ready");
  EXPECT_EQ(port_with("policy.health.type", "tcp").policy.health.type, HealthType::kTcp);
}

TEST(DockerLabels, OfOnePortLeaveTheOthersAsTheyAre) {
  const auto labels = read(container("web")
                               .tcp("80", "8080")
                               .tcp("81", "8081")
                               .label("empalme.tcp.81.policy.balance", "maglev"));
  ASSERT_THAT(labels.ports, SizeIs(2));
  EXPECT_EQ(labels.ports[0].policy, Policy{});
  EXPECT_EQ(labels.ports[1].policy.balance, Balance::kMaglev);
}

TEST(DockerLabels, ThatCannotBeReadAreToldOfByNameAndTheRestStands) {
  struct Row {
    const char* field;
    const char* text;
    const char* said;
  };
  for (const Row& row : std::initializer_list<Row>{{"weight", "70000", "70000"},
                                                   {"weight", "-1", "-1"},
                                                   {"policy.balance", "fastest", "balance"},
                                                   {"policy.banana", "1", "banana"},
                                                   {"health.rise", "many", "rise"},
                                                   {"colour", "blue", "no label that is known"}}) {
    const std::string label = std::string("empalme.tcp.80.") + row.field;
    const auto labels = read(container("web").tcp("80", "8080").label(label, row.text));
    ASSERT_THAT(labels.ports, SizeIs(1)) << label;
    EXPECT_EQ(labels.ports[0].target, 8080);
    EXPECT_EQ(labels.ports[0].weight, 1);
    ASSERT_THAT(
        messages(labels.problems),
        ElementsAre(AllOf(HasSubstr("container web: " + label + ": "), HasSubstr(row.said))));
    EXPECT_EQ(labels.problems[0].port, 80);
    EXPECT_EQ(labels.problems[0].protocol, "tcp");
    EXPECT_FALSE(labels.problems[0].blocks) << "one container's label is not the service's end";
  }
}

TEST(DockerLabels, ThatGuardAndCannotBeReadKeepThePortFromBeingServed) {
  for (const auto& [field, text] : std::initializer_list<std::pair<const char*, const char*>>{
           {"policy.source-ranges", "10.0.0.0/33"},
           {"policy.source_ranges", "home"},
           {"policy.source-ranges", ""},
           {"policy.max-connections", "few"},
           {"source-ranges", "10.0.0.0/8"},
           {"address", "somewhere"},
           {"address", ""},
           {"target", "0"},
           {"target", "http"}}) {
    const std::string label = std::string("empalme.tcp.80.") + field;
    const auto labels =
        read(container("web").tcp("80", "8080").tcp("81", "8081").label(label, text));
    ASSERT_THAT(labels.ports, SizeIs(1)) << label << "=" << text;
    EXPECT_EQ(labels.ports[0].port, 81) << "the other port has nothing to do with it";
    EXPECT_THAT(messages(labels.problems), ElementsAre(HasSubstr("not served")));
  }
}

TEST(DockerLabels, AGuardOfNoPortKeepsEverythingFromBeingServed) {
  const auto labels =
      read(container("web").tcp("80", "8080").label("empalme.policy.source-ranges", "10.0.0.0/8"));
  EXPECT_THAT(labels.ports, IsEmpty());
  EXPECT_THAT(messages(labels.problems), ElementsAre(HasSubstr("empalme.policy.source-ranges")));
}

TEST(DockerLabels, WithPortsThatAreNoneAreToldOf) {
  for (const char* label : {"empalme.tcp.http.target", "empalme.tcp.0.target",
                            "empalme.tcp.080.target", "empalme.tcp.65536.target", "empalme.tcp.80",
                            "empalme.sctp.80.target", "empalme.tpc.80.target", "empalme."}) {
    const auto labels = read(container("web").tcp("443", "8443").label(label, "8080"));
    EXPECT_THAT(labels.ports, SizeIs(1)) << label;
    EXPECT_THAT(messages(labels.problems), ElementsAre(HasSubstr(label)));
  }
}

TEST(DockerLabels, WithoutAnyPortSayWhatIsMissing) {
  const auto labels = read(container("web").enabled());
  EXPECT_THAT(messages(labels.problems), ElementsAre(HasSubstr("empalme.tcp.<port>.target")));
}

TEST(DockerLabels, MakeTheKeyOfProjectAndServiceElseOfTheName) {
  EXPECT_EQ(read(container("web").tcp("80", "80")).key, "docker/web");
  EXPECT_EQ(read(container("shop_web_1").of("shop", "web").tcp("80", "80")).key, "docker/shop/web");
  EXPECT_EQ(read(container("shop_web_1")
                     .of("shop", "web")
                     .tcp("80", "80")
                     .label("empalme.service", "front"))
                .key,
            "docker/front");
}

TEST(DockerLabels, MakeNoKeyThatADataPlaneWouldRefuse) {
  const std::string longest(201, 'x');
  for (const std::string& name : {std::string(""), std::string("a\nb"), std::string("a b"),
                                  std::string("a@tcp-80"), longest}) {
    const auto labels =
        read(container("web").of("shop", "web").tcp("80", "80").label("empalme.service", name));
    EXPECT_EQ(labels.key, "docker/shop/web");
    EXPECT_THAT(messages(labels.problems), ElementsAre(HasSubstr("empalme.service")));
  }
  EXPECT_EQ(read(container("web").of("shop", "a\x01").tcp("80", "80")).key, "docker/web");
}

TEST(DockerLabels, OfAOneOffContainerOfComposeAreNotItsOwn) {
  EXPECT_FALSE(read_labels(container("shop_web_run_1")
                               .of("shop", "web")
                               .tcp("80", "80")
                               .label("com.docker.compose.oneoff", "True")));
  EXPECT_TRUE(read_labels(container("shop_web_1")
                              .of("shop", "web")
                              .tcp("80", "80")
                              .label("com.docker.compose.oneoff", "False")));
}

TEST(TraefikLabels, GiveThePortThatTheyName) {
  for (const char* label : {"traefik.tcp.services.db.loadbalancer.server.port",
                            "traefik.http.services.web.loadbalancer.server.port",
                            "traefik.http.services.web.loadBalancer.server.port"}) {
    const auto labels = read(container("web").label("traefik.enable", "true").label(label, "8080"));
    ASSERT_THAT(labels.ports, SizeIs(1)) << label;
    EXPECT_EQ(labels.ports[0].port, 8080);
    EXPECT_EQ(labels.ports[0].target, 8080);
    EXPECT_EQ(labels.ports[0].protocol, Protocol::kTcp);
    EXPECT_THAT(labels.problems, IsEmpty());
  }
}

TEST(TraefikLabels, StandBackBehindOurs) {
  const auto labels = read(container("web")
                               .label("traefik.enable", "true")
                               .label("traefik.http.services.w.loadbalancer.server.port", "8080")
                               .tcp("80", "8081"));
  ASSERT_THAT(labels.ports, SizeIs(1));
  EXPECT_EQ(labels.ports[0].port, 80);
  EXPECT_FALSE(read_labels(container("web")
                               .label("traefik.enable", "true")
                               .label("empalme.enable", "false")
                               .label("traefik.http.services.w.loadbalancer.server.port", "80")));
}

TEST(TraefikLabels, WithoutAYesOrAPortServeNothing) {
  EXPECT_FALSE(read_labels(
      container("web").label("traefik.http.services.w.loadbalancer.server.port", "8080")));
  const auto labels = read(container("web")
                               .label("traefik.enable", "true")
                               .label("traefik.http.services.w.loadbalancer.server.port", "eighty")
                               .label("traefik.http.routers.w.rule", "Host(`a`)"));
  EXPECT_THAT(labels.ports, IsEmpty());
  EXPECT_THAT(messages(labels.problems), testing::Contains(HasSubstr("'eighty'")));
}

}  // namespace
}  // namespace lb::plan
