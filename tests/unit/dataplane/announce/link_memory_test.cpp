// Addresses on a link when memory runs out: what is interrupted goes on by itself or with the next
// change.
#include <gmock/gmock.h>

#include <new>

#include "dataplane/announce/link_announcer.hpp"
#include "tests/unit/dataplane/proxy/counting_new.hpp"

namespace lb::announce {
namespace {

using namespace std::chrono_literals;
using proxy::FailingNew;

constexpr int64_t kMost = 500;  // allocations of anything here
const IpAddress kAddress = IpAddress::parse("192.0.2.100").value();

// Nobody else has any address.
class QuietLink : public LinkLayer {
 public:
  Result<std::map<IpAddress, Ownership>> addresses() override {
    return std::map<IpAddress, Ownership>{};
  }
  Result<LinkState> state() override { return LinkState{}; }
  Status put(const IpAddress&, unsigned) override {
    const auto netlink = std::make_unique<int>(0);
    ++puts;
    return Done{};
  }
  Status remove(const IpAddress&) override { return Done{}; }
  Status send_probe(const IpAddress&) override {
    const auto frame = std::make_unique<int>(0);
    return Done{};
  }
  Status send_announcement(const IpAddress&) override { return Done{}; }
  Status listen(std::function<void(const Claim&)> on_claim) override {
    const auto socket = std::make_unique<int>(0);
    claimed = std::move(on_claim);
    return Done{};
  }
  void stop_listening() override { claimed = {}; }

  std::function<void(const Claim&)> claimed;
  unsigned puts = 0;
};

class LinkMemoryTest : public testing::Test {
 protected:
  void make() {
    announcer.reset();
    auto quiet = std::make_unique<QuietLink>();
    link = quiet.get();
    LinkAnnouncerOptions options;
    options.renew = 5ms;
    options.probe_gap = 1ms;
    options.set_filter = [this](const auto&, std::function<void()> in_force) {
      asio::post(io, std::move(in_force));
    };
    announcer = std::make_unique<LinkAnnouncer>(io, std::move(quiet), std::move(options));
  }
  void set() {
    announcer->set({{kAddress, {{Protocol::kTcp, 80}}}}, [](Announcer::Failures) {});
  }
  // As the control thread does it: who finds no memory ends, the rest goes on.
  void run_one() {
    try {
      io.run_one_for(50ms);
    } catch (const std::bad_alloc&) {
    }
    io.restart();
  }
  template <class Until>
  bool run_until(Until until) {
    for (const auto end = std::chrono::steady_clock::now() + 5s;
         !until() && std::chrono::steady_clock::now() < end;) {
      run_one();
    }
    return until();
  }
  bool is_up() { return announcer->announced().contains(kAddress); }

  asio::io_context io;
  QuietLink* link = nullptr;
  std::unique_ptr<LinkAnnouncer> announcer;
};

TEST_F(LinkMemoryTest, AChangeThatWasInterruptedIsPutRightByTheNext) {
  for (int64_t number = 0; number < kMost; ++number) {
    make();
    bool refused = false;
    {
      const FailingNew failing(number);
      try {
        set();
      } catch (const std::bad_alloc&) {
        refused = true;
      }
    }
    set();
    ASSERT_TRUE(run_until([&] { return is_up(); })) << "without allocation " << number;
    if (!refused) return;
  }
  ADD_FAILURE() << "it never came to an end";
}

TEST_F(LinkMemoryTest, WhicheverStepIsInterruptedTheAddressComesUp) {
  for (int step = 0; step < 6; ++step) {
    for (int64_t number = 0; number < kMost; ++number) {
      make();
      set();
      for (int i = 0; i < step; ++i) run_one();
      {
        const FailingNew failing(number);
        run_one();
      }
      const bool failed = FailingNew::has_failed();
      ASSERT_TRUE(run_until([&] { return is_up(); }))
          << "without allocation " << number << " of step " << step;
      if (!failed) break;
    }
  }
}

TEST_F(LinkMemoryTest, ARenewalThatWasInterruptedIsFollowedByOthers) {
  make();
  set();
  ASSERT_TRUE(run_until([&] { return is_up(); }));
  for (int64_t number = 0; number < kMost; ++number) {
    {
      const FailingNew failing(number);
      run_one();
    }
    const bool failed = FailingNew::has_failed();
    const unsigned before = link->puts;
    ASSERT_TRUE(run_until([&] { return link->puts > before + 1; })) << "without " << number;
    if (!failed) return;
  }
  ADD_FAILURE() << "it never came to an end";
}

TEST_F(LinkMemoryTest, AFilterThatCouldNotBeToldIsToldAgain) {
  make();
  announcer.reset();
  auto quiet = std::make_unique<QuietLink>();
  LinkAnnouncerOptions options;
  options.renew = 5ms;
  options.probe_gap = 1ms;
  int wants = 1, told = 0;
  options.set_filter = [&](const auto&, std::function<void()> in_force) {
    if (wants-- > 0) throw std::bad_alloc();
    ++told;
    asio::post(io, std::move(in_force));
  };
  announcer = std::make_unique<LinkAnnouncer>(io, std::move(quiet), std::move(options));
  set();
  EXPECT_TRUE(run_until([&] { return is_up(); }));
  EXPECT_EQ(told, 1);
}

}  // namespace
}  // namespace lb::announce
