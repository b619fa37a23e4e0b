// The heap is used up while a check is on its way: whatever allocation fails, it goes on.
#include <gtest/gtest.h>

#include <new>

#include "common/net/fd.hpp"
#include "common/net/sockaddr.hpp"
#include "dataplane/health/prober.hpp"
#include "tests/unit/dataplane/health/builders.hpp"
#include "tests/unit/dataplane/proxy/counting_new.hpp"

namespace lb::health {
namespace {

using proxy::FailingNew;

// Accepts in the kernel, which asks for no memory of ours.
class Listener {
 public:
  Listener() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    const net::SockAddr any = net::to_sockaddr(Endpoint{IpAddress::v4(0x7f000001), 0});
    EXPECT_EQ(::bind(fd_.get(), any.get(), any.length), 0);
    EXPECT_EQ(::listen(fd_.get(), 4096), 0);
  }
  // Those that came, so that its queue never fills.
  void accept_all() {
    while (net::Fd(::accept(fd_.get(), nullptr, nullptr)).valid()) {
    }
  }
  Endpoint endpoint() const {
    sockaddr_in local{};
    socklen_t size = sizeof local;
    EXPECT_EQ(::getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&local), &size), 0);
    return {IpAddress::v4(0x7f000001), ntohs(local.sin_port)};
  }

 private:
  net::Fd fd_;
};

class ProberMemoryTest : public testing::Test {
 protected:
  ProberMemoryTest() {
    HealthPolicy policy = policy_of(HealthType::kTcp);
    policy.interval_ms = 1;
    check_ = check_of(listener_.endpoint(), policy);
    prober_.want("file/a", check_);
    EXPECT_TRUE(goes_on());
  }

  // As the program's loop does it: what a handler lacks is no end.
  void run_for(std::chrono::milliseconds time) {
    const auto end = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < end) run_one();
  }
  void run_one() {
    listener_.accept_all();
    io_.restart();
    try {
      io_.run_one_for(std::chrono::milliseconds(5));
    } catch (const std::bad_alloc&) {
      ++thrown_;
    }
  }
  bool goes_on() {
    const uint64_t enough = prober_.counters().successes + 3;
    for (int i = 0; i < 2000 && prober_.counters().successes < enough; ++i) run_one();
    return prober_.counters().successes >= enough;
  }

  Listener listener_;
  asio::io_context io_;
  Prober prober_{io_, {}};
  Check check_;
  int thrown_ = 0;
};

TEST_F(ProberMemoryTest, WhicheverAllocationFailsTheNextProbeComes) {
  int failed = 0;
  for (int64_t number = 0; number < 60; ++number) {
    {
      const FailingNew failing(number);
      run_for(std::chrono::milliseconds(15));
      failed += FailingNew::has_failed();
    }
    prober_.look();
    ASSERT_TRUE(goes_on()) << "allocation " << number;
  }
  EXPECT_GT(failed, 5);
}

TEST_F(ProberMemoryTest, WithoutAnyMemoryForAWhileItComesOnceSomebodyLooks) {
  const uint64_t before = prober_.counters().own_wants;
  {
    const FailingNew failing(FailingNew::kEach);
    run_for(std::chrono::milliseconds(30));
    prober_.look();
    run_for(std::chrono::milliseconds(30));
  }
  EXPECT_GT(prober_.counters().own_wants + uint64_t(thrown_), before);
  prober_.look();
  EXPECT_TRUE(goes_on());
}

}  // namespace
}  // namespace lb::health
