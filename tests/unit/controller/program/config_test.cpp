// Flags, their environment, and what is refused at start.
#include "controller/config.hpp"

#include <gmock/gmock.h>

#include <cstdlib>

#include "controller/auto_pool.hpp"

namespace lb::controller {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

Command parse(std::vector<const char*> flags) {
  flags.insert(flags.begin(), "empalme-controller");
  return parse_command_line(static_cast<int>(flags.size()), flags.data());
}
std::string refusal(std::vector<const char*> flags) {
  const auto parsed = parse(std::move(flags));
  const auto* stop = std::get_if<Exit>(&parsed);
  return stop != nullptr && stop->code != 0 ? stop->text : "";
}

TEST(ControllerConfig, TakesSourcesAndPools) {
  const auto parsed = parse({"--source", "kubernetes", "--source", "file:lb.yaml", "--pool",
                             "192.0.2.0/28", "--pool", "192.0.2.100-192.0.2.110"});
  const auto& config = std::get<Config>(parsed);
  EXPECT_TRUE(config.kubernetes);
  EXPECT_THAT(config.files, ElementsAre("lb.yaml"));
  EXPECT_THAT(config.pools, SizeIs(2));
  EXPECT_EQ(config.load_balancer_class, "empalme.io/lb");
}

TEST(ControllerConfig, TakesADockerDaemonByItsUsualSocketByPathOrOverTcp) {
  const auto docker = [](const char* source) {
    const auto parsed = parse({"--source", source});
    const auto* config = std::get_if<Config>(&parsed);
    return config != nullptr && config->docker ? to_string(*config->docker) : "refused";
  };
  EXPECT_EQ(docker("docker"), "unix:/var/run/docker.sock");
  EXPECT_EQ(docker("docker:unix:/run/user/1000/docker.sock"), "unix:/run/user/1000/docker.sock");
  EXPECT_EQ(docker("docker:tcp:127.0.0.1:2375"), "tcp:127.0.0.1:2375");
  EXPECT_EQ(docker("file:lb.yaml"), "refused");
}

TEST(ControllerConfig, AsksADockerDaemonOverTcpForCertificates) {
  const auto flags = std::vector<const char*>{
      "--source=docker:tcp:192.0.2.1:2376", "--docker-tls-cert=c", "--docker-tls-key=k",
      "--docker-tls-ca=a", "--docker-tls-server-name=docker.example"};
  const auto parsed = parse(flags);
  ASSERT_TRUE(std::holds_alternative<Config>(parsed));
  EXPECT_TRUE(std::get<Config>(parsed).docker_tls.all());
  EXPECT_EQ(std::get<Config>(parsed).docker_tls_server_name, "docker.example");
  EXPECT_THAT(refusal({"--source=docker:tcp:192.0.2.1:2375"}), HasSubstr("--docker-tls-cert"));
  EXPECT_THAT(refusal({"--source=docker:tcp:127.0.0.1:2375", "--docker-tls-key=k"}),
              HasSubstr("belong together"));
  EXPECT_THAT(refusal({"--source=docker", "--docker-tls-cert=c", "--docker-tls-key=k",
                       "--docker-tls-ca=a"}),
              HasSubstr("docker:tcp:HOST:PORT"));
}

TEST(ControllerConfig, RefusesADockerDaemonThatIsNowhereOrTwo) {
  EXPECT_THAT(refusal({"--source=docker:"}), HasSubstr("docker:"));
  EXPECT_THAT(refusal({"--source=docker:/var/run/docker.sock"}), HasSubstr("/var/run"));
  EXPECT_THAT(refusal({"--source=docker:tcp:docker.example:2376"}), HasSubstr("docker.example"));
  EXPECT_THAT(refusal({"--source=docker", "--source=docker:unix:/a"}), HasSubstr("once"));
}

TEST(ControllerConfig, TakesAConsulAgentByItsUsualAddressOrAnotherOne) {
  const auto consul = [](const char* source) {
    const auto parsed = parse({"--source", source});
    const auto* config = std::get_if<Config>(&parsed);
    return config != nullptr && config->consul.server ? to_string(*config->consul.server)
                                                      : "refused";
  };
  EXPECT_EQ(consul("consul"), "tcp:127.0.0.1:8500");
  EXPECT_EQ(consul("consul:192.0.2.1:8500"), "tcp:192.0.2.1:8500");
  EXPECT_EQ(consul("consul:[2001:db8::1]:8500"), "tcp:[2001:db8::1]:8500");
  EXPECT_EQ(consul("consul:unix:/run/consul.sock"), "unix:/run/consul.sock");
  EXPECT_EQ(consul("file:lb.yaml"), "refused");
}

TEST(ControllerConfig, TakesAConsulAgentOverHttpsWithOrWithoutACertificateOfOurs) {
  const auto parsed = parse({"--source=consul:https:192.0.2.1:8501", "--consul-ca=a",
                             "--consul-server-name=server.dc1.consul", "--consul-token-file=t",
                             "--consul-datacenter=dc2"});
  ASSERT_TRUE(std::holds_alternative<Config>(parsed));
  const ConsulFlags& consul = std::get<Config>(parsed).consul;
  EXPECT_TRUE(consul.https);
  EXPECT_EQ(consul.tls.authority, "a");
  EXPECT_EQ(consul.server_name, "server.dc1.consul");
  EXPECT_EQ(consul.token_file, "t");
  EXPECT_EQ(consul.datacenter, "dc2");
  EXPECT_THAT(refusal({"--source=consul:https:192.0.2.1:8501"}), HasSubstr("--consul-ca"));
  EXPECT_THAT(refusal({"--source=consul:https:192.0.2.1:8501", "--consul-ca=a", "--consul-key=k"}),
              HasSubstr("belong together"));
  EXPECT_THAT(refusal({"--source=consul:192.0.2.1:8500", "--consul-ca=a"}),
              HasSubstr("consul:https:HOST:PORT"));
}

TEST(ControllerConfig, ShowsATokenOfConsulToNoNetworkUnlessToldTo) {
  EXPECT_THAT(refusal({"--source=consul:192.0.2.1:8500", "--consul-token-file=t"}),
              HasSubstr("--consul-token-in-clear"));
  for (const auto& flags : std::vector<std::vector<const char*>>{
           {"--source=consul", "--consul-token-file=t"},
           {"--source=consul:unix:/s", "--consul-token-file=t"},
           {"--source=consul:https:192.0.2.1:8501", "--consul-ca=a", "--consul-token-file=t"},
           {"--source=consul:192.0.2.1:8500", "--consul-token-file=t",
            "--consul-token-in-clear"}}) {
    EXPECT_TRUE(std::holds_alternative<Config>(parse(flags))) << flags[0];
  }
}

TEST(ControllerConfig, RefusesAConsulAgentThatIsNowhereOrTwo) {
  EXPECT_THAT(refusal({"--source=consul:"}), HasSubstr("consul:"));
  EXPECT_THAT(refusal({"--source=consul:consul.example:8500"}), HasSubstr("consul.example"));
  EXPECT_THAT(refusal({"--source=consul", "--source=consul:192.0.2.1:8500"}), HasSubstr("once"));
  EXPECT_THAT(refusal({"--source=docker", "--consul-token-file=t"}), HasSubstr("--source consul"));
}

TEST(ControllerConfig, ReadsPoolsFromTheEnvironment) {
  ::setenv("EMPALME_POOL", "192.0.2.0/28,192.0.2.64/28", 1);
  const auto parsed = parse({"--source=kubernetes"});
  ::unsetenv("EMPALME_POOL");
  EXPECT_THAT(std::get<Config>(parsed).pools, SizeIs(2));
}

TEST(ControllerConfig, SaysWhatIsMissingOrWrong) {
  EXPECT_THAT(refusal({}), HasSubstr("--source is needed"));
  EXPECT_THAT(refusal({"--source", "etcd"}), HasSubstr("not 'etcd'"));
  EXPECT_TRUE(std::holds_alternative<Config>(parse({"--source", "kubernetes"})))
      << "AddressPools may give the addresses";
  EXPECT_THAT(refusal({"--source", "kubernetes", "--pool", "banana"}), HasSubstr("banana"));
  EXPECT_THAT(refusal({"--source", "kubernetes", "--pool", "127.0.0.0/8"}),
              HasSubstr("127.0.0.0/8"));
  EXPECT_THAT(refusal({"--source", "file:a", "--source", "file:a"}), HasSubstr("twice"));
  EXPECT_THAT(refusal({"--source", "file:a", "--dataplane", "tcp:192.0.2.1:9"}),
              HasSubstr("--tls-cert"));
  EXPECT_THAT(refusal({"--source", "file:a", "--dataplane", "unix:/a", "--dataplane", "unix:/a"}),
              HasSubstr("given twice"));
  EXPECT_THAT(refusal({"--source", "file:a", "--lease", "a/b"}), HasSubstr("kubernetes"));
  EXPECT_THAT(refusal({"--source=kubernetes", "--pool=192.0.2.0/28", "--lease", "a/b/c"}),
              HasSubstr("NAMESPACE/NAME"));
  EXPECT_THAT(refusal({"--source=kubernetes", "--pool=192.0.2.0/28", "--lease", "a"}),
              HasSubstr("NAMESPACE/NAME"));
  EXPECT_THAT(refusal({"--source", "file:a", "--observe", "0.0.0.0:1"}), HasSubstr("wildcard"));
}

TEST(ControllerConfig, PublishesToTheLocalSocketOrToAllThatAreNamed) {
  EXPECT_THAT(std::get<Config>(parse({"--source", "file:a"})).dataplanes, SizeIs(1));
  const auto two = parse({"--source", "file:a", "--dataplane", "unix:/a,tcp:127.0.0.1:9"});
  EXPECT_THAT(std::get<Config>(two).dataplanes, SizeIs(2));
}

TEST(ControllerConfig, LooksForDataPlanesBesideThoseThatAreNamed) {
  const auto both =
      parse({"--source=kubernetes", "--pool=192.0.2.0/28", "--dataplane-service=lb/dp",
             "--dataplane=tcp:192.0.2.1:9", "--tls-cert=c", "--tls-key=k", "--tls-ca=a"});
  EXPECT_EQ(std::get<Config>(both).dataplane_service, "lb/dp");
  EXPECT_THAT(std::get<Config>(both).dataplanes, SizeIs(1));
  EXPECT_EQ(std::get<Config>(both).tls_server_name, "dataplane.empalme");
}

TEST(ControllerConfig, WhoeverLooksForDataPlanesHasNoneByDefault) {
  const auto found =
      parse({"--source=kubernetes", "--pool=192.0.2.0/28", "--dataplane-service=lb/dp",
             "--tls-cert=c", "--tls-key=k", "--tls-ca=a"});
  EXPECT_THAT(std::get<Config>(found).dataplanes, SizeIs(0));
}

TEST(ControllerConfig, SaysWhyDataPlanesCannotBeLookedFor) {
  EXPECT_THAT(refusal({"--source=file:a", "--dataplane-service=lb/dp"}), HasSubstr("kubernetes"));
  EXPECT_THAT(refusal({"--source=kubernetes", "--pool=192.0.2.0/28", "--dataplane-service=dp"}),
              HasSubstr("NAMESPACE/NAME"));
  EXPECT_THAT(refusal({"--source=kubernetes", "--pool=192.0.2.0/28", "--dataplane-service=lb/dp"}),
              HasSubstr("--tls-cert"));
}

TEST(ControllerConfig, NamesThoseWhoMayAskForAnything) {
  const auto some = parse({"--source", "file:a", "--allow-privileged-policy", "a,b"});
  EXPECT_THAT(std::get<Config>(some).privileged, testing::ElementsAre("a", "b"));
}

TEST(ControllerConfig, RefusesAPoolThatHasRefusedAddressesInItsMiddle) {
  for (const char* wide :
       {"126.0.0.1-128.0.0.1", "169.0.0.0/8", "192.0.2.1-240.0.0.1", "fe00::/8"}) {
    EXPECT_THAT(refusal({"--source=kubernetes", "--pool", wide}), HasSubstr(wide));
  }
}

TEST(ControllerConfig, BelievesEndpointsUnlessToldOtherwise) {
  const auto strict = parse({"--source=kubernetes", "--strict-endpoints"});
  EXPECT_TRUE(std::get<Config>(strict).strict_endpoints);
  EXPECT_FALSE(std::get<Config>(parse({"--source=kubernetes"})).strict_endpoints);
  EXPECT_THAT(refusal({"--source=file:a", "--strict-endpoints"}), HasSubstr("kubernetes"));
}

TEST(ControllerConfig, KnowsItsSubcommands) {
  EXPECT_THAT(std::get<Validate>(parse({"validate", "x.yaml", "y.yaml"})).files,
              ElementsAre("x.yaml", "y.yaml"));
  EXPECT_TRUE(std::get<Validate>(parse({"validate", "--show", "x.yaml"})).show);
  EXPECT_EQ(std::get<Uninstall>(parse({"uninstall", "--kubeconfig", "k"})).kubeconfig, "k");
  EXPECT_EQ(std::get<Exit>(parse({"--version"})).code, 0);
  EXPECT_THAT(std::get<Exit>(parse({"--help"})).text, HasSubstr("Examples:"));
}

std::string range(const char* node, unsigned prefix) {
  const auto out = upper_end(IpAddress::parse(node).value(), prefix);
  return out ? out->to_string() : out.error().code;
}

TEST(AutoPool, TakesTheUpperEndOfTheSubnet) {
  EXPECT_EQ(range("192.168.49.2", 24), "192.168.49.245-192.168.49.254");
  EXPECT_EQ(range("10.0.7.9", 20), "10.0.15.245-10.0.15.254");
}

TEST(AutoPool, TakesLessOfASmallSubnetAndNothingOfATinyOne) {
  EXPECT_EQ(range("192.0.2.1", 29), "192.0.2.4-192.0.2.6");
  EXPECT_EQ(range("192.0.2.1", 31), "Pool");
  EXPECT_EQ(range("192.0.2.1", 32), "Pool");
}

TEST(AutoPool, NeverHoldsTheNodeItself) {
  EXPECT_EQ(range("192.0.2.254", 24), "192.0.2.245-192.0.2.253");
  EXPECT_EQ(range("192.0.2.250", 24), "192.0.2.251-192.0.2.254");
}

}  // namespace
}  // namespace lb::controller
