// A side whose bytes the other one does not take is not listened to until they are taken.
#include <string>

#include "tests/unit/dataplane/proxy/engine_fixture.hpp"

namespace lb::proxy {
namespace {

constexpr int kSegments = 20;

// A backend that sends to a client which does not read.
class StallTest : public testing::Test {
 protected:
  void SetUp() override {
    engine_.serve({server_.port});
    client_ = engine_.dial();
    engine_.work();
    backend_ = server_.accept_one();
  }
  // Until the relay can neither send on nor has listened to the last of it.
  void fill() {
    const std::string block(1 << 18, 'b');
    ASSERT_TRUE(engine_.works_until([&] {
      const ssize_t n =
          send(backend_.get(), block.data(), block.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n > 0) sent_ += size_t(n);
      return stalls() == 1;
    }));
    engine_.work();
  }
  bool receives_all() {
    std::string text(1 << 18, 0);
    return engine_.works_until([&] {
      const ssize_t got = recv(client_.get(), text.data(), text.size(), MSG_DONTWAIT);
      if (got > 0) received_ += size_t(got);
      return received_ == sent_;
    });
  }
  // Whatever room is left in the relay's own socket, a byte has it.
  void send_little() {
    const ssize_t n = send(backend_.get(), "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0) sent_ += size_t(n);
  }
  uint64_t stalls() { return engine_.count(&EngineCounters::stalls); }

  Server server_;
  Engine engine_;
  Fd client_, backend_;
  size_t sent_ = 0, received_ = 0;
};

TEST_F(StallTest, WhatFindsNoRoomWakesNobody) {
  fill();
  int wakeups = 0;
  for (int i = 0; i < kSegments; ++i) {
    send_little();
    while (wakeups < kSegments && engine_.turn(5)) ++wakeups;
  }
  EXPECT_LE(wakeups, 2);
  EXPECT_EQ(stalls(), 1u);
}

TEST_F(StallTest, AllOfItArrivesOnceThereIsRoom) {
  fill();
  for (int i = 0; i < kSegments; ++i) send_little();
  EXPECT_TRUE(receives_all());
}

TEST_F(StallTest, WhatComesAfterwardsIsListenedToAgain) {
  fill();
  ASSERT_TRUE(receives_all());
  engine_.work();
  send_little();
  engine_.work();
  char text = 0;
  EXPECT_EQ(recv(client_.get(), &text, 1, MSG_DONTWAIT), 1);
  EXPECT_EQ(text, 'x');
}

TEST_F(StallTest, ThereMayBeASecondOne) {
  fill();
  ASSERT_TRUE(receives_all());
  const std::string block(1 << 18, 'b');
  EXPECT_TRUE(engine_.works_until([&] {
    const ssize_t n = send(backend_.get(), block.data(), block.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0) sent_ += size_t(n);
    return stalls() == 2;
  }));
  EXPECT_TRUE(receives_all());
}

TEST_F(StallTest, AnEndDuringItFollowsTheLastByte) {
  fill();
  shutdown(backend_.get(), SHUT_WR);
  engine_.work();
  ASSERT_TRUE(receives_all());
  char text = 0;
  EXPECT_TRUE(
      engine_.works_until([&] { return recv(client_.get(), &text, 1, MSG_DONTWAIT) == 0; }));
}

TEST_F(StallTest, AResetDuringItIsSeenAtOnce) {
  fill();
  reset(backend_);
  EXPECT_TRUE(engine_.works_until(
      [&] { return engine_.count(&EngineCounters::resets_from_backend) == 1; }));
}

TEST_F(StallTest, AnUrgentByteDuringItHoldsNothingBack) {
  fill();
  ASSERT_EQ(send(backend_.get(), "u", 1, MSG_OOB | MSG_NOSIGNAL | MSG_DONTWAIT), 1);
  for (int i = 0; i < kSegments; ++i) send_little();
  EXPECT_TRUE(receives_all()) << "the urgent byte itself is dropped";
}

TEST_F(StallTest, TheOtherDirectionGoesOn) {
  fill();
  for (int i = 0; i < kSegments; ++i) {
    ASSERT_EQ(send(client_.get(), "?", 1, MSG_NOSIGNAL), 1);
    engine_.work(1);
    char text = 0;
    EXPECT_TRUE(
        engine_.works_until([&] { return recv(backend_.get(), &text, 1, MSG_DONTWAIT) == 1; }));
  }
}

TEST_F(StallTest, AClientThatIsNotReadFromIsListenedToAgainToo) {
  const std::string block(1 << 18, 'c');
  ASSERT_TRUE(engine_.works_until([&] {
    const ssize_t n = send(client_.get(), block.data(), block.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0) sent_ += size_t(n);
    return stalls() == 1;
  }));
  std::swap(client_, backend_);
  EXPECT_TRUE(receives_all());
}

}  // namespace
}  // namespace lb::proxy
