// Which services are told of when containers change, and which are not.
#include "controller/sources/docker_set.hpp"

#include <gmock/gmock.h>

#include "tests/unit/controller/core/docker_builders.hpp"

namespace lb::sources {
namespace {

using plan::test::container;
using testing::ElementsAre;
using testing::IsEmpty;

plan::test::ContainerBuilder of(const std::string& service, int index) {
  return container(service + std::to_string(index))
      .label("empalme.service", service)
      .tcp("80", "8080")
      .on("n", "10.0.0." + std::to_string(index));
}

std::vector<std::string> changed(const DockerSet::Changes& changes) {
  std::vector<std::string> out;
  for (const auto& service : changes.changed) out.push_back(service.key);
  return out;
}

TEST(DockerSet, TellsOfAServiceWhenAContainerOfItsComes) {
  DockerSet set;
  set.put(of("a", 1));
  set.put(of("b", 2));
  EXPECT_THAT(changed(set.take()), ElementsAre("docker/a", "docker/b"));
  set.put(of("a", 3));
  EXPECT_THAT(changed(set.take()), ElementsAre("docker/a"));
  EXPECT_THAT(set.keys(), ElementsAre("docker/a", "docker/b"));
}

TEST(DockerSet, TellsOfEachChangeOnce) {
  DockerSet set;
  set.put(of("a", 1));
  set.take();
  EXPECT_THAT(changed(set.take()), IsEmpty());
  set.put(of("a", 1));
  EXPECT_THAT(changed(set.take()), IsEmpty()) << "nothing has changed";
  set.put(of("a", 1).label("colour", "blue"));
  EXPECT_THAT(changed(set.take()), IsEmpty()) << "nor for the service";
}

TEST(DockerSet, RemovesAServiceWithItsLastContainer) {
  DockerSet set;
  set.put(of("a", 1));
  set.put(of("a", 2));
  set.take();
  set.erase("id-a1");
  EXPECT_THAT(set.take().removed, IsEmpty());
  set.put(of("a", 2).state("exited"));
  EXPECT_THAT(set.take().removed, ElementsAre("docker/a"));
  EXPECT_THAT(set.keys(), IsEmpty());
  EXPECT_EQ(set.containers(), 0u);
}

TEST(DockerSet, MovesAContainerThatChangesItsService) {
  DockerSet set;
  set.put(of("a", 1));
  set.take();
  set.put(of("a", 1).label("empalme.service", "b"));
  const auto changes = set.take();
  EXPECT_THAT(changed(changes), ElementsAre("docker/b"));
  EXPECT_THAT(changes.removed, ElementsAre("docker/a"));
}

TEST(DockerSet, RemovesWhatAServiceWasSplitInto) {
  DockerSet set;
  set.put(of("a", 1).label("empalme.tcp.81.address", "127.0.0.1"));
  EXPECT_THAT(changed(set.take()), ElementsAre("docker/a", "docker/a@tcp-81"));
  set.put(of("a", 1).label("empalme.tcp.81.address", "0.0.0.0"));
  const auto changes = set.take();
  EXPECT_THAT(changed(changes), ElementsAre("docker/a"));
  EXPECT_THAT(changes.removed, ElementsAre("docker/a@tcp-81"));
}

TEST(DockerSet, ForgetsWhatIsNotInAWholeListUnlessItIsKept) {
  DockerSet set;
  for (int i = 1; i <= 3; ++i) set.put(of("a" + std::to_string(i), i));
  set.take();
  set.replace({of("a1", 1)}, {"id-a22"});
  const auto changes = set.take();
  EXPECT_THAT(changed(changes), IsEmpty());
  EXPECT_THAT(changes.removed, ElementsAre("docker/a3"));
  EXPECT_THAT(set.keys(), ElementsAre("docker/a1", "docker/a2"));
}

TEST(DockerSet, TellsOfAContainerThatDrainsAndOfOneThatNoLongerDoes) {
  DockerSet set;
  set.put(of("a", 1));
  set.take();
  set.set_draining("id-a1", true);
  auto changes = set.take();
  ASSERT_THAT(changed(changes), ElementsAre("docker/a"));
  EXPECT_EQ(changes.changed[0].ports[0].backends[0].state, BackendState::kDraining);
  set.set_draining("id-a1", true);
  EXPECT_THAT(changed(set.take()), IsEmpty());
  set.set_draining("id-a1", false);
  changes = set.take();
  ASSERT_THAT(changed(changes), ElementsAre("docker/a"));
  EXPECT_EQ(changes.changed[0].ports[0].backends[0].state, BackendState::kReady);
}

TEST(DockerSet, DrainsNobodyThatIsNotKnown) {
  DockerSet set;
  set.set_draining("stranger", true);
  set.erase("stranger");
  EXPECT_THAT(changed(set.take()), IsEmpty());
}

}  // namespace
}  // namespace lb::sources
