// A listener that the kernel does not watch for us is a failure, and is tried again.
#include <optional>

#include "dataplane/proxy/relay_engine.hpp"
#include "tests/unit/dataplane/proxy/engine_fixture.hpp"
#include "tests/unit/dataplane/proxy/failing_epoll.hpp"
#include "tests/unit/dataplane/proxy/udp_path_fixture.hpp"

namespace lb::proxy {
namespace {

class WatchesTest : public UdpPathTest {
 protected:
  // Not all there is serves; once it may, all does.
  void expect_lacking() {
    ASSERT_EQ(failures().size(), 1u);
    EXPECT_EQ(failures()[0].reason, "OutOfMemory");
    EXPECT_FALSE(port_status().programmed);
    EXPECT_GE(counters().unwatched, 1u);
    EXPECT_GE(counters().no_memory, 1u);
    none_.reset();
    EXPECT_TRUE(eventually([this] { return failures().empty(); }));
    EXPECT_TRUE(port_status().programmed);
  }
  std::vector<Failure> failures() {
    std::vector<Failure> out;
    on_control([&] { out = path_->failures(); });
    return out;
  }
  std::optional<NoMoreWatches> none_{std::in_place};
};

TEST_F(WatchesTest, AListenerOfTcpIsToldOfAndTriedAgain) {
  Server server;
  serve({server.port});
  expect_lacking();
  const Fd client = dial(port_);
  EXPECT_TRUE(server.accept_one().valid());
}

TEST_F(WatchesTest, WhoConnectsMeanwhileWaits) {
  Server server;
  serve({server.port});
  const Fd client = dial(port_);
  ASSERT_TRUE(client.valid());
  expect_lacking();
  EXPECT_TRUE(server.accept_one().valid());
}

TEST_F(WatchesTest, AListenerOfUdpIsToldOfAndTriedAgain) {
  UdpSocket client, backend;
  EXPECT_EQ(serve_ports({port(Protocol::kUdp, {backend.port})}).size(), 1u);
  expect_lacking();
  client.send_to(port_, "x");
  EXPECT_EQ(backend.receive().first, "x");
}

TEST_F(WatchesTest, AChangeOfWhatIsServedNeedsNone) {
  none_.reset();
  Server server;
  serve({server.port});
  none_.emplace();
  serve({server.port});
  const Fd client = dial(port_);
  EXPECT_TRUE(server.accept_one().valid());
  EXPECT_EQ(counters().unwatched, 0u);
}

class HeldWatchesTest : public testing::Test {
 protected:
  // With a socket of another process.
  void hold(uint16_t backend) {
    engine_.serve({backend});
    config_ = std::make_shared<ListenerConfig>(*engine_.listener);
    engine_.engine.remove_listener(config_->address);
    std::vector<Fd> sockets;
    sockets.push_back(open_listener(config_->address, false).value());
    engine_.engine.hold_listener(std::move(sockets), config_, Sharing::kOwnSocket);
  }
  Engine engine_;
  std::shared_ptr<ListenerConfig> config_;
};

TEST_F(HeldWatchesTest, WhatWasHeldIsTriedAgainUntilItWorks) {
  Server server;
  hold(server.port);
  const Fd client = engine_.dial();
  {
    const NoMoreWatches none;
    engine_.engine.start_held();
    EXPECT_TRUE(
        engine_.works_until([&] { return engine_.count(&EngineCounters::unwatched) >= 2; }));
    EXPECT_FALSE(has_input(server.fd));
  }
  EXPECT_TRUE(engine_.works_until([&] { return has_input(server.fd); }));
}

TEST_F(HeldWatchesTest, ALateClientIsResetAndCounted) {
  Server server;
  engine_.serve({server.port});
  Fd listening = open_listener({*IpAddress::parse("127.0.0.1"), 0}, false).value();
  const Endpoint elsewhere = *local_endpoint(listening.get());
  const Fd client = dial(elsewhere.port);
  ASSERT_TRUE(client.valid());
  engine_.engine.adopt(elsewhere, Fd(accept(listening.get(), nullptr, nullptr)));
  EXPECT_TRUE(is_reset(client));
  EXPECT_EQ(engine_.count(&EngineCounters::late_resets), 1u);
}

}  // namespace
}  // namespace lb::proxy
