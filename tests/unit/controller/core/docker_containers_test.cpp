// What is read of the Docker Engine API, and what is refused.
#include "controller/core/docker_containers.hpp"

#include <gmock/gmock.h>

namespace lb::plan {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using testing::SizeIs;

constexpr char kWhole[] = R"j([{
  "Id": "8dfafdbc3a40", "Names": ["/other/alias", "/shop_web_1"], "Image": "web",
  "Created": 1367854155, "State": "running", "Status": "Up 3 seconds (health: starting)",
               "Labels" : {"empalme.enable" : "true"},
               "HostConfig" : {"NetworkMode" : "shop_default"},
               "NetworkSettings" : {
  "Networks" : {
    "shop_default" : {"IPAddress" : "172.18.0.2", "GlobalIPv6Address" : "fd00::2"}, "later" : {
      "IPAddress" : "", "GlobalIPv6Address" : ""
    }
  }
}
}])j";

Container only(std::string_view text) {
  auto list = decode_containers(text);
  EXPECT_TRUE(list.ok()) << (list.ok() ? "" : list.error().message);
  EXPECT_EQ(list->containers.size(), 1u);
  return list.ok() && !list->containers.empty() ? list->containers[0] : Container{};
}

Container with_status(const std::string& status) {
  return only(R"([{"Id": "a", "Status": ")" + status + R"("}])");
}

std::optional<ContainerEvent> event(std::string_view text) {
  auto out = decode_container_event(text);
  EXPECT_TRUE(out.ok()) << text;
  return out.ok() ? *out : std::nullopt;
}

TEST(DockerContainers, AreReadWithNameLabelsAndState) {
  const Container read = only(kWhole);
  EXPECT_EQ(read.id, "8dfafdbc3a40");
  EXPECT_EQ(read.name, "shop_web_1");
  EXPECT_EQ(read.created, 1367854155u);
  EXPECT_EQ(read.state, "running");
  EXPECT_EQ(read.network_mode, "shop_default");
  EXPECT_THAT(read.labels, ElementsAre(Pair("empalme.enable", "true")));
}

TEST(DockerContainers, HaveTheAddressesOfEachNetworkAndNoneWhereThereIsNoneYet) {
  const Container read = only(kWhole);
  EXPECT_THAT(read.networks.at("shop_default"), ElementsAre(IpAddress::parse("172.18.0.2").value(),
                                                            IpAddress::parse("fd00::2").value()));
  EXPECT_THAT(read.networks.at("later"), IsEmpty());
}

TEST(DockerContainers, SayTheirHealthAtTheEndOfTheirStatus) {
  EXPECT_EQ(only(kWhole).health, ContainerHealth::kStarting);
  EXPECT_EQ(with_status("Up 2 hours (healthy)").health, ContainerHealth::kHealthy);
  EXPECT_EQ(with_status("Up 2 hours (unhealthy)").health, ContainerHealth::kUnhealthy);
  EXPECT_EQ(with_status("Up 2 hours").health, ContainerHealth::kNone);
  EXPECT_EQ(with_status("Up 2 hours (Paused)").health, ContainerHealth::kNone);
  EXPECT_EQ(with_status("Exited (0) 2 hours ago").health, ContainerHealth::kNone);
  EXPECT_EQ(with_status(")").health, ContainerHealth::kNone);
}

TEST(DockerContainers, SayTheirHealthByItselfWhereTheApiIsNewEnough) {
  const char* text = R"j([{"Id": "a", "Status": "Up 1 hour (healthy)",
                          "Health": {"Status": "unhealthy", "FailingStreak": 3}}])j";
  EXPECT_EQ(only(text).health, ContainerHealth::kUnhealthy);
}

TEST(DockerContainers, WithoutAnythingButAnIdAreContainersToo) {
  const Container read = only(R"([{"Id": "a", "Labels": null, "NetworkSettings": null}])");
  EXPECT_THAT(read.labels, IsEmpty());
  EXPECT_THAT(read.networks, IsEmpty());
}

