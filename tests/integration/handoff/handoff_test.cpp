// Hitless upgrades between real processes, under a load of new connections and datagrams.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <optional>
#include <sstream>

#include "tests/integration/handoff/load.hpp"
#include "tests/integration/handoff/peer_process.hpp"

namespace lb::handoff {
namespace {

struct Ports {
  unsigned tcp = 0, udp = 0;
  uint64_t base = 0;  // connections accepted by the processes before
};

Ports ports_of(const std::string& line) {
  Ports ports;
  std::istringstream(line) >> ports.tcp >> ports.udp >> ports.base;
  return ports;
}

class HandoffBetweenProcesses : public testing::Test {
 protected:
  HandoffBetweenProcesses() {
    char name[] = "/tmp/empalme-handoff-XXXXXX";
    folder_ = ::mkdtemp(name);
  }
  ~HandoffBetweenProcesses() override { std::filesystem::remove_all(folder_); }

  PeerProcess start(unsigned workers = 2, const std::string& die_at = "",
                    std::vector<std::string> environment = {}) {
    std::vector<std::string> words{folder_.string(), std::to_string(workers)};
    if (!die_at.empty()) words.push_back(die_at);
    return PeerProcess(words, std::move(environment));
  }

  void begin(PeerProcess& first) {
    const Ports ports = ports_of(first.line("serving"));
    ASSERT_NE(ports.tcp, 0u);
    tcp_ = static_cast<uint16_t>(ports.tcp);
    load_.emplace(tcp_, static_cast<uint16_t>(ports.udp));
  }

  void expect_nothing_failed() {
    load_->stop();
    EXPECT_EQ(load_->failed_connects(), 0u);
    EXPECT_EQ(load_->lost_connections(), 0u);
    EXPECT_EQ(load_->unanswered_datagrams(), 0u);
  }

  // Every connection of the load, and `others`, was counted once by one of the processes.
  void expect_all_counted(PeerProcess& last, uint64_t others) {
    last.end_input();
    EXPECT_EQ(last.line("total"), std::to_string(load_->connects() + others));
    EXPECT_EQ(last.wait(), 0);
  }

  bool locked() const {
    const net::Fd other(::open((folder_ / "lock").c_str(), O_RDWR | O_CLOEXEC));
    return ::flock(other.get(), LOCK_EX | LOCK_NB) != 0;
  }

