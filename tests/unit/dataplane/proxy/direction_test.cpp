#include "dataplane/proxy/direction.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

namespace lb::proxy {
namespace {

using net::Fd;

struct Link {
  Fd near;  // ours, non-blocking
  Fd far;   // the peer's
};

// A connected pair of real TCP sockets over loopback.
Link tcp_link() {
  Fd listener(socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  EXPECT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  EXPECT_EQ(listen(listener.get(), 1), 0);
  getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size);
  Link out{Fd(socket(AF_INET, SOCK_STREAM, 0)), Fd()};
  EXPECT_EQ(connect(out.near.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  out.far.reset(accept(listener.get(), nullptr, nullptr));
  fcntl(out.near.get(), F_SETFL, O_NONBLOCK);
  return out;
}

class DirectionTest : public testing::Test {
 protected:
  void SetUp() override { signal(SIGPIPE, SIG_IGN); }

  PumpResult pump(bool end_in_sight = false) {
    direction_.source_ready(end_in_sight);
    return direction_.pump(from_.near.get(), to_.near.get(), resources_);
  }

  void put(const std::string& text) {
    ASSERT_EQ(send(from_.far.get(), text.data(), text.size(), 0), ssize_t(text.size()));
    int queued = 0;
    for (int i = 0; i < 100'000 && queued < int(text.size()); ++i) {
      ioctl(from_.near.get(), FIONREAD, &queued);
    }
  }

  std::string get(size_t size) {
    std::string out(size, '\0');
    const ssize_t got = recv(to_.far.get(), out.data(), size, MSG_WAITALL);
    out.resize(got > 0 ? size_t(got) : 0);
    return out;
  }

  void reset_far(Fd& fd) {
    const linger now{1, 0};
    setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
    fd.reset();
  }

  Link from_ = tcp_link();
  Link to_ = tcp_link();
  RelayResources resources_;
  Direction direction_;
};

TEST_F(DirectionTest, PassesBytesOn) {
  put("hello");
  EXPECT_EQ(pump(), PumpResult::kWaiting);
  EXPECT_EQ(get(5), "hello");
  EXPECT_EQ(direction_.bytes(), 5U);
}

TEST_F(DirectionTest, WaitsWhenThereIsNothing) { EXPECT_EQ(pump(), PumpResult::kWaiting); }

TEST_F(DirectionTest, EndsOnlyAfterTheBytesBeforeTheEnd) {
  put("bye");
  from_.far.reset();
  EXPECT_EQ(pump(true), PumpResult::kEnded);
  EXPECT_EQ(get(3), "bye");
}

TEST_F(DirectionTest, DeliversWhatCameBeforeAReset) {
  put("last");
  reset_far(from_.far);
  EXPECT_EQ(pump(true), PumpResult::kSourceFailed);
  EXPECT_EQ(get(4), "last");
}

TEST_F(DirectionTest, TellsASinkThatIsGone) {
  reset_far(to_.far);
  put("x");
  EXPECT_EQ(pump(), PumpResult::kSinkFailed);
}

TEST_F(DirectionTest, SurvivesASinkWhoseWriteSideIsShut) {
  shutdown(to_.near.get(), SHUT_WR);
  put("x");
  EXPECT_EQ(pump(), PumpResult::kSinkFailed);
}

// Sends `total` patterned bytes through the direction while both ends keep working.
TEST_F(DirectionTest, CarriesManyMebibytesByteForByteAndSplicesThem) {
  constexpr size_t kTotal = 32 << 20;
  const auto pattern = [](size_t at) { return static_cast<char>(at * 131 + (at >> 12)); };
  fcntl(from_.far.get(), F_SETFL, O_NONBLOCK);
  fcntl(to_.far.get(), F_SETFL, O_NONBLOCK);
  std::vector<char> block(256 << 10);
  size_t sent = 0, received = 0;
  for (int round = 0; round < 1'000'000 && received < kTotal; ++round) {
    const size_t size = std::min(block.size(), kTotal - sent);
    for (size_t i = 0; i < size; ++i) block[i] = pattern(sent + i);
    const ssize_t out = size > 0 ? send(from_.far.get(), block.data(), size, 0) : 0;
    if (out > 0) sent += size_t(out);
    ASSERT_NE(pump(), PumpResult::kSinkFailed);
    const ssize_t in = recv(to_.far.get(), block.data(), block.size(), 0);
    for (ssize_t i = 0; i < in; ++i) ASSERT_EQ(block[size_t(i)], pattern(received + size_t(i)));
    if (in > 0) received += size_t(in);
  }
  EXPECT_EQ(received, kTotal);
  EXPECT_GT(resources_.spliced, resources_.copied);
}

TEST_F(DirectionTest, HoldsTheRestForASlowSinkAndThenGoesOn) {
  fcntl(from_.far.get(), F_SETFL, O_NONBLOCK);
  const std::string block(1 << 20, 'x');
  size_t sent = 0;
  for (int i = 0; i < 10'000 && !direction_.has_pending(); ++i) {
    const ssize_t out = send(from_.far.get(), block.data(), block.size(), 0);
    if (out > 0) sent += size_t(out);
    pump();
  }
  ASSERT_TRUE(direction_.has_pending());
  from_.far.reset();
  size_t received = 0;
  fcntl(to_.far.get(), F_SETFL, O_NONBLOCK);
  PumpResult flow = PumpResult::kWaiting;
  for (int i = 0; i < 1'000'000 && (flow != PumpResult::kEnded || received < sent); ++i) {
    flow = pump(true);
    received += get(1 << 16).size();
  }
  EXPECT_EQ(received, sent);
  EXPECT_EQ(flow, PumpResult::kEnded);
}

TEST_F(DirectionTest, DropsADirtyPipeWhenAbandoned) {
  fcntl(from_.far.get(), F_SETFL, O_NONBLOCK);
  const std::string block(1 << 20, 'x');
  for (int i = 0; i < 10'000 && !direction_.has_pending(); ++i) {
    send(from_.far.get(), block.data(), block.size(), 0);
    pump();
  }
  direction_.abandon(resources_);
  EXPECT_FALSE(direction_.has_pending());
  EXPECT_EQ(resources_.pipes.take()->held, 0U);
}

}  // namespace
}  // namespace lb::proxy
