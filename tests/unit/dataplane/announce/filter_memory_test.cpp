// The thread of the packet filter when memory runs out, with a program that plays nft.
#include <gmock/gmock.h>

#include <condition_variable>
#include <future>
#include <new>

#include "dataplane/announce/packet_filter.hpp"
#include "tests/unit/dataplane/proxy/counting_new.hpp"

namespace lb::announce {
namespace {

using namespace std::chrono_literals;
using proxy::FailingNew;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr auto kPatience = 20s;

std::vector<Vip> vips(const std::string& address) {
  return {{IpAddress::parse(address).value(), {{Protocol::kTcp, 80}}}};
}

class FilterMemoryTest : public testing::Test {
 protected:
  Result<std::string> nft(const std::vector<std::string>& words, const std::string& input) {
    const std::lock_guard lock(mutex_);
    if (wants_ > 0) {
      --wants_;
      throw std::bad_alloc();
    }
    if (words.front() == "list") return std::string("ct state");
    if (refusal_) return *refusal_;
    in_force_ = input;
    return std::string();
  }
  // Of the next calls of nft, that many find no memory.
  void want(int calls) {
    const std::lock_guard lock(mutex_);
    wants_ = calls;
  }
  std::string in_force() {
    const std::lock_guard lock(mutex_);
    return in_force_;
  }
  // On the filter's thread, once it is in force.
  bool set(
      const std::vector<Vip>& wanted, const std::function<void()>& then = [] {}) {
    std::promise<void> done;
    filter_->set(wanted, [&] {
      then();
      done.set_value();
    });
    return done.get_future().wait_for(kPatience) == std::future_status::ready;
  }

  std::mutex mutex_;
  int wants_ = 0;
  std::optional<Error> refusal_;
  std::string in_force_;
  std::vector<std::string> told_;
  std::optional<PacketFilter> filter_{
      std::in_place, [this](const Error& error) { told_.push_back(error.message); },
      [this](const auto& words, const auto& input) { return nft(words, input); }};
};

TEST_F(FilterMemoryTest, WhicheverAllocationFailsTheRulesetComesIntoForce) {
  uint64_t failures = 0;
  for (int64_t number = 0; number < 100; ++number) {
    std::unique_ptr<FailingNew> failing;
    ASSERT_TRUE(set(vips("192.0.2.1"), [&] { failing = std::make_unique<FailingNew>(number); }));
    bool failed = false;
    const auto wanted = vips("192.0.2.2");
    ASSERT_TRUE(set(wanted,
                    [&] {
                      failed = FailingNew::has_failed();
                      failing.reset();
                    }))
        << "without allocation " << number;
    EXPECT_EQ(in_force(), render(wanted));
    if (!failed) break;
    ++failures;
  }
  EXPECT_GT(failures, 0u);
  EXPECT_EQ(filter_->memory_wants(), failures);
}

TEST_F(FilterMemoryTest, WhoCouldNotBeToldIsToldAgain) {
  int calls = 0;
  ASSERT_TRUE(set(vips("192.0.2.1"), [&] {
    if (++calls == 1) throw std::bad_alloc();
  }));
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(filter_->memory_wants(), 1u);
}

TEST_F(FilterMemoryTest, EverybodyIsToldOnce) {
  std::atomic<int> first{0}, second{0};
  want(1);
  filter_->set(vips("192.0.2.1"), [&] { ++first; });
  ASSERT_TRUE(set(vips("192.0.2.2"), [&] {
    if (++second == 1) throw std::bad_alloc();
  }));
  EXPECT_EQ(first, 1);
  EXPECT_EQ(second, 2);
}

TEST_F(FilterMemoryTest, TheTableIsTakenAwayAtTheEndAllTheSame) {
  ASSERT_TRUE(set(vips("192.0.2.1")));
  want(3);
  filter_->stop();
  EXPECT_EQ(in_force(), render({}));
  EXPECT_EQ(filter_->memory_wants(), 3u);
}

TEST_F(FilterMemoryTest, TheEndComesAlthoughThereIsNoMemoryForIt) {
  ASSERT_TRUE(set(vips("192.0.2.1")));
  want(1'000'000);
  filter_->stop();
  EXPECT_GE(filter_->memory_wants(), 2u) << "it has tried";
}

TEST_F(FilterMemoryTest, ATableThatIsLeftToOthersIsNotWaitedFor) {
  want(1'000'000);
  filter_->set(vips("192.0.2.1"));
  filter_->leave();
  EXPECT_THAT(in_force(), IsEmpty());
}

TEST_F(FilterMemoryTest, AFailureIsToldOnceThereIsMemoryForIt) {
  {
    const std::lock_guard lock(mutex_);
    refusal_ = Error{"Filter", "nft refused the ruleset"};
  }
  want(1);
  ASSERT_TRUE(set(vips("192.0.2.1")));
  EXPECT_THAT(told_, testing::ElementsAre(HasSubstr("refused")));
}

TEST_F(FilterMemoryTest, ASetThatFindsNoMemoryChangesNothing) {
  ASSERT_TRUE(set(vips("192.0.2.1")));
  for (int64_t number = 0; number < 100; ++number) {
    const auto wanted = vips("192.0.2.2");
    std::function<void()> done = [] { FAIL() << "it was not taken"; };
    bool refused = false;
    {
      const FailingNew failing(number);
      try {
        filter_->set(wanted, number == 0 ? done : std::function<void()>());
      } catch (const std::bad_alloc&) {
        refused = true;
      }
    }
    if (!refused) return;
    EXPECT_EQ(in_force(), render(vips("192.0.2.1")));
  }
  ADD_FAILURE() << "it never came to an end";
}

}  // namespace
}  // namespace lb::announce