TEST(DockerContainers, ThatCannotBeReadCostTheOthersNothing) {
  const auto list = decode_containers(
      R"([{"Id": "a", "Labels": 7}, {"Id": "b"}, 9, {"Id": "../x", "Names": []},
          {"Id": "c", "NetworkSettings": {"Networks": {"n": {"IPAddress": "somewhere"}}}}])");
  ASSERT_TRUE(list.ok());
  ASSERT_THAT(list->containers, SizeIs(1));
  EXPECT_EQ(list->containers[0].id, "b");
  ASSERT_THAT(list->unread, SizeIs(4));
  EXPECT_EQ(list->unread[0].id, "a");
  EXPECT_EQ(list->unread[0].error.pointer, "/0/Labels");
  EXPECT_EQ(list->unread[1].id, "");
  EXPECT_EQ(list->unread[3].id, "c");
}

TEST(DockerContainers, AreNoListWhereTheAnswerIsSomethingElse) {
  for (const char* text : {"", "{}", "[", "null", "<html>", "[{\"Id\": \"\xff\"}]"}) {
    const auto list = decode_containers(text);
    ASSERT_FALSE(list.ok()) << text;
    EXPECT_EQ(list.error().code, "InvalidObject");
  }
}

TEST(DockerContainers, AreGoneUnlessTheyRunArePausedOrRestart) {
  Container container;
  for (const char* state : {"running", "paused", "restarting"}) {
    container.state = state;
    EXPECT_FALSE(container.gone()) << state;
  }
  for (const char* state : {"created", "exited", "dead", "removing", ""}) {
    container.state = state;
    EXPECT_TRUE(container.gone()) << state;
  }
}

TEST(DockerEvents, NameTheContainerTheActionAndTheSignal) {
  const auto kill = event(R"({"status": "kill", "id": "a", "Type": "container", "Action": "kill",
                              "Actor": {"ID": "a", "Attributes": {"signal": "15"}}})");
  ASSERT_TRUE(kill);
  EXPECT_EQ(kill->id, "a");
  EXPECT_EQ(kill->action, "kill");
  EXPECT_TRUE(kill->ends());
}

TEST(DockerEvents, EndAContainerOnlyByASignalThatDoes) {
  for (const char* signal : {"2", "3", "9", "15"}) {
    EXPECT_TRUE((ContainerEvent{"a", "kill", signal}.ends())) << signal;
  }
  for (const char* signal : {"1", "10", "28", "", "150"}) {
    EXPECT_FALSE((ContainerEvent{"a", "kill", signal}.ends())) << signal;
  }
  EXPECT_FALSE((ContainerEvent{"a", "start", "15"}.ends()));
}

TEST(DockerEvents, OfNetworksAreAboutTheContainerThatJoinsOrLeaves) {
  const auto joined = event(R"({"Type": "network", "Action": "connect",
                                "Actor": {"ID": "n", "Attributes": {"container": "a"}}})");
  ASSERT_TRUE(joined);
  EXPECT_EQ(joined->id, "a");
  EXPECT_FALSE(event(R"({"Type": "network", "Action": "create",
                         "Actor": {"ID": "n", "Attributes": {"container": "a"}}})"));
}

TEST(DockerEvents, ThatChangeNoServiceArePassedOver) {
  EXPECT_FALSE(event(R"({"Type": "image", "Action": "pull", "Actor": {"ID": "web"}})"));
  EXPECT_FALSE(event(R"({"Type": "container", "Action": "exec_start: ls", "Actor": {"ID": "a"}})"));
  EXPECT_FALSE(event("{}"));
}

TEST(DockerEvents, OfOldVersionsAreReadToo) {
  const auto died = event(R"({"status": "die", "id": "a", "from": "web", "time": 1})");
  ASSERT_TRUE(died);
  EXPECT_TRUE(died->begins_or_ended());
}

TEST(DockerEvents, ThatAreNoneAreRefused) {
  for (const char* text : {"", "[]", "{\"Type\": 1}", "{\"Actor\": []}", "half {"}) {
    EXPECT_FALSE(decode_container_event(text).ok()) << text;
  }
}

}  // namespace
}  // namespace lb::plan
