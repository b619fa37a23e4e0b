// Congestion control and busy polling on real sockets, with and without the right to ask for them.
#include "dataplane/proxy/socket_tuning.hpp"

#include <linux/capability.h>
#include <netinet/tcp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fstream>
#include <set>

#include "dataplane/proxy/relay_engine.hpp"
#include "dataplane/proxy/sockets.hpp"
#include "dataplane/proxy/udp_sockets.hpp"
#include "tests/unit/dataplane/proxy/data_path_fixture.hpp"

namespace lb::proxy {
namespace {

const Endpoint kLoopback{IpAddress::v4(0x7f000001), 0};

std::string congestion_of(int fd) {
  char name[17] = {};
  socklen_t size = 16;
  getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &size);
  return name;
}

int busy_poll_of(int fd) {
  int out = -1;
  socklen_t size = sizeof out;
  getsockopt(fd, SOL_SOCKET, SO_BUSY_POLL, &out, &size);
  return out;
}

std::string of_system() { return congestion_of(Fd(socket(AF_INET, SOCK_STREAM, 0)).get()); }

std::set<std::string> congestions(const std::string& which) {
  std::ifstream file("/proc/sys/net/ipv4/tcp_" + which + "_congestion_control");
  std::set<std::string> out;
  for (std::string name; file >> name;) out.insert(name);
  return out;
}

// A name that may be asked for and is not the system's own; empty if there is none.
std::string another_congestion() {
  for (const auto& name : congestions("allowed")) {
    if (name != of_system()) return name;
  }
  return {};
}

// One that there is, but not for everybody; empty if there is none.
std::string forbidden_congestion() {
  const auto allowed = congestions("allowed");
  for (const auto& name : congestions("available")) {
    if (!allowed.contains(name)) return name;
  }
  return {};
}

// This thread lacks CAP_NET_ADMIN while one lives.
class NoNetAdmin {
 public:
  NoNetAdmin() {
    syscall(SYS_capget, &header_, before_);
    __user_cap_data_struct now[2] = {before_[0], before_[1]};
    now[0].effective &= ~(1u << CAP_NET_ADMIN);
    syscall(SYS_capset, &header_, now);
  }
  ~NoNetAdmin() { syscall(SYS_capset, &header_, before_); }

 private:
  __user_cap_header_struct header_{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct before_[2] = {};
};

#define SKIP_WITHOUT_ANOTHER(name) \
  if (name.empty()) GTEST_SKIP() << "this kernel allows one congestion control only"

TEST(SocketTuning, AcceptedSocketsInheritTheListeners) {
  const std::string name = another_congestion();
  SKIP_WITHOUT_ANOTHER(name);
  Server server;
  ASSERT_TRUE(tune(server.fd.get(), {name, 0}).ok());
  const Fd client = dial(server.port);
  EXPECT_EQ(congestion_of(server.accept_one().get()), name);
}

TEST(SocketTuning, ADialIsTunedBeforeItConnects) {
  const std::string name = another_congestion();
  SKIP_WITHOUT_ANOTHER(name);
  Server server;
  bool tuned = true;
  const Fd fd = start_connect({kLoopback.address, server.port}, 0, {name, 0}, &tuned);
  EXPECT_TRUE(tuned);
  EXPECT_EQ(congestion_of(fd.get()), name);
}

TEST(SocketTuning, ADialThatCannotBeTunedIsMadeAndSaid) {
  Server server;
  bool tuned = true;
  const Fd fd = start_connect({kLoopback.address, server.port}, 0, {"nosuch", 0}, &tuned);
  EXPECT_FALSE(tuned);
  EXPECT_TRUE(fd.valid());
  EXPECT_TRUE(server.accept_one().valid());
}

TEST(SocketTuning, NamesWhatTheKernelDoesNotHave) {
  const auto status = try_tuning({"nosuch", 0}, Family::kV4, Protocol::kTcp);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, "NotSupportedByKernel");
  EXPECT_NE(status.error().message.find("'nosuch'"), std::string::npos);
}

TEST(SocketTuning, SaysThatANameIsNotAllowed) {
  const std::string name = forbidden_congestion();
  if (name.empty()) GTEST_SKIP() << "this kernel allows every congestion control that it has";
  const NoNetAdmin dropped;
  const auto status = try_tuning({name, 0}, Family::kV4, Protocol::kTcp);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, "PermissionDenied");
}