  std::filesystem::path folder_;
  uint16_t tcp_ = 0;
  std::optional<Load> load_;
};

TEST_F(HandoffBetweenProcesses, TwentyInARowFailNoConnection) {
  auto running = std::make_unique<PeerProcess>(start(2));
  begin(*running);
  const auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(load_->wait_for(20));
    auto next = std::make_unique<PeerProcess>(start());
    EXPECT_NE(next->line("serving"), "(none)");
    EXPECT_EQ(running->line("drained"), "0");
    EXPECT_EQ(running->wait(), 0);
    EXPECT_TRUE(locked());
    running = std::move(next);
  }
  ASSERT_TRUE(load_->wait_for(20));
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  std::printf("20 handoffs in %.1f s: %llu connections, %llu datagrams\n", took.count(),
              static_cast<unsigned long long>(load_->connects()),
              static_cast<unsigned long long>(load_->datagrams()));
  expect_nothing_failed();
  expect_all_counted(*running, 0);
  EXPECT_FALSE(locked());
}

TEST_F(HandoffBetweenProcesses, TheNumberOfWorkersMayChange) {
  auto running = std::make_unique<PeerProcess>(start(4));
  begin(*running);
  for (const unsigned workers : {1u, 3u, 2u, 4u, 1u}) {
    ASSERT_TRUE(load_->wait_for(50));
    auto next = std::make_unique<PeerProcess>(start(workers));
    EXPECT_NE(next->line("serving"), "(none)");
    EXPECT_EQ(running->wait(), 0);
    running = std::move(next);
  }
  ASSERT_TRUE(load_->wait_for(50));
  expect_nothing_failed();
  expect_all_counted(*running, 0);
}

TEST_F(HandoffBetweenProcesses, OpenConnectionsLiveOnInTheOldProcess) {
  PeerProcess old = start();
  begin(old);
  net::Fd held = connect_to(tcp_);
  ASSERT_TRUE(greeted(held));
  PeerProcess next = start();
  EXPECT_NE(next.line("serving"), "(none)");
  EXPECT_TRUE(answers(held, 'a'));
  EXPECT_TRUE(answers(held, 'b'));
  held.reset();
  EXPECT_EQ(old.line("drained"), "0");
  EXPECT_EQ(old.wait(), 0);
  expect_nothing_failed();
  expect_all_counted(next, 1);
}

TEST_F(HandoffBetweenProcesses, AConnectionThatNeverEndsDoesNotKeepTheOldProcess) {
  PeerProcess old = start();
  begin(old);
  const net::Fd held = connect_to(tcp_);
  ASSERT_TRUE(greeted(held));
  PeerProcess next = start();
  EXPECT_NE(next.line("serving"), "(none)");
  EXPECT_EQ(old.line("drained"), "1");
  EXPECT_EQ(old.wait(), 0);
  expect_nothing_failed();
}

// Without the load, so that the numbers are known.
TEST_F(HandoffBetweenProcesses, TheCountersGoFromOneToTheNext) {
  auto running = std::make_unique<PeerProcess>(start());
  const Ports ports = ports_of(running->line("serving"));
  for (uint64_t i = 1; i <= 5; ++i) {
    ASSERT_TRUE(greeted(connect_to(static_cast<uint16_t>(ports.tcp))));
    auto next = std::make_unique<PeerProcess>(start());
    EXPECT_EQ(ports_of(next->line("serving")).base, i);
    EXPECT_EQ(running->wait(), 0);
    running = std::move(next);
  }
}

class NewProcessDies : public HandoffBetweenProcesses,
                       public testing::WithParamInterface<const char*> {};

TEST_P(NewProcessDies, TheOldOneGoesOnAndCanStillHandOver) {
  PeerProcess old = start();
  begin(old);
  ASSERT_TRUE(load_->wait_for(20));
  EXPECT_EQ(start(2, GetParam()).wait(), -SIGKILL);
  EXPECT_EQ(old.line("note"), "PeerGone");
  ASSERT_TRUE(load_->wait_for(20));
  EXPECT_TRUE(locked());
  PeerProcess next = start();
  EXPECT_NE(next.line("serving"), "(none)");
  EXPECT_EQ(old.wait(), 0);
  ASSERT_TRUE(load_->wait_for(20));
  expect_nothing_failed();
  expect_all_counted(next, 0);
}

INSTANTIATE_TEST_SUITE_P(AtEveryStep, NewProcessDies,
                         testing::Values("connected", "half_hello", "hello_sent", "document_read",
                                         "descriptors_read", "half_serving"),
                         [](const auto& each) { return std::string(each.param); });

// What it has accepted dies with it; nobody can help that. No connect fails, and none after it.
TEST_F(HandoffBetweenProcesses, ANewProcessThatDiesWhileItAcceptsFailsNoConnect) {
  PeerProcess old = start();
  begin(old);
  EXPECT_EQ(start(2, "accepting").wait(), -SIGKILL);
  EXPECT_EQ(old.line("note"), "PeerGone");
  const uint64_t lost = load_->lost_connections();
  ASSERT_TRUE(load_->wait_for(50));
  EXPECT_EQ(load_->failed_connects(), 0u);
  EXPECT_LE(load_->lost_connections(), lost + 1);
}

TEST_F(HandoffBetweenProcesses, ANewProcessWithTooFewDescriptorsChangesNothing) {
  PeerProcess old = start();
  begin(old);
  PeerProcess poor = start(2, "", {"HANDOFF_SPARE_FILES=3"});
  EXPECT_TRUE(poor.line("failed").starts_with("TooManyOpenFiles"));
  EXPECT_EQ(poor.wait(), 3);
  EXPECT_EQ(old.line("note"), "PeerGone");
  ASSERT_TRUE(load_->wait_for(20));
  PeerProcess next = start();
  EXPECT_NE(next.line("serving"), "(none)");
  expect_nothing_failed();
}

}  // namespace
}  // namespace lb::handoff
