// A process that hands over when its memory runs out: the handoff ends, and the next one is served.
#include <algorithm>
#include <optional>

#include "tests/unit/dataplane/handoff/handoff_fixture.hpp"
#include "tests/unit/dataplane/proxy/counting_new.hpp"

namespace lb::handoff {
namespace {

using proxy::FailingNew;

constexpr int64_t kMost = 500;  // allocations of one handoff

class HandoffMemoryTest : public HandoffFixture {
 protected:
  void refuse(int64_t number) {
    on_control_thread([&] { failing_.emplace(number); });
  }
  // Whether one was refused.
  bool end_refusing() {
    bool failed = false;
    on_control_thread([&] {
      failed = FailingNew::has_failed();
      failing_.reset();
    });
    return failed;
  }
  bool served() {
    auto next = take();
    if (!next.ok() || !next->has_value()) return false;
    (void)(*next)->confirm(false, "only looking");
    return becomes_true([this] { return !busy(); });
  }

  std::optional<FailingNew> failing_;  // of the control thread
};

TEST_F(HandoffMemoryTest, WhicheverAllocationFailsTheNextHandoffIsServed) {
  give(listening_socket(), Protocol::kTcp);
  start_server();
  int64_t number = 0;
  for (bool failed = true; failed && number < kMost; ++number) {
    SCOPED_TRACE(number);
    refuse(number);
    auto taken = take();
    if (taken.ok() && taken->has_value()) (void)(*taken)->confirm(false, "only looking");
    ASSERT_TRUE(becomes_true([this] { return !busy(); })) << "it ends";
    failed = end_refusing();
    look();
    ASSERT_TRUE(served());
  }
  std::printf("%ld allocations were refused one by one\n", long(number - 1));
  EXPECT_GT(number, 10);
  EXPECT_LT(number, kMost);
  EXPECT_EQ(releases_, 0);
  EXPECT_GE(counts().failed, uint64_t(number)) << "each is counted";
}

TEST_F(HandoffMemoryTest, WhicheverAllocationFailsAtTheEndItHasHandedOverOrGoesOn) {
  int64_t number = 0;
  bool ended_over = false;
  for (bool failed = true; failed && number < kMost; ++number) {
    SCOPED_TRACE(number);
    offer_.listeners.clear();
    give(listening_socket(), Protocol::kTcp);
    start_server();
    Taken next = taken();
    refuse(number);
    const auto counters = next.confirm(true);
    EXPECT_TRUE(becomes_true([this] { return !busy(); })) << "it ends";
    failed = end_refusing();
    // Either it goes on, and the new process can see that, or it has left.
    const bool over = counts().completed == 1;
    EXPECT_EQ(is_answered(path()), !over);
    EXPECT_EQ(counts().failed != 0, !over);
    EXPECT_TRUE(failed || counters.ok());
    ended_over = ended_over || (over && failed);
    stop_server();
  }
  EXPECT_GT(number, 3);
  EXPECT_LT(number, kMost);
  EXPECT_TRUE(ended_over) << "the new process did not hear of the last counters once";
}

TEST_F(HandoffMemoryTest, WithoutAnyMemoryItIsRefusedAndServedLater) {
  give(listening_socket(), Protocol::kTcp);
  start_server();
  refuse(FailingNew::kEach);
  const auto refused = take();
  EXPECT_FALSE(refused.ok() && refused->has_value());
  EXPECT_TRUE(end_refusing());
  look();
  EXPECT_TRUE(served());
}

}  // namespace
}  // namespace lb::handoff
