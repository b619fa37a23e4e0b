// What the kernel still sends for nobody, by real sockets.
#include "dataplane/announce/undelivered.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <string>
#include <vector>

#include "common/net/fd.hpp"

namespace lb::announce {
namespace {

using net::Fd;

const IpAddress kHere = *IpAddress::parse("127.3.2.1");
const IpAddress kOther = *IpAddress::parse("127.3.2.2");
const IpAddress kHere6 = *IpAddress::parse("::1");

sockaddr_storage at(const IpAddress& address, uint16_t port, socklen_t& size) {
  sockaddr_storage out{};
  if (address.is_v4()) {
    auto& v4 = reinterpret_cast<sockaddr_in&>(out);
    v4.sin_family = AF_INET;
    v4.sin_port = port;
    inet_pton(AF_INET, address.to_string().c_str(), &v4.sin_addr);
    size = sizeof v4;
  } else {
    auto& v6 = reinterpret_cast<sockaddr_in6&>(out);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = port;
    inet_pton(AF_INET6, address.to_string().c_str(), &v6.sin6_addr);
    size = sizeof v6;
  }
  return out;
}

// A connection to a listener at that address.
struct Pair {
  explicit Pair(const IpAddress& address) {
    socklen_t size = 0;
    auto where = at(address, 0, size);
    Fd listener(socket(where.ss_family, SOCK_STREAM, 0));
    client = Fd(socket(where.ss_family, SOCK_STREAM, 0));
    const int small = 4096;
    setsockopt(client.get(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    setsockopt(listener.get(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    auto* raw = reinterpret_cast<sockaddr*>(&where);
    EXPECT_EQ(bind(listener.get(), raw, size), 0);
    EXPECT_EQ(listen(listener.get(), 1), 0);
    EXPECT_EQ(getsockname(listener.get(), raw, &size), 0);
    EXPECT_EQ(connect(client.get(), raw, size), 0);
    server = Fd(accept(listener.get(), nullptr, nullptr));
  }
  // More than the client's kernel takes.
  void queue_much() {
    const std::string block(65536, 'x');
    while (send(server.get(), block.data(), block.size(), MSG_DONTWAIT) > 0) {
    }
  }
  void read_all() {
    char block[65536];
    while (recv(client.get(), block, sizeof block, 0) > 0) {
    }
  }
  Fd client, server;
};

bool eventually_none(const IpAddress& address) {
  for (int i = 0; i < 500; ++i) {
    if (undelivered({address}).empty()) return true;
    poll(nullptr, 0, 10);
  }
  return false;
}

class Undelivered : public testing::TestWithParam<IpAddress> {};

TEST_P(Undelivered, IsWhatAClosedSocketLeftInItsQueueUntilItIsTaken) {
  Pair pair(GetParam());
  pair.queue_much();
  EXPECT_TRUE(undelivered({GetParam()}).empty()) << "somebody holds the socket";
  pair.server.reset();
  EXPECT_EQ(undelivered({GetParam(), kOther}), std::set<IpAddress>{GetParam()});
  pair.read_all();
  EXPECT_TRUE(eventually_none(GetParam()));
}
INSTANTIATE_TEST_SUITE_P(BothFamilies, Undelivered, testing::Values(kHere, kHere6));

TEST(UndeliveredOfOthers, IsNotAsked) {
  Pair pair(kHere);
  pair.queue_much();
  pair.server.reset();
  EXPECT_TRUE(undelivered({kOther}).empty());
  EXPECT_TRUE(undelivered({}).empty());
}

TEST(UndeliveredOfMany, IsFoundInAListOfSeveralMessages) {
  std::vector<Pair> pairs;
  for (int i = 0; i < 300; ++i) {
    pairs.emplace_back(i == 299 ? kOther : kHere);
    pairs.back().queue_much();
    pairs.back().server.reset();
  }
  EXPECT_EQ(undelivered({kOther}), std::set<IpAddress>{kOther});
}

}  // namespace
}  // namespace lb::announce
