#include "dataplane/handoff/handoff_server.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <future>
#include <optional>

#include "common/net/sockaddr.hpp"
#include "dataplane/handoff/handoff_client.hpp"
#include "tests/unit/dataplane/handoff/handoff_fixture.hpp"

namespace lb::handoff {
namespace {

using namespace std::chrono_literals;

// As long as it lives no descriptor can be made in this process.
class NoDescriptorLeft {
 public:
  NoDescriptorLeft() {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    rlimit none = before_;
    none.rlim_cur = 3;  // stdin, stdout and stderr are there
    ::setrlimit(RLIMIT_NOFILE, &none);
  }
  ~NoDescriptorLeft() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  NoDescriptorLeft(const NoDescriptorLeft&) = delete;
  NoDescriptorLeft& operator=(const NoDescriptorLeft&) = delete;

 private:
  rlimit before_{};
};

class HandoffServerTest : public HandoffFixture {
 protected:
  // The running process is as it was: the next handoff succeeds.
  void expect_goes_on() {
    EXPECT_EQ(releases_, 0);
    Taken next = taken();
    EXPECT_TRUE(next.confirm(true).ok());
    EXPECT_EQ(releases_, 1);
  }

  size_t open_files() {
    size_t count = 0;
    for ([[maybe_unused]] const auto& each : std::filesystem::directory_iterator("/proc/self/fd")) {
      ++count;
    }
    return count;
  }

