// Children that die, and children that never should have been started.
#include "empalme/supervisor.hpp"

#include <gmock/gmock.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include "empalme/programs.hpp"
#include "empalme/up.hpp"

namespace lb::cli {
namespace {

using namespace std::chrono_literals;
using testing::Contains;
using testing::Not;
using testing::StartsWith;

class SupervisorTest : public testing::Test {
 protected:
  SupervisorTest() { std::filesystem::create_directories(folder); }
  ~SupervisorTest() override { std::filesystem::remove_all(folder); }

  ChildSpec shell(const std::string& name, const std::string& script) {
    return {name, "/bin/sh", {"-c", script}};
  }
  // Each start leaves one line in a file.
  std::string note(const std::string& name) { return "echo x >>" + folder + "/" + name + "; "; }
  size_t starts(const std::string& name) {
    std::ifstream in(folder + "/" + name);
    size_t lines = 0;
    for (std::string line; std::getline(in, line);) ++lines;
    return lines;
  }
  bool run_until(const std::function<bool()>& holds) {
    const auto end = std::chrono::steady_clock::now() + 5s;
    while (!holds() && std::chrono::steady_clock::now() < end) io.run_one_for(10ms);
    return holds();
  }
  const std::string folder =
      (std::filesystem::temp_directory_path() / ("empalme-sup-" + std::to_string(getpid())))
          .string();
  const Supervisor::Options quick{.first_pause = 5ms, .longest_pause = 20ms, .settled = 50ms};
  asio::io_context io;
};

TEST_F(SupervisorTest, StartsAChildAgainThatWasKilled) {
  Supervisor supervisor(io, {shell("a", note("a") + "sleep 0.2; kill -9 $$")}, quick);
  supervisor.start();
  EXPECT_TRUE(run_until([this] { return starts("a") >= 2; }));
  ::kill(::getpid(), SIGTERM);
  io.run_for(5s);
  EXPECT_EQ(supervisor.exit_code(), 0);
}

TEST_F(SupervisorTest, AChildThatCannotStartEndsEverything) {
  Supervisor supervisor(io, {shell("good", note("good") + "exec sleep 60"), shell("bad", "exit 3")},
                        {.first_pause = 5ms, .longest_pause = 20ms, .settled = 5s});
  supervisor.start();
  io.run_for(5s);
  EXPECT_TRUE(io.stopped()) << "the other child was ended too";
  EXPECT_EQ(supervisor.exit_code(), 3);
}

TEST_F(SupervisorTest, AProgramThatIsNotThereEndsEverything) {
  Supervisor supervisor(io, {{"none", "/nonexistent/program", {}}}, {});
  supervisor.start();
  io.run_for(5s);
  EXPECT_EQ(supervisor.exit_code(), 127);
}

TEST_F(SupervisorTest, HandsTheSignalOnAndWaits) {
  Supervisor supervisor(io,
                        {shell("a", "trap '" + note("ended") + "exit 0' TERM; " + note("a") +
                                        "while :; do sleep 0.01; done")},
                        quick);
  supervisor.start();
  ASSERT_TRUE(run_until([this] { return starts("a") == 1; }));
  ::kill(::getpid(), SIGTERM);
  io.run_for(5s);
  EXPECT_TRUE(io.stopped());
  EXPECT_EQ(starts("ended"), 1u);
  EXPECT_EQ(supervisor.exit_code(), 0);
}

TEST_F(SupervisorTest, ASecondSignalInsists) {
  Supervisor supervisor(
      io, {shell("a", "trap '' TERM; " + note("a") + "while :; do sleep 0.01; done")}, quick);
  supervisor.start();
  ASSERT_TRUE(run_until([this] { return starts("a") == 1; }));
  ::kill(::getpid(), SIGTERM);
  io.run_for(50ms);
  EXPECT_FALSE(io.stopped());
  ::kill(::getpid(), SIGTERM);
  io.run_for(5s);
  EXPECT_TRUE(io.stopped());
}

TEST(Children, DoNotSeeOurOwnVariables) {
  ::setenv("EMPALME_WORKERS", "0", 1);
  ::setenv("OTHER_VARIABLE", "1", 1);
  bool other = false;
  for (const char* each : environment_for_children()) {
    if (each == nullptr) break;
    EXPECT_FALSE(std::string(each).starts_with("EMPALME_")) << each;
    other = other || std::string(each) == "OTHER_VARIABLE=1";
  }
  ::unsetenv("EMPALME_WORKERS");
  EXPECT_TRUE(other);
}

TEST(Children, SeeHowDockerAndConsulAreReached) {
  const std::set<std::string> wanted = {"EMPALME_CONSUL_TOKEN_FILE=/t", "EMPALME_DOCKER_TLS_CA=a"};
  ::setenv("EMPALME_CONSUL_TOKEN_FILE", "/t", 1);
  ::setenv("EMPALME_DOCKER_TLS_CA", "a", 1);
  std::set<std::string> seen;
  for (const char* each : environment_for_children()) {
    if (each != nullptr && wanted.contains(each)) seen.insert(each);
  }
  ::unsetenv("EMPALME_CONSUL_TOKEN_FILE");
  ::unsetenv("EMPALME_DOCKER_TLS_CA");
  EXPECT_EQ(seen, wanted);
}

TEST(Children, TheirExitCodeComesBack) {
  EXPECT_EQ(run("sh", {"-c", "exit 7"}), 7);
  EXPECT_EQ(run("/nonexistent/program", {}), 127);
}

TEST(Up, GivesBothChildrenTheSameSocket) {
  UpOptions options;
  options.socket_dir = "/run/x";
  options.sources = {"file:lb.yaml", "kubernetes"};
  options.pools = {"auto"};
  const auto children = children_of(options);
  ASSERT_EQ(children.size(), 2u);
  EXPECT_THAT(children[0].arguments, Contains("--admin=unix:/run/x/dataplane.sock"));
  EXPECT_THAT(children[1].arguments, Contains("--dataplane=unix:/run/x/dataplane.sock"));
  EXPECT_THAT(children[1].arguments, Contains("--source=kubernetes"));
  EXPECT_THAT(children[0].arguments, Contains("--state-dir=/run/x/state"));
}

TEST(Up, TellsTheDataPlaneItsZone) {
  UpOptions options;
  EXPECT_THAT(children_of(options)[0].arguments, Not(Contains(StartsWith("--zone"))));
  options.zone = "eu-1a";
  EXPECT_THAT(children_of(options)[0].arguments, Contains("--zone=eu-1a"));
}

TEST(Up, LeavesObservingOutWhenToldTo) {
  UpOptions options;
  options.observe = options.observe_controller = "none";
  for (const auto& child : children_of(options)) {
    EXPECT_THAT(child.arguments, Not(Contains(StartsWith("--observe"))));
  }
}

}  // namespace
}  // namespace lb::cli
