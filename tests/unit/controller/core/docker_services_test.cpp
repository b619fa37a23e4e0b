// How labelled containers become services: merging, networks, states.
#include "controller/core/docker_services.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <random>

#include "tests/unit/controller/core/docker_builders.hpp"

namespace lb::plan {
namespace {

using test::backends;
using test::container;
using test::messages;
using test::reasons;
using test::services;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

SourceService only(const std::vector<Container>& containers,
                   const std::set<std::string>& draining = {}) {
  auto out = services(containers, draining);
  EXPECT_THAT(out, SizeIs(1));
  return out.size() == 1 ? out[0] : SourceService{};
}

// The backends of the only port of the only service.
std::vector<std::string> served(const std::vector<Container>& containers,
                                const std::set<std::string>& draining = {}) {
  const auto service = only(containers, draining);
  EXPECT_THAT(service.ports, SizeIs(1));
  return service.ports.empty() ? std::vector<std::string>{} : backends(service.ports[0]);
}

test::ContainerBuilder web(int index) {
  const std::string number = std::to_string(index);
  return container("shop_web_" + number)
      .of("shop", "web")
      .tcp("80", "8080")
      .on("shop_default", "10.0.0." + number);
}

TEST(DockerServices, OfOneContainerHaveItAsBackend) {
  const auto service = only({web(2).label("empalme.tcp.80.weight", "5")});
  EXPECT_EQ(service.key, "docker/shop/web");
  EXPECT_THAT(service.addresses, ElementsAre(IpAddress::parse("0.0.0.0").value()));
  ASSERT_THAT(service.ports, SizeIs(1));
  ASSERT_THAT(service.ports[0].backends, SizeIs(1));
  const Backend& backend = service.ports[0].backends[0];
  EXPECT_EQ(backend.endpoint().to_string(), "10.0.0.2:8080");
  EXPECT_EQ(backend.weight, 5);
  EXPECT_EQ(backend.name, "shop_web_2");
  EXPECT_EQ(backend.node, "");
}

TEST(DockerServices, MergeTheContainersOfAComposeService) {
  EXPECT_THAT(served({web(3), web(1), web(2)}),
              ElementsAre("10.0.0.1:8080 ready", "10.0.0.2:8080 ready", "10.0.0.3:8080 ready"));
}

TEST(DockerServices, MergeWhatNamesTheSameServiceAndNothingElse) {
  const auto out =
      services({container("a").tcp("80", "1").on("n", "10.0.0.1"),
                container("b").tcp("81", "2").on("n", "10.0.0.2"),
                container("c").tcp("80", "3").on("n", "10.0.0.3").label("empalme.service", "a")});
  ASSERT_THAT(out, SizeIs(2));
  EXPECT_EQ(out[0].key, "docker/a");
  EXPECT_THAT(backends(out[0].ports[0]), ElementsAre("10.0.0.1:1 ready", "10.0.0.3:3 ready"));
  EXPECT_EQ(out[1].key, "docker/b");
}

TEST(DockerServices, MayListenNowhere) {
  const auto service = only({web(1).label("empalme.tcp.80.address", "none")});
  EXPECT_THAT(service.addresses, IsEmpty());
  EXPECT_THAT(service.problems, IsEmpty());
  ASSERT_THAT(service.ports, SizeIs(1));
  EXPECT_THAT(backends(service.ports[0]), ElementsAre("10.0.0.1:8080 ready"));
}

TEST(DockerServices, HaveThePortsOfAllTheirContainers) {
  const auto service = only({web(1), web(2).label("empalme.tcp.443.target", "8443")});
  ASSERT_THAT(service.ports, SizeIs(2));
  EXPECT_THAT(backends(service.ports[0]), SizeIs(2));
  EXPECT_THAT(backends(service.ports[1]), ElementsAre("10.0.0.2:8443 ready"));
}

TEST(DockerServices, FollowTheNewestContainerWhereLabelsDiffer) {
  const auto service =
      only({web(1).created(30).label("empalme.tcp.80.policy.balance", "maglev"),
            web(2).created(20).label("empalme.tcp.80.policy.balance", "random_two"),
            web(3).created(10)});
  EXPECT_EQ(service.ports[0].policy.balance, Balance::kMaglev);
  EXPECT_THAT(service.ports[0].backends, SizeIs(3));
  EXPECT_THAT(reasons(service.problems), ElementsAre("LabelsDiffer"));
  EXPECT_THAT(messages(service.problems), ElementsAre(HasSubstr("shop_web_1")));
}

TEST(DockerServices, FollowTheNewestContainersAddressToo) {
  const auto service =
      only({web(1).created(30).label("empalme.tcp.80.address", "127.0.0.1"), web(2).created(20)});
  EXPECT_THAT(service.addresses, ElementsAre(IpAddress::parse("127.0.0.1").value()));
  EXPECT_THAT(reasons(service.problems), ElementsAre("LabelsDiffer"));
}

TEST(DockerServices, NeverOpenAPortAtTheAddressOfAnother) {
  const auto out = services({web(1)
                                 .label("empalme.tcp.5432.target", "5432")
                                 .label("empalme.tcp.5432.address", "127.0.0.1")
                                 .label("empalme.tcp.6379.address", "127.0.0.1")});
  ASSERT_THAT(out, SizeIs(2));
  EXPECT_EQ(out[0].key, "docker/shop/web");
  EXPECT_THAT(out[0].ports, SizeIs(1));
  EXPECT_EQ(out[1].key, "docker/shop/web@tcp-5432");
  EXPECT_THAT(out[1].addresses, ElementsAre(IpAddress::parse("127.0.0.1").value()));
  EXPECT_THAT(out[1].ports, SizeIs(2));
}

TEST(DockerServices, LeaveOutAContainerWhoseGuardCannotBeReadAndServeTheOthers) {
  const auto service =
      only({web(1).created(10).label("empalme.tcp.80.policy.source-ranges", "10.0.0.0/8"),
            web(2).created(20).label("empalme.tcp.80.policy.source-ranges", "10.0.0.0/99")});
  EXPECT_THAT(backends(service.ports[0]), ElementsAre("10.0.0.1:8080 ready"));
  EXPECT_THAT(service.ports[0].policy.source_ranges, SizeIs(1));
  EXPECT_THAT(reasons(service.problems), ElementsAre("InvalidLabel"));
}

TEST(DockerServices, WithoutAPortAreThereForTheirProblem) {
  const auto service = only({container("web").enabled().on("n", "10.0.0.1")});
  EXPECT_THAT(service.ports, IsEmpty());
  EXPECT_THAT(reasons(service.problems), ElementsAre("InvalidLabel"));
}

TEST(DockerServices, NameAnEndpointOnceThoughTwoContainersHaveIt) {
  const auto service = only({web(1).network_mode("host"), web(2).network_mode("host").created(9)});
  EXPECT_THAT(backends(service.ports[0]), ElementsAre("127.0.0.1:8080 ready"));
  EXPECT_THAT(reasons(service.problems), ElementsAre("SameAddress"));
}

TEST(DockerNetworks, TheOnlyOneIsTheOne) {
  EXPECT_THAT(served({container("web").tcp("80", "80").on("any", "10.0.0.9")}),
              ElementsAre("10.0.0.9:80 ready"));
}

TEST(DockerNetworks, TheLabelChoosesByNameOrByComposesName) {
  const auto base = web(1).on("shop_back", "10.1.0.1").on("plain", "10.2.0.1");
  EXPECT_THAT(served({test::ContainerBuilder(base).label("empalme.network", "plain")}),
              ElementsAre("10.2.0.1:8080 ready"));
  EXPECT_THAT(served({test::ContainerBuilder(base).label("empalme.network", "back")}),
              ElementsAre("10.1.0.1:8080 ready"));
}

TEST(DockerNetworks, ThatTheContainerIsNotOnLeaveItOutAndAreToldOf) {
  const auto service = only({web(1).label("empalme.network", "elsewhere")});
  EXPECT_THAT(service.ports[0].backends, IsEmpty());
  EXPECT_THAT(messages(service.problems), ElementsAre(HasSubstr("elsewhere")));
}

TEST(DockerNetworks, OfComposeComeBeforeOthers) {
  EXPECT_THAT(served({web(1).on("a_first", "10.1.0.1")}), ElementsAre("10.0.0.1:8080 ready"));
}

TEST(DockerNetworks, AmongWhichNothingChoosesAreTakenByNameAndToldOf) {
  const auto service =
      only({container("web").tcp("80", "80").on("b", "10.2.0.1").on("a", "10.1.0.1")});
  EXPECT_THAT(backends(service.ports[0]), ElementsAre("10.1.0.1:80 ready"));
  EXPECT_THAT(reasons(service.problems), ElementsAre("ContainerNetwork"));
}

TEST(DockerNetworks, OfTheHostAreLoopback) {
  EXPECT_THAT(served({container("web").tcp("80", "8080").network_mode("host").on("host", "")}),
              ElementsAre("127.0.0.1:8080 ready"));
}

TEST(DockerNetworks, WithBothFamiliesGiveABackendOfEach) {
  EXPECT_THAT(served({web(1).on("shop_default", "fd00::1")}),
              ElementsAre("10.0.0.1:8080 ready", "[fd00::1]:8080 ready"));
}

TEST(DockerNetworks, WithoutAnAddressHaveNoBackendYet) {
  const auto service = only({container("web").tcp("80", "80").on("n", "")});
  EXPECT_THAT(service.ports[0].backends, IsEmpty());
  EXPECT_THAT(service.problems, IsEmpty());
}

TEST(DockerNetworks, OfWhichThereAreNoneAreToldOf) {
  const auto service = only({container("web").tcp("80", "80").network_mode("container:x")});
  EXPECT_THAT(messages(service.problems), ElementsAre(HasSubstr("no network")));
}

TEST(DockerStates, AreReadyWhileRunningAndNotFoundSick) {
  EXPECT_THAT(served({web(1)}), ElementsAre(HasSubstr(" ready")));
  EXPECT_THAT(served({web(1).health(ContainerHealth::kHealthy)}),
              ElementsAre("10.0.0.1:8080 ready"));
  EXPECT_THAT(served({web(1).health(ContainerHealth::kStarting)}),
              ElementsAre("10.0.0.1:8080 not_ready"));
  EXPECT_THAT(served({web(1).health(ContainerHealth::kUnhealthy)}),
              ElementsAre("10.0.0.1:8080 not_ready"));
  EXPECT_THAT(served({web(1).state("paused")}), ElementsAre("10.0.0.1:8080 not_ready"));
}

TEST(DockerStates, DrainWhileAContainerStops) {
  EXPECT_THAT(served({web(1), web(2)}, {"id-shop_web_1"}),
              ElementsAre("10.0.0.1:8080 draining", "10.0.0.2:8080 ready"));
}

TEST(DockerStates, KeepTheListenerWhileTheOnlyContainerRestarts) {
  EXPECT_THAT(served({web(1).state("restarting")}), IsEmpty());
}

TEST(DockerStates, OfContainersThatHaveEndedAreNoService) {
  for (const char* state : {"created", "exited", "dead", "removing"}) {
    EXPECT_THAT(services({web(1).state(state)}), IsEmpty()) << state;
  }
}

TEST(DockerServices, AreTheSameInWhateverOrderContainersCome) {
  std::vector<Container> containers;
  for (int i = 1; i <= 12; ++i) {
    containers.push_back(web(i)
                             .created(static_cast<uint32_t>(i % 3))
                             .label("empalme.tcp.80.policy.hedge-ms", std::to_string(i % 4)));
  }
  const auto first = services(containers);
  const unsigned seed = std::random_device{}();
  std::mt19937 random(seed);
  for (int round = 0; round < 20; ++round) {
    std::shuffle(containers.begin(), containers.end(), random);
    ASSERT_EQ(services(containers), first) << "seed " << seed;
  }
}

}  // namespace
}  // namespace lb::plan
