#include "dataplane/proxy/data_path.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

#include <condition_variable>
#include <mutex>
#include <thread>

#include "common/net/fd.hpp"

namespace lb::proxy {
namespace {

using net::Fd;

sockaddr_in loopback(uint16_t port) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(port);
  out.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return out;
}

uint16_t port_of(int fd) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

// A listening backend whose accepted connections the test drives by hand.
struct Server {
  Server() : fd(socket(AF_INET, SOCK_STREAM, 0)) {
    const auto address = loopback(0);
    EXPECT_EQ(bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(listen(fd.get(), 16), 0);
    const timeval limit{5, 0};
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    port = port_of(fd.get());
  }
  Fd accept_one() { return Fd(accept(fd.get(), nullptr, nullptr)); }
  Fd fd;
  uint16_t port = 0;
};

uint16_t free_port() { return Server().port; }

Fd dial(uint16_t port) {
  Fd fd(socket(AF_INET, SOCK_STREAM, 0));
  const timeval limit{5, 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  const auto address = loopback(port);
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    fd.reset();
  return fd;
}

std::string read_all(int fd) {
  std::string out;
  char block[65536];
  for (ssize_t got; (got = recv(fd, block, sizeof block, 0)) > 0;) out.append(block, size_t(got));
  return out;
}

void write_all(int fd, const std::string& text) {
  for (size_t sent = 0; sent < text.size();) {
    const ssize_t n = send(fd, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
    ASSERT_GT(n, 0);
    sent += size_t(n);
  }
}

void reset(Fd& fd) {
  const linger now{1, 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
  fd.reset();
}

class DataPathTest : public testing::Test {
 protected:
  void SetUp() override { signal(SIGPIPE, SIG_IGN); }

  std::vector<Failure> serve(const std::vector<uint16_t>& backends, uint32_t drain_s = 30) {
    DesiredState state{{1, ++generation_}, {}};
    Service service{"file/web", {*IpAddress::parse("127.0.0.1")}, {}, {}};
    ServicePort listener;
    listener.port = port_;
    listener.policy.drain_s = drain_s;
    for (const uint16_t port : backends) {
      Backend backend;
      backend.address = *IpAddress::parse("127.0.0.1");
      backend.port = port;
      listener.backends.push_back(backend);
    }
    service.ports.push_back(listener);
    state.services.push_back(service);
    return apply(state);
  }

  // The posted functions run on a worker's thread here: one call is in flight at a time.
  std::vector<Failure> apply(DesiredState state) {
    std::mutex mutex;
    std::condition_variable changed;
    bool ready = false;
    std::vector<Failure> out;
    path_->apply(std::make_shared<DesiredState>(std::move(state)),
                 [&](std::vector<Failure> failed) {
                   const std::lock_guard lock(mutex);
                   out = std::move(failed);
                   ready = true;
                   changed.notify_one();
                 });
    std::unique_lock lock(mutex);
    EXPECT_TRUE(changed.wait_for(lock, std::chrono::seconds(10), [&] { return ready; }));
    return out;
  }

  uint16_t port_ = free_port();
  uint64_t generation_ = 0;
  std::unique_ptr<DataPath> path_ = make_data_path(
      {.workers = 2, .freebind = false, .post = [](std::function<void()> task) { task(); }});
};

TEST_F(DataPathTest, RelaysBothWays) {
  Server server;
  ASSERT_TRUE(serve({server.port}).empty());
  const Fd client = dial(port_);
  write_all(client.get(), "ping");
  const Fd peer = server.accept_one();
  char text[4];
  ASSERT_EQ(recv(peer.get(), text, 4, MSG_WAITALL), 4);
  write_all(peer.get(), "pong");
  EXPECT_EQ(recv(client.get(), text, 4, MSG_WAITALL), 4);
  EXPECT_EQ(std::string(text, 4), "pong");
}

TEST_F(DataPathTest, AnswersAClientThatHasFinishedSending) {
  Server server;
  serve({server.port});
  const Fd client = dial(port_);
  write_all(client.get(), "request");
  shutdown(client.get(), SHUT_WR);
  const Fd peer = server.accept_one();
  EXPECT_EQ(read_all(peer.get()), "request");
  const std::string answer(1 << 20, 'a');
  std::thread writer([&] {
    write_all(peer.get(), answer);
    shutdown(peer.get(), SHUT_WR);
  });
  EXPECT_EQ(read_all(client.get()), answer);
  writer.join();
}

TEST_F(DataPathTest, TakesUploadsAfterTheServerHasFinished) {
  Server server;
  serve({server.port});
  const Fd client = dial(port_);
  const Fd peer = server.accept_one();
  shutdown(peer.get(), SHUT_WR);
  EXPECT_EQ(read_all(client.get()), "");
  const std::string upload(256 << 10, 'u');
  write_all(client.get(), upload);
  shutdown(client.get(), SHUT_WR);
  EXPECT_EQ(read_all(peer.get()), upload);
}

TEST_F(DataPathTest, PassesAServersResetOnAfterWhatItSaid) {
  Server server;
  serve({server.port});
  const Fd client = dial(port_);
  Fd peer = server.accept_one();
  write_all(peer.get(), "BYE");
  char text[3];
  ASSERT_EQ(recv(client.get(), text, 3, MSG_WAITALL | MSG_PEEK), 3);
  reset(peer);
  EXPECT_EQ(recv(client.get(), text, 3, MSG_WAITALL), 3);
  EXPECT_EQ(recv(client.get(), text, 1, 0), -1);
  EXPECT_EQ(errno, ECONNRESET);
}

TEST_F(DataPathTest, PassesAClientsResetOn) {
  Server server;
  serve({server.port});
  Fd client = dial(port_);
  write_all(client.get(), "x");
  const Fd peer = server.accept_one();
  char text[1];
  ASSERT_EQ(recv(peer.get(), text, 1, MSG_WAITALL), 1);
  reset(client);
  EXPECT_EQ(recv(peer.get(), text, 1, 0), -1);
  EXPECT_EQ(errno, ECONNRESET);
  EXPECT_EQ(path_->counters().resets_from_client, 1U);
}

TEST_F(DataPathTest, LetsTheServerSpeakFirst) {
  Server server;
  serve({server.port});
  const Fd client = dial(port_);
  const Fd peer = server.accept_one();
  write_all(peer.get(), "220 ready");
  char text[9];
  EXPECT_EQ(recv(client.get(), text, 9, MSG_WAITALL), 9);
}

TEST_F(DataPathTest, RetriesARefusedConnectOnAnotherBackend) {
  Server server;
  serve({free_port(), server.port});
  for (int i = 0; i < 10; ++i) {
    const Fd client = dial(port_);
    write_all(client.get(), "x");
    const Fd peer = server.accept_one();
    char text[1];
    EXPECT_EQ(recv(peer.get(), text, 1, MSG_WAITALL), 1);
  }
  EXPECT_GT(path_->counters().retries, 0U);
  EXPECT_EQ(path_->counters().no_backend, 0U);
}

TEST_F(DataPathTest, ResetsAtOnceWhenThereIsNobody) {
  serve({});
  const Fd client = dial(port_);
  char text[1];
  EXPECT_EQ(recv(client.get(), text, 1, 0), -1);
  EXPECT_EQ(errno, ECONNRESET);
  EXPECT_EQ(path_->counters().no_backend, 1U);
}

TEST_F(DataPathTest, ResetsConnectionsOfARemovedBackendAfterItsDrain) {
  Server server, other;
  serve({server.port}, 0);
  const Fd client = dial(port_);
  const Fd peer = server.accept_one();
  serve({other.port}, 0);
  char text[1];
  EXPECT_EQ(recv(client.get(), text, 1, 0), -1);
  EXPECT_EQ(errno, ECONNRESET);
  EXPECT_EQ(recv(peer.get(), text, 1, 0), -1);
  EXPECT_EQ(path_->counters().drain_resets, 1U);
}

TEST_F(DataPathTest, LeavesConnectionsAloneThatAChangeDoesNotConcern) {
  Server server, other;
  serve({server.port});
  const Fd client = dial(port_);
  const Fd peer = server.accept_one();
  serve({server.port, other.port});
  write_all(client.get(), "still here");
  char text[10];
  EXPECT_EQ(recv(peer.get(), text, 10, MSG_WAITALL), 10);
}

TEST_F(DataPathTest, ClosesAListenerThatLeavesTheState) {
  Server server;
  serve({server.port});
  const Fd client = dial(port_);
  const Fd peer = server.accept_one();
  apply({{1, 99}, {}});
  char text[1];
  EXPECT_EQ(recv(client.get(), text, 1, 0), -1);
  EXPECT_FALSE(dial(port_).valid());
}

TEST_F(DataPathTest, SaysWhenThePortIsTaken) {
  Server occupant;
  port_ = occupant.port;
  const auto failed = serve({});
  ASSERT_EQ(failed.size(), 1U);
  EXPECT_EQ(failed[0].reason, "AddressInUse");
  EXPECT_EQ(path_->status()[0].ports[0].reason, "AddressInUse");
}

TEST_F(DataPathTest, NamesAFieldThatItDoesNotServe) {
  DesiredState state{{1, 1}, {{"k", {*IpAddress::parse("127.0.0.1")}, {}, {}}}};
  ServicePort port;
  port.port = port_;
  port.policy.balance = Balance::kMaglev;
  state.services[0].ports.push_back(port);
  const auto failed = apply(state);
  ASSERT_EQ(failed.size(), 1U);
  EXPECT_EQ(failed[0].reason, "Unsupported");
  EXPECT_NE(failed[0].message.find("policy.balance"), std::string::npos);
}

}  // namespace
}  // namespace lb::proxy
