// A process that plays keepalived when our memory runs out: it is started all the same, and its log
// is read on.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <new>

#include "dataplane/announce/keepalived.hpp"
#include "tests/unit/dataplane/proxy/counting_new.hpp"

namespace lb::announce {
namespace {

using namespace std::chrono_literals;
using proxy::FailingNew;

constexpr int64_t kMost = 200;  // allocations of a start
constexpr char kObedient[] =
    "trap 'exit 0' TERM; echo 'Startup complete, in a line that is longer than a short string'; "
    "while :; do sleep 0.02; done";

class KeepalivedMemoryTest : public testing::Test {
 protected:
  void make(const char* script) {
    KeepalivedOptions options;
    options.command = {"/bin/sh", "-c", script};
    options.first_delay = 1ms;
    options.longest_delay = 10ms;
    options.on_exit = [] {};
    options.on_line = [this](const std::string& line) {
      ++lines_;
      complete_ = complete_ || line.starts_with("Startup complete");
    };
    options.report = [](const Error&) {};
    complete_ = false;
    lines_ = 0;
    process_.emplace(io_, std::move(options));
  }
  // As the control thread does it: who finds no memory ends, the rest goes on.
  template <class Step>
  static void guarded(const Step& step) {
    try {
      step();
    } catch (const std::bad_alloc&) {
    }
  }
  bool run_until(const std::function<bool()>& holds) {
    const auto end = std::chrono::steady_clock::now() + 10s;
    while (!holds() && std::chrono::steady_clock::now() < end) {
      guarded([this] { io_.run_one_for(20ms); });
      io_.restart();
    }
    return holds();
  }

  asio::io_context io_;
  int lines_ = 0;
  bool complete_ = false;
  std::optional<Keepalived> process_;
};

TEST_F(KeepalivedMemoryTest, WhicheverAllocationFailsItIsStarted) {
  int64_t number = 0;
  for (bool failed = true; failed && number < kMost; ++number) {
    SCOPED_TRACE(number);
    make(kObedient);
    {
      const FailingNew failing(number);
      guarded([this] { process_->start(); });
      failed = FailingNew::has_failed();
    }
    ASSERT_TRUE(run_until([this] { return complete_; }));
    EXPECT_EQ(::kill(process_->pid(), 0), 0);
    EXPECT_LE(process_->starts(), 2u) << "one at a time";
  }
  EXPECT_GT(number, 3);
  EXPECT_LT(number, kMost);
}

TEST_F(KeepalivedMemoryTest, WhicheverAllocationFailsItsLogIsReadOn) {
  int64_t number = 0;
  for (bool failed = true; failed && number < kMost; ++number) {
    SCOPED_TRACE(number);
    make(
        "while :; do echo 'a line that is longer than what fits into a short string'; "
        "sleep 0.005; done");
    process_->start();
    ASSERT_TRUE(run_until([this] { return lines_ >= 1; }));
    {
      const FailingNew failing(number);
      for (int i = 0; i < 3; ++i) {
        guarded([this] { io_.run_one_for(50ms); });
        io_.restart();
      }
      failed = FailingNew::has_failed();
    }
    const int before = lines_;
    ASSERT_TRUE(run_until([&] { return lines_ > before + 2; }));
  }
  EXPECT_GT(number, 1);
  EXPECT_LT(number, kMost);
}

TEST_F(KeepalivedMemoryTest, WhoAbandonsItWithoutMemoryMayDoSoAgain) {
  make(kObedient);
  process_->start();
  ASSERT_TRUE(run_until([this] { return complete_; }));
  const pid_t pid = process_->pid();
  bool gone = false;
  {
    std::function<void()> tell = [&] { gone = true; };
    const FailingNew failing(FailingNew::kEach);
    EXPECT_THROW(process_->abandon(1ms, std::move(tell)), std::bad_alloc);
  }
  process_->abandon(1ms, [&] { gone = true; });
  EXPECT_TRUE(run_until([&] { return gone; }));
  EXPECT_EQ(::kill(pid, 0), -1) << "it was ended";
}

}  // namespace
}  // namespace lb::announce