// Kernels differ in whether they ask for the right at all.
TEST(SocketTuning, SaysThatBusyPollingIsNotAllowed) {
  const NoNetAdmin dropped;
  for (const Protocol protocol : {Protocol::kTcp, Protocol::kUdp}) {
    const auto status = try_tuning({"", 9999}, Family::kV4, protocol);
    if (status.ok()) GTEST_SKIP() << "this kernel lets everybody poll";
    EXPECT_EQ(status.error().code, "PermissionDenied");
  }
}

TEST(SocketTuning, AUdpSocketIsPolledAsAsked) {
  const Fd receiver(socket(AF_INET, SOCK_DGRAM, 0));
  const auto address = loopback(0);
  ASSERT_EQ(bind(receiver.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  if (!try_tuning({"", 60}, Family::kV4, Protocol::kUdp)) GTEST_SKIP() << "needs CAP_NET_ADMIN";
  bool tuned = true;
  const Fd fd = connect_udp({kLoopback.address, port_of(receiver.get())}, {"", 60}, &tuned);
  EXPECT_TRUE(tuned);
  EXPECT_EQ(busy_poll_of(fd.get()), 60);
}

TEST(SocketTuning, NothingAskedForIsNothingDone) {
  EXPECT_TRUE(try_tuning({}, Family::kV4, Protocol::kTcp).ok());
  EXPECT_TRUE(tune(-1, {}).ok());
  EXPECT_FALSE(tune(-1, {"reno", 0}).ok());
}

// The engine's own listener, seen through a second descriptor of the same socket.
TEST(SocketTuning, AListenerIsTunedAnewAndPutBackWhileItServes) {
  const std::string name = another_congestion();
  SKIP_WITHOUT_ANOTHER(name);
  auto opened = open_listener(kLoopback, false);
  ASSERT_TRUE(opened.ok());
  const Fd seen(dup(opened->get()));
  const auto config = [&](const SocketTuning& tuning) {
    auto out = std::make_shared<ListenerConfig>();
    out->address = {kLoopback.address, port_of(seen.get())};
    out->tuning = tuning;
    return out;
  };
  RelayEngine engine(0);
  engine.add_listener(std::move(opened).value(), config({}));
  engine.update_listener(config({name, 0}));
  EXPECT_EQ(congestion_of(seen.get()), name);
  engine.update_listener(config({}));
  EXPECT_EQ(congestion_of(seen.get()), of_system());
  EXPECT_EQ(engine.counters().untuned, 0u);
  engine.update_listener(config({"nosuch", 0}));
  EXPECT_EQ(engine.counters().untuned, 1u);
}

using TunedPathTest = DataPathTest;

TEST_F(TunedPathTest, WhatTheKernelDoesNotHaveFailsThatListenerOnly) {
  Server server;
  const uint16_t other = free_port();
  DesiredState state{{1, 1}, {{"file/web", {kLoopback.address}, {}, {}}}};
  for (const uint16_t number : {port_, other}) {
    ServicePort port;
    port.port = number;
    port.backends.emplace_back().address = kLoopback.address;
    port.backends.back().port = server.port;
    if (number == port_) port.policy.congestion = "nosuch";
    state.services.edit(0).ports.push_back(port);
  }
  const auto failed = apply(state);
  ASSERT_EQ(failed.size(), 1u);
  EXPECT_EQ(failed[0].port, port_);
  EXPECT_EQ(failed[0].reason, "NotSupportedByKernel");
  EXPECT_FALSE(dial(port_).valid());
  const Fd client = dial(other);
  EXPECT_TRUE(server.accept_one().valid());
}

TEST_F(TunedPathTest, AListenerThatServesGoesOnWhenItCannotBeTuned) {
  Server server;
  ASSERT_TRUE(serve({server.port}).empty());
  const Fd before = dial(port_);
  const Fd peer = server.accept_one();
  policy_.congestion = "nosuch";
  const auto failed = serve({server.port});
  ASSERT_EQ(failed.size(), 1u);
  EXPECT_EQ(failed[0].reason, "NotSupportedByKernel");
  const Fd after = dial(port_);
  EXPECT_TRUE(server.accept_one().valid());
  write_all(before.get(), "x");
  char text[1];
  EXPECT_EQ(recv(peer.get(), text, 1, MSG_WAITALL), 1);
  EXPECT_TRUE(port_status().programmed);
  EXPECT_EQ(counters().untuned, 0u) << "it stays as it was";
  policy_.congestion = "";
  EXPECT_TRUE(serve({server.port}).empty());
}

}  // namespace
}  // namespace lb::proxy
