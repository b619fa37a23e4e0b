// The life of a process that plays keepalived: a few lines of shell.
#include "dataplane/announce/keepalived.hpp"

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace lb::announce {
namespace {

using namespace std::chrono_literals;
using testing::Contains;

constexpr char kObedient[] =
    "trap 'echo reloaded' HUP; trap 'echo ended; exit 0' TERM; echo Startup complete; "
    "while :; do sleep 0.02; done";

class KeepalivedTest : public testing::Test {
 protected:
  void make(const std::string& script, KeepalivedOptions options = {}) {
    options.command = {"/bin/sh", "-c", script};
    options.first_delay = 10ms;
    options.longest_delay = 40ms;
    options.on_exit = [this] { ++exits; };
    options.on_line = [this](const std::string& line) { lines.push_back(line); };
    options.report = [](const Error& error) { ADD_FAILURE() << error.message; };
    process.emplace(io, std::move(options));
    process->start();
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
  bool said(const std::string& line) const {
    return std::find(lines.begin(), lines.end(), line) != lines.end();
  }

  asio::io_context io;
  std::vector<std::string> lines;
  int exits = 0;
  std::optional<Keepalived> process;
};

TEST_F(KeepalivedTest, LinesArriveWithoutTheirTime) {
  make("echo 'Sat Nov 21 13:17:55 2026: (router-0) Entering MASTER STATE'; exec sleep 60");
  run_until([&] { return said("(router-0) Entering MASTER STATE"); });
}

TEST_F(KeepalivedTest, ALineThatNeverEndsIsCut) {
  make("head -c 9000 /dev/zero | tr '\\0' x; exec sleep 60");
  run_until([&] { return !lines.empty(); });
  EXPECT_GE(lines.front().size(), 4000u);
}

TEST_F(KeepalivedTest, IsStartedAgainWhenItDies) {
  make(kObedient);
  run_until([&] { return said("Startup complete"); });
  ::kill(process->pid(), SIGKILL);
  run_until([&] { return process->starts() == 2; });
  EXPECT_EQ(exits, 1);
  EXPECT_EQ(process->deaths(), 1u);
}

TEST_F(KeepalivedTest, ItsChildrenAreGoneBeforeAnybodyTidiesUp) {
  make("sleep 60 & echo $!; wait");
  run_until([&] { return !lines.empty(); });
  const pid_t child = std::stoi(lines.front());
  ::kill(process->pid(), SIGKILL);
  run_until([&] { return exits == 1; });
  EXPECT_EQ(::kill(child, 0), -1) << "still there, if only as a zombie";
}

TEST_F(KeepalivedTest, FilesWithThePidOfAnEarlierOneAreTakenOutOfItsWay) {
  std::string stale = "/tmp/keepalived-pid-XXXXXX";
  ::close(::mkstemp(stale.data()));
  KeepalivedOptions options;
  options.pid_files = {stale};
  make("test -e " + stale + " && echo in the way || echo free; exec sleep 60", std::move(options));
  run_until([&] { return !lines.empty(); });
  EXPECT_EQ(lines.front(), "free");
  ::unlink(stale.c_str());
}

TEST_F(KeepalivedTest, AnAbandonedOneIsKilledLaterWithoutBeingAskedToEnd) {
  make(kObedient);
  run_until([&] { return said("Startup complete"); });
  const pid_t pid = process->pid();
  bool gone = false;
  process->abandon(100ms, [&] { gone = true; });
  EXPECT_EQ(::kill(pid, 0), 0);
  run_until([&] { return gone; });
  EXPECT_EQ(::kill(pid, 0), -1);
  EXPECT_FALSE(said("ended"));
  EXPECT_EQ(exits, 0);
  EXPECT_EQ(process->starts(), 1u);
}

TEST_F(KeepalivedTest, AnAbandonedOneThatDiesIsNotStartedAgain) {
  make(kObedient);
  run_until([&] { return said("Startup complete"); });
  bool gone = false;
  process->abandon(200ms, [&] { gone = true; });
  ::kill(process->pid(), SIGKILL);
  run_until([&] { return gone; });
  EXPECT_EQ(process->starts(), 1u);
}

TEST_F(KeepalivedTest, AnAbandonedOneDoesNotOutliveUs) {
  make(kObedient);
  run_until([&] { return said("Startup complete"); });
  const pid_t pid = process->pid();
  process->abandon(1h, [] {});
  process.reset();
  EXPECT_EQ(::kill(pid, 0), -1);
}

TEST_F(KeepalivedTest, AnAbandonedOneMayBeEndedInGoodOrderAfterAll) {
  make(kObedient);
  run_until([&] { return said("Startup complete"); });
  const pid_t pid = process->pid();
  bool gone = false;
  process->abandon(50ms, [&] { gone = true; });
  const auto asked = std::chrono::steady_clock::now();
  process->stop_abandoned();
  EXPECT_LT(std::chrono::steady_clock::now() - asked, 900ms);  // SIGTERM, and no patience needed
  EXPECT_EQ(::kill(pid, 0), -1);
  io.run_for(100ms);
  EXPECT_FALSE(gone);
  EXPECT_EQ(process->starts(), 1u);
}

TEST_F(KeepalivedTest, OneThatDiesAtOnceIsStartedLessAndLessOften) {
  make("exit 1");
  const auto began = std::chrono::steady_clock::now();
  run_until([&] { return process->deaths() == 5; });
  EXPECT_GE(std::chrono::steady_clock::now() - began, 10ms + 20ms + 40ms + 40ms);
}

TEST_F(KeepalivedTest, AReloadBeforeItIsReadyWaitsUntilItIs) {
  make("sleep 0.2; " + std::string(kObedient));
  process->reload();
  EXPECT_EQ(process->reloads(), 0u);
  run_until([&] { return said("reloaded"); });
  EXPECT_EQ(process->reloads(), 1u);
  EXPECT_EQ(process->deaths(), 0u);
}

TEST_F(KeepalivedTest, OneThatNeverSaysThatItIsReadyIsTakenForItAfterAWhile) {
  KeepalivedOptions options;
  options.ready_at_latest = 300ms;
  make("trap 'echo reloaded' HUP; echo up; while :; do sleep 0.02; done", std::move(options));
  run_until([&] { return said("up"); });
  process->reload();
  EXPECT_EQ(process->reloads(), 0u);
  run_until([&] { return said("reloaded"); });
  EXPECT_EQ(process->silent_starts(), 1u);
  EXPECT_EQ(process->reloads(), 1u);
}

TEST_F(KeepalivedTest, IsAskedToEndAndWaitedFor) {
  make(kObedient);
  run_until([&] { return said("Startup complete"); });
  const pid_t pid = process->pid();
  process->stop();
  EXPECT_FALSE(process->running());
  EXPECT_EQ(::kill(pid, 0), -1);
  EXPECT_EQ(exits, 0);
}

TEST_F(KeepalivedTest, OneThatDoesNotListenIsKilledAtTheEnd) {
  make("trap '' TERM; echo Startup complete; while :; do sleep 0.02; done");
  run_until([&] { return said("Startup complete"); });
  process->stop();
  EXPECT_FALSE(process->running());
}

TEST_F(KeepalivedTest, EndsWhenItsParentIsKilled) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t parent = ::fork();
  if (parent == 0) {
    ::close(ends[0]);
    ::dup2(ends[1], 9);  // held by the child as long as it lives
    make("trap 'exit 0' TERM; echo up >&9; while :; do sleep 0.02; done");
    for (;;) ::pause();
  }
  ::close(ends[1]);
  char byte;
  ASSERT_EQ(::read(ends[0], &byte, 1), 1);
  ::kill(parent, SIGKILL);
  ::waitpid(parent, nullptr, 0);
  while (::read(ends[0], &byte, 1) > 0) {
  }
  ::close(ends[0]);
}

TEST(FindProgram, LooksInThePathAndSaysWhenThereIsNone) {
  EXPECT_THAT(find_program("sh"), testing::EndsWith("/sh"));
  EXPECT_EQ(find_program("no-such-program-of-ours"), "");
}

}  // namespace
}  // namespace lb::announce