  static size_t inheritable_files() {
    size_t count = 0;
    for (const auto& each : std::filesystem::directory_iterator("/proc/self/fd")) {
      const int flags = ::fcntl(std::stoi(each.path().filename()), F_GETFD);
      count += flags >= 0 && (flags & FD_CLOEXEC) == 0;
    }
    return count;
  }
};

TEST_F(HandoffServerTest, ListensForOurUserOnly) {
  start_server();
  struct stat found {};
  ASSERT_EQ(::stat(path().c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 07777, 0600u);
}

TEST_F(HandoffServerTest, ReplacesASocketThatNobodyAnswers) {
  start_server();
  stop_server();
  const net::Fd dead(::socket(AF_UNIX, SOCK_STREAM, 0));
  const net::SockAddr address = net::to_sockaddr(net::UnixPath{path()});
  ASSERT_EQ(::bind(dead.get(), address.get(), address.length), 0);
  start_server();
  EXPECT_EQ(error_of(take()).code, "taken");
}

TEST_F(HandoffServerTest, DoesNotReplaceOneThatIsAnswered) {
  start_server();
  asio::io_context other;
  const auto second = HandoffServer::open(other, path(), {});
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, "Listen");
  EXPECT_EQ(error_of(take()).code, "taken");
}

TEST_F(HandoffServerTest, RefusesAPathThatIsNoSocketName) {
  asio::io_context other;
  EXPECT_FALSE(HandoffServer::open(other, "", {}).ok());
  EXPECT_FALSE(HandoffServer::open(other, "/tmp/" + std::string(200, 'x'), {}).ok());
}

TEST_F(HandoffServerTest, ItsEndFreesThePath) {
  start_server();
  stop_server();
  EXPECT_FALSE(std::filesystem::exists(path()));
}

TEST_F(HandoffServerTest, HandsOverAndFreesThePath) {
  give(listening_socket(), Protocol::kTcp);
  start_server();
  Taken taken_over = taken();
  const auto counters = taken_over.confirm(true);
  ASSERT_TRUE(counters.ok()) << counters.error().message;
  EXPECT_EQ(*counters, (Counters{{"accepted", 42}}));
  EXPECT_FALSE(std::filesystem::exists(path()));
  EXPECT_TRUE(reported("HandedOver"));
  EXPECT_EQ(counts().completed, 1u);
  EXPECT_EQ(counts().failed, 0u);
}

TEST_F(HandoffServerTest, ADeclinedHandoffChangesNothing) {
  give(listening_socket(), Protocol::kTcp);
  start_server();
  EXPECT_TRUE(taken().confirm(false, "the state is not for me").ok());
  EXPECT_TRUE(reported("HandoffDeclined"));
  EXPECT_EQ(counts().failed, 1u);
  expect_goes_on();
}

TEST_F(HandoffServerTest, AClientThatGoesAfterTakingChangesNothing) {
  give(listening_socket(), Protocol::kTcp);
  start_server();
  { const Taken dropped = taken(); }
  EXPECT_TRUE(reported("PeerGone"));
  expect_goes_on();
}

TEST_F(HandoffServerTest, AClientThatGoesWithItsWordOnTheWayChangesNothing) {
  give(listening_socket(), Protocol::kTcp);
  start_server();
  std::optional<BlockingChannel> channel = connected();
  ASSERT_TRUE(channel->send_document(encode(Hello{"new"})).ok());
  ASSERT_TRUE(channel->receive_document(kMaxOfferBytes).ok());
  ASSERT_TRUE(channel->receive_descriptors(1).ok());
  // The control thread is held up, so that it finds the word and the end at the same time.
  const auto held = std::make_shared<std::promise<void>>();
  const auto go_on = std::make_shared<std::promise<void>>();
  asio::post(io_, [held, go_on] {
    held->set_value();
    go_on->get_future().wait();
  });
  held->get_future().wait();
  ASSERT_TRUE(channel->send_document(encode(Serving{true, {}})).ok());
  channel.reset();
  go_on->set_value();
  EXPECT_TRUE(reported("PeerGone"));
  expect_goes_on();
}

TEST_F(HandoffServerTest, AProgramThatIsStartedMeanwhileInheritsNoneOfIt) {
  const size_t before = inheritable_files();
  start_server();
  BlockingChannel channel = connected();
  ASSERT_TRUE(channel.send_document(encode(Hello{"new"})).ok());
  ASSERT_TRUE(channel.receive_document(kMaxOfferBytes).ok());
  EXPECT_EQ(inheritable_files(), before);
}

TEST_F(HandoffServerTest, AClientThatSaysNothingIsEnded) {
  start_server({50ms, 10s});
  BlockingChannel silent = connected();
  EXPECT_TRUE(reported("HandoffTimeout"));
  EXPECT_FALSE(silent.receive_document(kMaxOfferBytes).ok());
  expect_goes_on();
}

TEST_F(HandoffServerTest, AClientThatNeverServesIsEnded) {
  give(listening_socket(), Protocol::kTcp);
  start_server({10s, 50ms});
  Taken slow = taken();
  EXPECT_TRUE(reported("HandoffTimeout"));
  EXPECT_FALSE(slow.confirm(true).ok());
  EXPECT_EQ(releases_, 0);
}

TEST_F(HandoffServerTest, AClientThatDoesNotReadTheOfferIsEnded) {
  offer_.state.assign(8 << 20, 'x');
  start_server({10s, 50ms});
  BlockingChannel lazy = connected();
  ASSERT_TRUE(lazy.send_document(encode(Hello{"new"})).ok());
  EXPECT_TRUE(reported("HandoffTimeout"));
  EXPECT_EQ(releases_, 0);
}

TEST_F(HandoffServerTest, AClientThatSendsByteByByteIsServed) {
  start_server();
  BlockingChannel slow = connected();
  const std::string hello = encode(Hello{"new"});
  const LengthBytes length = encode_length(hello.size());
  for (const char byte : std::string(length.begin(), length.end()) + hello) {
    ASSERT_EQ(::send(slow.descriptor(), &byte, 1, MSG_NOSIGNAL), 1);
  }
  EXPECT_TRUE(slow.receive_document(kMaxOfferBytes).ok());
}

TEST_F(HandoffServerTest, GarbageIsRefusedAndTheNextOneServed) {
  start_server();
  BlockingChannel garbage = connected();
  const std::string http = "GET / HTTP/1.1\r\n\r\n";
  ASSERT_EQ(::send(garbage.descriptor(), http.data(), http.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(http.size()));
  const auto answer = garbage.receive_document(kMaxOfferBytes);
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(decode_offer(*answer).error().code, "HandoffRefused");
  EXPECT_TRUE(reported("HandoffTooLarge"));
  expect_goes_on();
}

TEST_F(HandoffServerTest, AWrongDocumentIsRefusedWithItsReason) {
  start_server();
  BlockingChannel wrong = connected();
  ASSERT_TRUE(wrong.send_document(R"({"handoff": 99})").ok());
  const auto answer = wrong.receive_document(kMaxOfferBytes);
  ASSERT_TRUE(answer.ok());
  EXPECT_NE(decode_offer(*answer).error().message.find("version 99"), std::string::npos);
  expect_goes_on();
}

TEST_F(HandoffServerTest, GarbageInPlaceOfTheLastWordChangesNothing) {
  start_server();
  BlockingChannel wrong = connected();
  ASSERT_TRUE(wrong.send_document(encode(Hello{"new"})).ok());
  ASSERT_TRUE(wrong.receive_document(kMaxOfferBytes).ok());
  ASSERT_TRUE(wrong.send_document("serving: true").ok());
  EXPECT_TRUE(reported("HandoffDocument"));
  expect_goes_on();
}

TEST_F(HandoffServerTest, ASecondClientIsRefusedAndTheFirstServed) {
  start_server();
  Taken first = taken();
  const auto second = take();
  EXPECT_EQ(error_of(second).code, "HandoffRefused");
  EXPECT_NE(error_of(second).message.find("HandoffBusy"), std::string::npos);
  EXPECT_EQ(counts().refused, 1u);
  EXPECT_TRUE(first.confirm(true).ok());
}

TEST_F(HandoffServerTest, WhatCannotBeOfferedNowIsRefusedWithItsReason) {
  no_offer_ = Error{"NotReady", "no state yet"};
  start_server();
  EXPECT_NE(error_of(take()).message.find("no state yet"), std::string::npos);
  EXPECT_TRUE(reported("NotReady"));
  EXPECT_EQ(counts().failed, 1u);
}

TEST_F(HandoffServerTest, AnOfferThatCannotBeEncodedIsRefused) {
  offer_.workers = 0;
  start_server();
  EXPECT_EQ(error_of(take()).code, "HandoffRefused");
}

TEST_F(HandoffServerTest, AClosedDescriptorInTheOfferIsRefused) {
  give(listening_socket(), Protocol::kTcp);
  offer_.listeners[0].fd = 1 << 28;
  start_server();
  EXPECT_EQ(error_of(take()).code, "HandoffRefused");
}

// The limit is the whole process's: the other side has made its channel before.
TEST_F(HandoffServerTest, AProcessWithoutADescriptorLeftHandsOver) {
  for (int i = 0; i < 40; ++i) give(listening_socket(), Protocol::kTcp);
  give_lock();
  start_server();
  BlockingChannel channel = connected();
  ASSERT_TRUE(becomes_true([&] { return counts().started == 1; }));
  {
    const NoDescriptorLeft none;
    ASSERT_TRUE(channel.send_document(encode(Hello{"new"})).ok());
    const auto text = channel.receive_document(kMaxOfferBytes);
    ASSERT_TRUE(text.ok());
    ASSERT_TRUE(decode_offer(*text).ok()) << *text;
    EXPECT_EQ(decode_offer(*text)->descriptors(), 41u);
    // Descriptors are in the message, whoever may receive them.
    pollfd there{channel.descriptor(), POLLIN, 0};
    ASSERT_EQ(::poll(&there, 1, 10'000), 1);
  }
  ASSERT_TRUE(channel.receive_descriptors(41).ok());
  ASSERT_TRUE(channel.send_document(encode(Serving{true, {}})).ok());
  EXPECT_TRUE(reported("HandedOver"));
}

TEST_F(HandoffServerTest, AListenerThatIsClosedBeforeItIsSentEndsTheHandoff) {
  give(listening_socket(), Protocol::kTcp);
  give(listening_socket(), Protocol::kTcp);
  offer_.state.assign(8 << 20, 'x');  // so that the offer waits for its reader
  start_server();
  BlockingChannel channel = connected();
  ASSERT_TRUE(channel.send_document(encode(Hello{"new"})).ok());
  pollfd there{channel.descriptor(), POLLIN, 0};
  ASSERT_EQ(::poll(&there, 1, 10'000), 1);
  on_control_thread([&] { open_ = {offer_.listeners[1]}; });
  ASSERT_TRUE(channel.receive_document(kMaxOfferBytes).ok());
  EXPECT_TRUE(reported("ListenerClosed"));
  EXPECT_FALSE(channel.receive_descriptors(2).ok());
  on_control_thread([&] { open_.reset(); });
  expect_goes_on();
}

TEST_F(HandoffServerTest, AListenerThatOpensMeanwhileIsNoReasonToEnd) {
  give(listening_socket(), Protocol::kTcp);
  give(listening_socket(), Protocol::kTcp);
  open_ = offer_.listeners;
  offer_.listeners.pop_back();
  start_server();
  EXPECT_EQ(taken().listeners.size(), 1u);
}

TEST_F(HandoffServerTest, TheServerKeepsNothingOpenOnceItHasSent) {
  for (int i = 0; i < 10; ++i) give(listening_socket(), Protocol::kTcp);
  start_server();
  const size_t before = open_files();
  EXPECT_TRUE(taken().confirm(false, "only looking").ok());
  EXPECT_TRUE(reported("HandoffDeclined"));
  EXPECT_TRUE(becomes_true([&] { return open_files() == before; }));
}

TEST_F(HandoffServerTest, TheServerMayEndInTheMiddle) {
  give(listening_socket(), Protocol::kTcp);
  start_server();
  Taken taken_over = taken();
  stop_server();
  EXPECT_EQ(taken_over.confirm(true).error().code, "PeerGone");
  EXPECT_EQ(releases_, 0);
}

// A process of its own, as users cannot be changed for a thread.
TEST_F(HandoffServerTest, AnotherUserIsRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to become another user";
  ASSERT_EQ(::chmod(folder_.c_str(), 0711), 0);
  start_server();
  ASSERT_EQ(::chmod(path().c_str(), 0666), 0);
  const net::SockAddr address = net::to_sockaddr(net::UnixPath{path()});
  const pid_t child = ::fork();
  if (child == 0) {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
    if (::setuid(65534) != 0) ::_exit(2);
    if (::connect(fd, address.get(), address.length) != 0) ::_exit(3);
    char text[512];
    const ssize_t got = ::read(fd, text, sizeof text);
    ::_exit(got > 4 && std::string_view(text + 4, 10).starts_with("{\"handoff\"") ? 0 : 4);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_TRUE(reported("HandoffPeer"));
  EXPECT_EQ(counts().refused, 1u);
  EXPECT_EQ(counts().started, 0u);
}

}  // namespace
}  // namespace lb::handoff
