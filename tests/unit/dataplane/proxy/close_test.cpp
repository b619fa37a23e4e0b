// How connections end: every line here once lost bytes, kept sockets, or gave more time than asked.
#include <netinet/tcp.h>
#include <poll.h>

#include "tests/unit/dataplane/proxy/checklist_support.hpp"

namespace lb::proxy {
namespace {

using CloseTest = DataPathTest;

// Sends until the far side and everything between take no more.
size_t fill(const Fd& fd) {
  const std::string block(1 << 16, 'f');
  size_t sent = 0;
  for (;;) {
    const ssize_t n = send(fd.get(), block.data(), block.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0) {
      sent += size_t(n);
      continue;
    }
    pollfd waiting{fd.get(), POLLOUT, 0};
    if (poll(&waiting, 1, 300) == 0) return sent;
  }
}

TEST_F(CloseTest, AResetIsNoticedWhileItsBytesWaitForTheOtherSide) {
  Server server;
  serve({server.port});
  Fd client = dial(port_);
  const Fd peer = server.accept_one();
  ASSERT_GT(fill(client), size_t{1} << 16);
  reset(client);
  EXPECT_TRUE(eventually([&] { return counters().resets_from_client == 1; }));
}

TEST_F(CloseTest, ASessionWhoseSidesAreBothGoneEndsAtOnce) {
  Server server;
  serve({server.port});
  for (int i = 0; i < 10; ++i) {
    Fd client = dial(port_);
    Fd peer = server.accept_one();
    write_all(client.get(), std::string(1000, 'x'));
    reset(peer);
    reset(client);
  }
  const auto began = std::chrono::steady_clock::now();
  EXPECT_TRUE(eventually([&] { return counters().active == 0; }));
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(3))
      << "not only when the patience for a slow reader is over";
}

TEST_F(CloseTest, BytesAfterAnUrgentOneAreNotHeldBack) {
  Server server;
  serve({server.port});
  const Fd client = dial(port_);
  const Fd peer = server.accept_one();
  for (int i = 0; i < 200; ++i) {
    write_all(client.get(), "before");
    send(client.get(), "!", 1, MSG_OOB);
    write_all(client.get(), "after.");
    std::string seen;
    while (seen.find("after.") == std::string::npos) {
      ASSERT_TRUE(wait_for(peer, POLLIN)) << "round " << i << ", so far: " << seen;
      char block[64];
      const ssize_t got = recv(peer.get(), block, sizeof block, 0);
      ASSERT_GT(got, 0);
      seen.append(block, size_t(got));
    }
  }
}

TEST_F(CloseTest, WithoutHalfCloseWhatCameBeforeTheEndIsDelivered) {
  Server server;
  policy_.half_close = false;
  serve({server.port});
  for (int round = 0; round < 5; ++round) {
    const Fd client = dial(port_);
    write_all(client.get(), "unread by the server");
    Fd peer = server.accept_one();
    const std::string answer(200'000, 'a');
    std::thread writer([&] {
      write_all(peer.get(), answer);
      shutdown(peer.get(), SHUT_WR);
    });
    write_all(client.get(), "more that nobody reads");
    EXPECT_EQ(read_all(client.get()).size(), answer.size());
    writer.join();
  }
}

// Its connection is over for the backend, but holds two sockets of ours still.
TEST_F(CloseTest, WithoutHalfCloseWhoIsStillBeingServedCountsForTheLimit) {
  Server server;
  policy_.half_close = false;
  policy_.max_connections = 1;
  serve({server.port});
  Fd client = dial_narrow(port_);
  Fd peer = server.accept_one();
  std::thread writer([&] {
    const std::string block(65536, 'a');
    while (send(peer.get(), block.data(), block.size(), MSG_NOSIGNAL) > 0) {
    }
  });
  EXPECT_TRUE(eventually([&] { return counters().bytes_out > 100'000; }));
  shutdown(client.get(), SHUT_WR);
  EXPECT_EQ(read_all(peer.get()), "");
  EXPECT_TRUE(eventually([&] { return port_status().connections == 0; }));
  EXPECT_TRUE(is_reset(dial(port_)));
  EXPECT_EQ(counters().limit_refused, 1u);
  reset(client);
  peer.reset();
  writer.join();
  EXPECT_TRUE(eventually([&] { return counters().active == 0; }));
  const Fd next = dial(port_);
  EXPECT_TRUE(server.accept_one().valid());
}

TEST_F(CloseTest, WithoutHalfCloseASlowReaderGetsAllOfIt) {
  Server server;
  policy_.half_close = false;
  serve({server.port});
  const Fd client = dial(port_);
  const Fd peer = server.accept_one();
  const std::string answer(3'000'000, 'a');
  std::thread writer([&] {
    write_all(peer.get(), answer);
    shutdown(peer.get(), SHUT_WR);
  });
  size_t got = 0;
  char block[50'000];
  for (ssize_t n; (n = recv(client.get(), block, sizeof block, 0)) > 0;) {
    got += size_t(n);
    pollfd nothing{-1, 0, 0};
    poll(&nothing, 1, 100);  // longer in all than the patience with who takes nothing
  }
  EXPECT_EQ(got, answer.size());
  writer.join();
}

TEST_F(CloseTest, ADrainWaitsForWhatIsStillBeingDelivered) {
  Server server;
  policy_.half_close = false;
  serve({server.port});
  const Fd client = dial(port_);
  const Fd peer = server.accept_one();
  const std::string answer(2'000'000, 'a');
  std::thread writer([&] {
    write_all(peer.get(), answer);
    shutdown(peer.get(), SHUT_WR);
  });
  writer.join();
  std::promise<void> over;
  on_control([&] { path_->drain(20'000, [&] { over.set_value(); }); });
  auto ended = over.get_future();
  EXPECT_EQ(ended.wait_for(std::chrono::milliseconds(200)), std::future_status::timeout);
  EXPECT_EQ(read_all(client.get()).size(), answer.size());
  EXPECT_EQ(ended.wait_for(std::chrono::seconds(5)), std::future_status::ready);
}

TEST_F(CloseTest, WithoutHalfCloseTheCountsEndWithTheFirstFin) {
  Server server;
  policy_.half_close = false;
  serve({server.port});
  const Fd client = dial(port_);
  const Fd peer = server.accept_one();
  shutdown(peer.get(), SHUT_WR);
  EXPECT_TRUE(eventually([&] { return port_status().connections == 0; }));
}

TEST_F(CloseTest, AHalfClosedConnectionOnWhichBytesMoveIsNotCut) {
  Server server;
  policy_.half_closed_timeout_s = 1;
  serve({server.port});
  const Fd client = dial(port_);
  const Fd peer = server.accept_one();
  shutdown(client.get(), SHUT_WR);
  for (int i = 0; i < 15; ++i) {  // longer than the limit, with shorter pauses
    write_all(peer.get(), "still here");
    char text[10];
    ASSERT_EQ(recv(client.get(), text, sizeof text, MSG_WAITALL), 10) << i;
    pollfd nothing{client.get(), POLLIN, 0};
    poll(&nothing, 1, 100);
  }
  EXPECT_TRUE(is_reset(client)) << "and silence ends it";
  EXPECT_EQ(counters().idle_timeouts, 1u);
}

TEST_F(CloseTest, TheEndBoundsServicesThatWereRemovedBefore) {
  Server server;
  policy_.delete_drain_s = 3600;
  serve({server.port});
  const Fd client = dial(port_);
  const Fd peer = server.accept_one();
  apply({{1, 99}, {}});
  std::promise<void> over;
  on_control([&] { path_->drain(50, [&] { over.set_value(); }); });
  EXPECT_EQ(over.get_future().wait_for(std::chrono::seconds(5)), std::future_status::ready);
  EXPECT_TRUE(is_reset(client));
}

TEST_F(CloseTest, AListenerThatGoesToAnotherServiceTakesNoConnectionsAlong) {
  Server first, second;
  serve({first.port});
  const Fd client = dial(port_);
  const Fd peer = first.accept_one();
  DesiredState next{{1, 99}, {{"file/other", {*IpAddress::parse("127.0.0.1")}, {}, {}}}};
  ServicePort port;
  port.port = port_;
  port.backends.emplace_back().address = *IpAddress::parse("127.0.0.1");
  port.backends.back().port = second.port;
  next.services.edit(0).ports.push_back(port);
  EXPECT_TRUE(apply(next).empty());
  EXPECT_TRUE(is_reset(client));
  const Fd again = dial(port_);
  EXPECT_TRUE(second.accept_one().valid());
}

}  // namespace
}  // namespace lb::proxy
