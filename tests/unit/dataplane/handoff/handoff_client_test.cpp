#include "dataplane/handoff/handoff_client.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <future>

#include "common/net/sockaddr.hpp"
#include "dataplane/handoff/descriptor_passing.hpp"
#include "tests/unit/dataplane/handoff/handoff_fixture.hpp"

namespace lb::handoff {
namespace {

using namespace std::chrono_literals;

size_t open_files() {
  size_t count = 0;
  for ([[maybe_unused]] const auto& each : std::filesystem::directory_iterator("/proc/self/fd")) {
    ++count;
  }
  return count;
}

bool locked_elsewhere(const std::string& path) {
  const net::Fd other(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  return ::flock(other.get(), LOCK_EX | LOCK_NB) != 0;
}

class HandoffClientTest : public HandoffFixture {};

TEST_F(HandoffClientTest, NobodyThereIsNoError) {
  EXPECT_EQ(error_of(take()).code, "nobody");
  const net::Fd dead(::socket(AF_UNIX, SOCK_STREAM, 0));
  const net::SockAddr address = net::to_sockaddr(net::UnixPath{path()});
  ASSERT_EQ(::bind(dead.get(), address.get(), address.length), 0);
  EXPECT_EQ(error_of(take()).code, "nobody");
}

TEST_F(HandoffClientTest, SaysWhetherAProcessIsStillThere) {
  EXPECT_FALSE(is_answered(path()));
  start_server();
  EXPECT_TRUE(is_answered(path()));
  stop_server();
  EXPECT_FALSE(is_answered(path()));
}

TEST_F(HandoffClientTest, APathThatIsNoSocketNameIsAnError) {
  EXPECT_EQ(error_of(take_over("", "new", 1s)).code, "HandoffSocket");
  EXPECT_EQ(error_of(take_over(std::string(200, 'x'), "new", 1s)).code, "HandoffSocket");
}

TEST_F(HandoffClientTest, TakesEverythingThatIsOffered) {
  give_lock();
  give(listening_socket(), Protocol::kTcp, 0);
  give(listening_socket(), Protocol::kTcp, 1);
  give(datagram_socket(), Protocol::kUdp, 0);
  offer_.state = std::string(3 << 20, 's');
  start_server();
  const Taken all = taken();
  EXPECT_EQ(all.version, "old");
  EXPECT_EQ(all.workers, 2u);
  EXPECT_EQ(all.counters, (Counters{{"accepted", 41}}));
  EXPECT_EQ(all.state, offer_.state);
  ASSERT_EQ(all.listeners.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(all.listeners[i].label, offer_.listeners[i].label);
    EXPECT_EQ(endpoint_of(all.listeners[i].fd), endpoint_of(given_[i]));
  }
}

TEST_F(HandoffClientTest, MoreThanOneBatchKeepsItsOrder) {
  give_lock();
  for (size_t i = 0; i < 2 * kBatch + 5; ++i) give(datagram_socket(), Protocol::kUdp);
  start_server();
  const Taken all = taken();
  ASSERT_EQ(all.listeners.size(), 2 * kBatch + 5);
  for (const auto& socket : all.listeners) {
    EXPECT_EQ(endpoint_of(socket.fd), socket.label.listener.at);
  }
}

TEST_F(HandoffClientTest, AnOfferWithoutSocketsIsAnOffer) {
  start_server();
  const Taken nothing = taken();
  EXPECT_TRUE(nothing.listeners.empty());
  EXPECT_FALSE(nothing.lock.valid());
}

TEST_F(HandoffClientTest, WhatIsQueuedIsTakenToo) {
  give(listening_socket(), Protocol::kTcp);
  const Endpoint where = endpoint_of(given_[0]);
  start_server();
  const net::Fd queued(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const net::SockAddr address = net::to_sockaddr(where);
  ASSERT_EQ(::connect(queued.get(), address.get(), address.length), 0);
  Taken all = taken();
  ASSERT_TRUE(all.confirm(true).ok());
  ASSERT_TRUE(given_.empty());
  const net::Fd accepted(::accept(all.listeners[0].fd.get(), nullptr, nullptr));
  ASSERT_TRUE(accepted.valid());
  ASSERT_EQ(::send(accepted.get(), "x", 1, MSG_NOSIGNAL), 1);
  char byte = 0;
  EXPECT_EQ(::recv(queued.get(), &byte, 1, 0), 1);
  EXPECT_TRUE(can_connect(where));
}

TEST_F(HandoffClientTest, TheLockOutlivesTheProcessThatTookIt) {
  give_lock();
  start_server();
  const std::string file = (folder_ / "lock").string();
  {
    Taken all = taken();
    EXPECT_TRUE(is_open_on(all.lock, file));
    ASSERT_TRUE(all.confirm(true).ok());
    lock_.reset();
    EXPECT_TRUE(locked_elsewhere(file));
  }
  EXPECT_FALSE(locked_elsewhere(file));
}

TEST_F(HandoffClientTest, ALockThatIsGivenBackStaysLocked) {
  give_lock();
  start_server();
  EXPECT_TRUE(taken().confirm(false, "no").ok());
  EXPECT_TRUE(locked_elsewhere((folder_ / "lock").string()));
}

TEST_F(HandoffClientTest, ALockOfAnotherFileIsNotOurs) {
  give_lock();
  EXPECT_FALSE(is_open_on(lock_, (folder_ / "missing").string()));
  EXPECT_FALSE(is_open_on(lock_, "/dev/null"));
  EXPECT_FALSE(is_open_on(net::Fd(), (folder_ / "lock").string()));
}

TEST_F(HandoffClientTest, AnotherSocketThanLabelledIsRefused) {
  give(listening_socket(), Protocol::kTcp);
  give(listening_socket(), Protocol::kTcp);
  std::swap(offer_.listeners[0].fd, offer_.listeners[1].fd);
  start_server();
  EXPECT_EQ(error_of(take()).code, "HandoffSocketMismatch");
  EXPECT_TRUE(reported("PeerGone"));
}

TEST_F(HandoffClientTest, AnotherProtocolThanLabelledIsRefused) {
  give(datagram_socket(), Protocol::kTcp);
  start_server();
  EXPECT_EQ(error_of(take()).code, "HandoffSocketMismatch");
}

TEST_F(HandoffClientTest, ASocketThatDoesNotListenIsRefused) {
  net::Fd deaf(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const net::SockAddr address = net::to_sockaddr(Endpoint{*IpAddress::parse("127.0.0.1"), 0});
  ASSERT_EQ(::bind(deaf.get(), address.get(), address.length), 0);
  give(std::move(deaf), Protocol::kTcp);
  start_server();
  EXPECT_EQ(error_of(take()).code, "HandoffSocketMismatch");
}

// Plays the running process by hand: listens, and answers with the bytes given.
class HandoffClientAlone : public HandoffFixture {
 protected:
  HandoffClientAlone() {
    listening_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const net::SockAddr address = net::to_sockaddr(net::UnixPath{path()});
    EXPECT_EQ(::bind(listening_.get(), address.get(), address.length), 0);
    EXPECT_EQ(::listen(listening_.get(), 1), 0);
  }

  // The error of taking over from a process that says `answer` and ends.
  std::string code_after(std::string answer, std::chrono::milliseconds timeout = 10s,
                         bool stays = false) {
    std::promise<void> over;
    std::thread other([&, ended = over.get_future()] {
      const net::Fd client(::accept(listening_.get(), nullptr, nullptr));
      ::send(client.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
      if (stays) ended.wait();
    });
    const std::string code = error_of(take_over(path(), "new", timeout)).code;
    over.set_value();
    other.join();
    return code;
  }

  net::Fd listening_;
};

std::string framed(const std::string& text) {
  const LengthBytes length = encode_length(text.size());
  return std::string(length.begin(), length.end()) + text;
}

TEST_F(HandoffClientAlone, AnEndBeforeTheOfferIsAnError) { EXPECT_EQ(code_after(""), "PeerGone"); }

TEST_F(HandoffClientAlone, AnOfferThatIsCutIsAnError) {
  const std::string offer = framed(*encode(OfferDocument{}));
  EXPECT_EQ(code_after(offer.substr(0, 2)), "PeerGone");
  EXPECT_EQ(code_after(offer.substr(0, offer.size() - 1)), "PeerGone");
}

TEST_F(HandoffClientAlone, GarbageIsAnError) {
  EXPECT_EQ(code_after("HTTP/1.1 400 Bad Request\r\n"), "HandoffTooLarge");
  EXPECT_EQ(code_after(framed("{]")), "HandoffDocument");
}

TEST_F(HandoffClientAlone, ALengthAloneCostsNoMemoryAndIsAnError) {
  const LengthBytes huge = encode_length(kMaxOfferBytes);
  EXPECT_EQ(code_after(std::string(huge.begin(), huge.end())), "PeerGone");
}

TEST_F(HandoffClientAlone, DescriptorsThatDoNotComeAreAnError) {
  OfferDocument offer;
  offer.lock = true;
  EXPECT_EQ(code_after(framed(*encode(offer))), "PeerGone");
  EXPECT_EQ(code_after(framed(*encode(offer)) + "\x01"), "DescriptorCount");
}

TEST_F(HandoffClientAlone, SilenceIsAnErrorInTime) {
  EXPECT_EQ(code_after("", 30ms, true), "HandoffTimeout");
  EXPECT_EQ(code_after(framed(*encode(OfferDocument{})).substr(0, 9), 30ms, true),
            "HandoffTimeout");
}

TEST_F(HandoffClientAlone, AQueueThatStaysFullIsAnErrorInTime) {
  ASSERT_EQ(::listen(listening_.get(), 0), 0);
  std::vector<BlockingChannel> waiting;
  for (int i = 0; i < 10; ++i) {
    auto channel = BlockingChannel::connect(path(), BlockingChannel::Clock::now() + 30ms);
    if (!channel.ok()) {
      EXPECT_EQ(channel.error().code, "HandoffTimeout");
      return;
    }
    waiting.push_back(std::move(**channel));
  }
  FAIL() << "the queue never filled";
}

TEST_F(HandoffClientTest, AFailedHandoffLeavesNothingOpen) {
  for (int i = 0; i < 5; ++i) give(listening_socket(), Protocol::kTcp);
  std::swap(offer_.listeners[0].fd, offer_.listeners[1].fd);
  start_server();
  const size_t before = open_files();
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(take().ok());
  EXPECT_TRUE(becomes_true([&] { return open_files() == before; }));
}

}  // namespace
}  // namespace lb::handoff
