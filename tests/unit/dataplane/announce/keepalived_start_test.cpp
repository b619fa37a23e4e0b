// Starts that the system refuses: fork(2) and pipe2(2) of this test program fail when told to.
#include <dlfcn.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>

#include "dataplane/announce/keepalived.hpp"

namespace {

int forks_to_fail = 0;
int pipes_to_fail = 0;

template <class Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

bool fails(int& left, int error) {
  if (left == 0) return false;
  --left;
  errno = error;
  return true;
}

}  // namespace

extern "C" pid_t fork() noexcept {
  return fails(forks_to_fail, EAGAIN) ? -1 : next<pid_t (*)()>("fork")();
}

extern "C" int pipe2(int* ends, int flags) noexcept {
  return fails(pipes_to_fail, EMFILE) ? -1 : next<int (*)(int*, int)>("pipe2")(ends, flags);
}

namespace lb::announce {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

class KeepalivedStartTest : public testing::Test {
 protected:
  ~KeepalivedStartTest() override { forks_to_fail = pipes_to_fail = 0; }

  KeepalivedOptions options() {
    KeepalivedOptions out;
    out.command = {"/bin/sh", "-c", "exec sleep 60"};
    out.first_delay = 10ms;
    out.longest_delay = 40ms;
    out.on_exit = [this] { ++exits; };
    out.on_line = [](const std::string&) {};
    out.report = [this](const Error& error) { reports.push_back(error.message); };
    return out;
  }
  template <class Until>
  void run_until(Until until) {
    for (const auto end = std::chrono::steady_clock::now() + 20s;
         !until() && std::chrono::steady_clock::now() < end;) {
      io.run_one_for(50ms);
      io.restart();
    }
    EXPECT_TRUE(until());
  }

  asio::io_context io;
  std::vector<std::string> reports;
  int exits = 0;
  Keepalived process{io, options()};
};

TEST_F(KeepalivedStartTest, AForkThatFailsIsTriedAgain) {
  forks_to_fail = 1;
  process.start();
  EXPECT_FALSE(process.running());
  EXPECT_THAT(reports, testing::ElementsAre(HasSubstr("fork")));
  run_until([&] { return process.running(); });
  EXPECT_EQ(process.starts(), 1u);
  EXPECT_EQ(process.start_failures(), 1u);
}

TEST_F(KeepalivedStartTest, APipeThatFailsIsTriedAgain) {
  pipes_to_fail = 1;
  process.start();
  EXPECT_THAT(reports, testing::ElementsAre(HasSubstr("pipe")));
  run_until([&] { return process.running(); });
  EXPECT_EQ(process.starts(), 1u);
  EXPECT_EQ(process.start_failures(), 1u);
}

TEST_F(KeepalivedStartTest, WhatNeverRanHasNotDied) {
  forks_to_fail = 2;
  process.start();
  run_until([&] { return process.running(); });
  EXPECT_EQ(process.deaths(), 0u);
  EXPECT_EQ(exits, 0) << "addresses of the process before us would be removed";
}

TEST_F(KeepalivedStartTest, ARestartThatFailsIsTriedAgainLessAndLessOften) {
  process.start();
  forks_to_fail = 2;
  pipes_to_fail = 2;
  const auto began = std::chrono::steady_clock::now();
  ::kill(process.pid(), SIGKILL);
  run_until([&] { return process.starts() == 2; });
  EXPECT_GE(std::chrono::steady_clock::now() - began, 10ms + 20ms + 40ms + 40ms + 40ms);
  EXPECT_EQ(process.start_failures(), 4u);
  EXPECT_EQ(process.deaths(), 1u);
}

TEST_F(KeepalivedStartTest, OneThatIsStoppedBetweenTwoAttemptsIsNotStarted) {
  forks_to_fail = 1;
  process.start();
  process.stop();
  io.run();
  EXPECT_EQ(process.starts(), 0u);
}

}  // namespace
}  // namespace lb::announce
