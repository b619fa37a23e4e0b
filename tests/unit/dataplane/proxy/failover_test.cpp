// Backends that fail: ejection, moving on, coming back; and limits on who and how long.
#include <algorithm>

#include "common/model/support.hpp"
#include "dataplane/proxy/sockets.hpp"
#include "tests/unit/dataplane/proxy/data_path_fixture.hpp"

namespace lb::proxy {
namespace {

using FailoverTest = DataPathTest;

TEST_F(FailoverTest, EjectsABackendThatRefusesThreeTimes) {
  Server server;
  const uint16_t dead = free_port();
  serve({dead, server.port});
  for (int i = 0; i < 12; ++i) {
    const Fd client = dial(port_);
    EXPECT_TRUE(server.accept_one().valid()) << "no client notices";
  }
  EXPECT_EQ(counters().ejections, 1u);
  EXPECT_EQ(counters().connect_refused, 3u) << "none is tried after the ejection";
  const auto status = port_status();
  for (const auto& backend : status.backends) {
    EXPECT_EQ(backend.ejected, backend.backend.port == dead);
    EXPECT_EQ(backend.reason, backend.backend.port == dead ? "Refused" : "");
  }
  on_control([&] {
    const auto totals = path_->totals();
    for (const auto& backend : totals.at(0).backends) {
      EXPECT_EQ(backend.why_down, backend.backend.port == dead ? "Refused" : "");
    }
  });
}

// idle_timeout_s is for connections that are there; a dial has limits of its own.
TEST_F(FailoverTest, AnIdleTimeoutBelowThatOfAConnectKeepsNobodyFromAnotherBackend) {
  Server server;
  const BlackHole hole;
  policy_.idle_timeout_s = 1;
  policy_.connect_timeout_ms = 1250;
  policy_.ejection = {.refused = 3, .timeouts = 1, .seconds = 60};
  serve({hole.port, server.port});
  std::vector<Fd> clients, peers;
  for (int i = 0; i < 4; ++i) clients.push_back(dial(port_));
  for (int i = 0; i < 4; ++i) {
    peers.push_back(server.accept_one());
    EXPECT_TRUE(peers.back().valid()) << i;
  }
  EXPECT_EQ(counters().ejections, 1u);
  EXPECT_GE(counters().connect_timeouts, 1u);
  for (const auto& client : clients) EXPECT_TRUE(is_reset(client)) << "idle, now that it is there";
  EXPECT_EQ(counters().idle_timeouts, 4u);
}

TEST_F(FailoverTest, TakesABackendBackByAConnectionOfItsOwn) {
  Server server;
  Server returning;
  const uint16_t port = returning.port;
  returning.fd.reset();
  policy_.ejection = {.refused = 1, .timeouts = 1, .seconds = 1};
  serve({port, server.port});
  for (int i = 0; i < 4; ++i) {
    const Fd client = dial(port_);
    server.accept_one();
  }
  ASSERT_EQ(counters().ejections, 1u);
  Fd back(socket(AF_INET, SOCK_STREAM, 0));
  const int on = 1;
  setsockopt(back.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const auto address = loopback(port);
  ASSERT_EQ(bind(back.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  listen(back.get(), 16);
  EXPECT_TRUE(eventually([&] { return counters().readmissions == 1; }));
  for (const auto& backend : port_status().backends) EXPECT_FALSE(backend.ejected);
}

TEST_F(FailoverTest, UsesAnEjectedBackendWhenNobodyElseIsLeft) {
  policy_.ejection.refused = 1;
  const uint16_t dead = free_port();
  serve({dead});
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(is_reset(dial(port_)));
  EXPECT_EQ(counters().ejections, 1u);
  EXPECT_EQ(counters().connect_refused, 3u) << "it is still tried";
}

TEST_F(FailoverTest, NeverEjectsWhereThePolicySaysSo) {
  Server server;
  policy_.ejection = {.refused = 0, .timeouts = 0, .seconds = 1};
  serve({free_port(), server.port});
  for (int i = 0; i < 10; ++i) {
    const Fd client = dial(port_);
    server.accept_one();
  }
  EXPECT_EQ(counters().ejections, 0u);
  EXPECT_GE(counters().connect_refused, 4u);
}

TEST_F(FailoverTest, OneTimeoutMovesEveryDialThatWaits) {
  Server server;
  const BlackHole hole;
  policy_.connect_timeout_ms = 300;
  serve({hole.port, server.port});
  std::vector<Fd> clients;
  for (int i = 0; i < 8; ++i) clients.push_back(dial(port_));
  for (int i = 0; i < 8; ++i) EXPECT_TRUE(server.accept_one().valid()) << i;
  EXPECT_EQ(counters().ejections, 1u);
  for (const auto& backend : port_status().backends) {
    EXPECT_EQ(backend.ejected, backend.backend.port == hole.port) << backend.reason;
  }
  const uint64_t timeouts = counters().connect_timeouts;
  for (int i = 0; i < 8; ++i) {
    const Fd client = dial(port_);
    EXPECT_TRUE(server.accept_one().valid());
  }
  EXPECT_EQ(counters().connect_timeouts, timeouts) << "nobody waits for the black hole again";
}

TEST_F(FailoverTest, ResetsAClientOutsideTheSourceRanges) {
  Server server;
  policy_.source_ranges = {Cidr::parse("192.0.2.0/24").value()};
  serve({server.port});
  EXPECT_TRUE(is_reset(dial(port_)));
  EXPECT_EQ(counters().source_refused, 1u);
  policy_.source_ranges.push_back(Cidr::parse("127.0.0.0/8").value());
  serve({server.port});
  const Fd client = dial(port_);
  EXPECT_TRUE(server.accept_one().valid());
}

TEST_F(FailoverTest, OpensAPortOnceItIsFree) {
  Server backend;
  auto occupant = std::make_unique<Server>();
  port_ = occupant->port;
  ASSERT_EQ(serve({backend.port}).size(), 1u);
  EXPECT_FALSE(port_status().programmed);
  occupant.reset();
  EXPECT_TRUE(eventually([&] { return port_status().programmed; }));
  const Fd client = dial(port_);
  EXPECT_TRUE(backend.accept_one().valid());
}

TEST_F(FailoverTest, ADrainLetsConnectionsFinish) {
  Server server;
  serve({server.port});
  const Fd client = dial(port_);
  Fd peer = server.accept_one();
  std::promise<void> drained;
  on_control([&] { path_->drain(60'000, [&] { drained.set_value(); }); });
  auto over = drained.get_future();
  EXPECT_TRUE(eventually([&] { return !dial(port_).valid(); }));
  write_all(peer.get(), "the end");
  peer.reset();
  EXPECT_EQ(read_all(client.get()), "the end");
  shutdown(client.get(), SHUT_WR);
  server.fd.reset();  // whoever was accepted while the listener closed ends too
  EXPECT_EQ(over.wait_for(std::chrono::seconds(5)), std::future_status::ready);
}

TEST_F(FailoverTest, ADrainEndsAtItsDeadline) {
  Server server;
  serve({server.port});
  const Fd client = dial(port_);
  const Fd peer = server.accept_one();
  std::promise<void> drained;
  on_control([&] { path_->drain(50, [&] { drained.set_value(); }); });
  EXPECT_EQ(drained.get_future().wait_for(std::chrono::seconds(5)), std::future_status::ready);
  EXPECT_TRUE(is_reset(client));
}

TEST_F(FailoverTest, StoppingResetsWhatStillDrains) {
  Server server;
  serve({server.port});
  const Fd client = dial(port_);
  const Fd peer = server.accept_one();
  on_control([&] { path_->drain(60'000, [] {}); });
  EXPECT_TRUE(eventually([&] { return !dial(port_).valid(); }));
  on_control([&] { path_->stop(); });
  EXPECT_TRUE(is_reset(client));
}

TEST_F(FailoverTest, AClosingListenerServesItsWholeQueue) {
  Server server;
  policy_.delete_drain_s = 60;
  serve({server.port});
  std::vector<Fd> clients;
  for (int i = 0; i < 200; ++i) clients.push_back(dial(port_));
  apply({{1, 99}, {}});
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(server.accept_one().valid()) << i;
}

TEST_F(FailoverTest, AnotherChangeDoesNotProlongADrain) {
  Server leaving, staying;
  policy_.drain_s = 1;
  serve({leaving.port});
  const Fd client = dial(port_);
  const Fd peer = leaving.accept_one();
  serve({staying.port});
  const auto began = std::chrono::steady_clock::now();
  bool over = false;
  for (uint16_t extra = 1; !over && extra < 100; ++extra) {
    serve({staying.port, extra});
    char text[1];
    over = recv(client.get(), text, 1, MSG_DONTWAIT) < 0 && errno == ECONNRESET;
    std::this_thread::sleep_until(began + extra * std::chrono::milliseconds(50));
  }
  EXPECT_TRUE(over) << "still open after five times its drain";
}

TEST_F(FailoverTest, AnAddressIsInUseUntilItsLastConnectionIsOver) {
  Server server;
  policy_.delete_drain_s = 60;
  serve({server.port});
  Fd client = dial(port_);
  const Fd peer = server.accept_one();
  apply({{1, 99}, {}});
  size_t in_use = 0;
  on_control([&] { in_use = path_->addresses_in_use().size(); });
  EXPECT_EQ(in_use, 1u);
  reset(client);
  EXPECT_TRUE(eventually([&] {
    on_control([&] { in_use = path_->addresses_in_use().size(); });
    return in_use == 0;
  }));
}

TEST_F(FailoverTest, EndsWhatIsIdleForTooLong) {
  Server server;
  policy_.idle_timeout_s = 1;
  serve({server.port});
  const Fd client = dial(port_);
  const Fd peer = server.accept_one();
  EXPECT_TRUE(is_reset(client));
  EXPECT_EQ(counters().idle_timeouts, 1u);
}

TEST_F(FailoverTest, EndsWhatStaysHalfClosedForTooLong) {
  Server server;
  policy_.half_closed_timeout_s = 1;
  serve({server.port});
  const Fd client = dial(port_);
  const Fd peer = server.accept_one();
  shutdown(client.get(), SHUT_WR);
  EXPECT_EQ(read_all(peer.get()), "");
  EXPECT_TRUE(is_reset(client));
  EXPECT_EQ(counters().idle_timeouts, 1u);
}

TEST_F(FailoverTest, WithoutHalfCloseOneEndIsEnough) {
  Server server;
  policy_.half_close = false;
  serve({server.port});
  const Fd client = dial(port_);
  const Fd peer = server.accept_one();
  write_all(client.get(), "last words");
  shutdown(client.get(), SHUT_WR);
  EXPECT_EQ(read_all(peer.get()), "last words");
  EXPECT_EQ(read_all(client.get()), "");
  EXPECT_TRUE(eventually([&] { return counters().active == 0; }));
}

TEST(PeerState, OnlyLostDataOrALostWindowMeansDeath) {
  EXPECT_FALSE(is_dead({.unacknowledged = true, .retransmits = 5, .probes = 1}));
  EXPECT_TRUE(is_dead({.unacknowledged = true, .retransmits = 6, .probes = 0}));
  EXPECT_TRUE(is_dead({.unacknowledged = true, .retransmits = 0, .probes = 2}));
}

TEST(PeerState, SeesWhatIsNotAcknowledged) {
  Server server;
  const Fd client = dial(server.port);
  const Fd peer = server.accept_one();
  EXPECT_FALSE(peer_state(client.get()).unacknowledged);
  const int small = 4096;
  setsockopt(peer.get(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  const std::string much(8 << 20, 'x');
  send(client.get(), much.data(), much.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  EXPECT_TRUE(peer_state(client.get()).unacknowledged);
  EXPECT_EQ(peer_endpoint(peer.get())->address, *IpAddress::parse("127.0.0.1"));
}

TEST(Features, ADefaultServiceAsksForNothingThatIsNotServed) {
  ServicePort port;
  EXPECT_EQ(unsupported(port), std::nullopt);
  port.policy.mode = Mode::kKernel;
  EXPECT_NE(unsupported(port), std::nullopt);
}

TEST(Features, NamesNothingThatIsRefused) {
  for (const auto& feature : served_features()) {
    EXPECT_EQ(feature.find("kernel"), std::string::npos);
  }
  const auto all = served_features();
  EXPECT_TRUE(std::is_sorted(all.begin(), all.end()));
}

// Not by a second rule of its own: who is called down is as little use as who was just called so.
TEST_F(FailoverTest, ADialIsNotMovedFromOneBackendCalledDownToAnother) {
  Server sick;
  const BlackHole hole;
  policy_.connect_timeout_ms = 60'000;
  serve({hole.port});
  const Fd client = dial(port_);
  ASSERT_TRUE(eventually([&] { return counters().dials == 1; }));
  serve({hole.port, sick.port});
  set_health(sick.port, Health::kDown);
  set_health(hole.port, Health::kDown);
  EXPECT_EQ(flows().size(), 1U) << "and by now every worker knows";
  EXPECT_EQ(counters().retries, 0U);
  set_health(sick.port, Health::kUp);
  set_health(hole.port, Health::kUnknown);
  set_health(hole.port, Health::kDown);
  EXPECT_TRUE(sick.accept_one().valid()) << "a sound one is better";
  EXPECT_EQ(counters().retries, 1U);
}

TEST_F(FailoverTest, ABackendThatACheckCallsDownGetsNobody) {
  Server sick, well;
  serve({sick.port, well.port});
  const BackendId id{
      "file/web", port_, Protocol::kTcp, {*IpAddress::parse("127.0.0.1"), sick.port}};
  on_control([&] { path_->set_health(id, Health::kDown, "ConnectTimeout"); });
  for (int i = 0; i < 6; ++i) {
    const Fd client = dial(port_);
    EXPECT_TRUE(well.accept_one().valid());
  }
  for (const auto& backend : port_status().backends) {
    EXPECT_EQ(backend.health, backend.backend.port == sick.port ? "down" : "unknown");
  }
  on_control([&] {
    path_->set_health(id, Health::kDown, "ConnectTimeout");
    const auto totals = path_->totals();
    for (const auto& backend : totals.at(0).backends) {
      EXPECT_EQ(backend.turned_down, backend.backend.port == sick.port ? 1u : 0u);
      EXPECT_EQ(backend.turned_up, 0u);
    }
    path_->set_health(id, Health::kUp, "");
    const auto after = path_->totals();
    for (const auto& backend : after.at(0).backends) {
      EXPECT_EQ(backend.turned_up, backend.backend.port == sick.port ? 1u : 0u);
    }
    path_->set_health(id, Health::kDown, "ConnectTimeout");
  });
  serve({sick.port});
  EXPECT_TRUE(is_reset(dial(port_))) << "not for want of another either";
  EXPECT_EQ(counters().no_backend, 1u);
  policy_.health.panic_percent = 1;
  serve({sick.port});
  const Fd client = dial(port_);
  EXPECT_TRUE(sick.accept_one().valid()) << "where the checks are not to be believed";
}

}  // namespace
}  // namespace lb::proxy
