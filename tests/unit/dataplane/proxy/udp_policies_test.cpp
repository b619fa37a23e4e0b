// What two workers share of a UDP service, and what operators see of its sessions.
#include "common/model/support.hpp"
#include "dataplane/proxy/proxy_header.hpp"
#include "tests/unit/dataplane/proxy/udp_path_fixture.hpp"

namespace lb::proxy {
namespace {

class UdpPoliciesTest : public UdpPathTest {
 protected:
  UdpPoliciesTest() {
    on_control([this] {
      path_ = make_data_path({.workers = 2,
                              .post = [this](auto task) { asio::post(control_, std::move(task)); },
                              .on_close =
                                  [this](const FlowRecord& record) {
                                    const std::lock_guard lock(mutex_);
                                    records_.push_back(record);
                                  },
                              .log_each = 1});
    });
  }

  void serve_udp(const std::vector<uint16_t>& backends) {
    ASSERT_TRUE(serve_ports({port(Protocol::kUdp, backends)}).empty());
  }
  // The kernel spreads their ports over the workers.
  void send_from(std::vector<UdpSocket>& clients) {
    for (auto& client : clients) client.send_to(port_, "x");
  }
  std::vector<Flow> flows(FlowFilter filter = {}) {
    std::promise<std::vector<Flow>> answer;
    on_control([&] {
      path_->flows(std::move(filter),
                   [&](std::vector<Flow> flows) { answer.set_value(std::move(flows)); });
    });
    return answer.get_future().get();
  }
  bool kill(uint64_t id) {
    std::promise<bool> answer;
    on_control([&] { path_->kill(id, [&](bool found) { answer.set_value(found); }); });
    return answer.get_future().get();
  }
  PortTotals totals() {
    std::vector<PortTotals> out;
    on_control([&] { out = path_->totals(); });
    return out.empty() ? PortTotals{} : out[0];
  }
  uint64_t refused(Refusal rule) { return totals().refused[static_cast<size_t>(rule)]; }
  // Of the first session that is over.
  FlowRecord record() {
    EXPECT_TRUE(eventually([this] {
      const std::lock_guard lock(mutex_);
      return !records_.empty();
    }));
    const std::lock_guard lock(mutex_);
    return records_.empty() ? FlowRecord{} : records_.front();
  }
  // A session that has asked and been answered.
  void begin(UdpSocket& client, UdpSocket& backend) {
    client.send_to(port_, "12345");
    const auto [question, from] = backend.receive();
    ASSERT_EQ(question, "12345");
    backend.send_to(from, "678");
    ASSERT_EQ(client.receive().first, "678");
  }
  static Endpoint local(uint16_t port) { return {*IpAddress::parse("127.0.0.1"), port}; }

  std::mutex mutex_;
  std::vector<FlowRecord> records_;
};

TEST_F(UdpPoliciesTest, TheServicesLimitHoldsOverWorkersToTheSession) {
  std::vector<UdpSocket> clients(60);
  UdpSocket backend;
  policy_.max_connections = 10;
  serve_udp({backend.port});
  send_from(clients);
  EXPECT_TRUE(eventually([this] { return counters().udp_limit_refused == 50; }));
  EXPECT_EQ(counters().udp_opened, 10u);
  EXPECT_EQ(port_status().connections, 10u);
  EXPECT_EQ(refused(Refusal::kConnections), 50u);
}

TEST_F(UdpPoliciesTest, TheSourcesLimitHoldsOverWorkers) {
  std::vector<UdpSocket> clients(60);
  UdpSocket backend;
  policy_.max_connections_per_source = 10;
  serve_udp({backend.port});
  send_from(clients);
  EXPECT_TRUE(eventually([this] { return counters().udp_limit_refused == 50; }));
  EXPECT_EQ(counters().udp_opened, 10u);
}

TEST_F(UdpPoliciesTest, TheRateHoldsOverWorkers) {
  std::vector<UdpSocket> clients(60);
  UdpSocket backend;
  policy_.max_rate_per_source = 2;
  serve_udp({backend.port});
  send_from(clients);
  EXPECT_TRUE(eventually([this] {
    const auto now = counters();
    return now.udp_limit_refused + now.udp_opened == 60;
  }));
  EXPECT_GE(counters().udp_opened, 2u);
  EXPECT_LE(counters().udp_opened, 12u) << "two and what five seconds bring";
}

TEST_F(UdpPoliciesTest, AClientAddressComesBackToItsBackendWhicheverWorkerItMeets) {
  UdpSocket one, two, three, first;
  policy_.affinity_seconds = 60;
  serve_udp({one.port, two.port, three.port});
  first.send_to(port_, "x");
  ASSERT_TRUE(eventually([this] { return counters().udp_datagrams_in == 1; }));
  std::vector<UdpSocket> clients(30);
  send_from(clients);
  ASSERT_TRUE(eventually([this] { return counters().udp_datagrams_in == 31; }));
  uint64_t most = 0;
  for (const auto& backend : port_status().backends) most = std::max(most, backend.connections);
  EXPECT_EQ(most, 31u);
}

TEST_F(UdpPoliciesTest, TheBackendIsToldOfTheClient) {
  UdpSocket backend, client;
  policy_.proxy_protocol = ProxyProtocol::kV2;
  serve_udp({backend.port});
  client.send_to(port_, "x");
  EXPECT_EQ(backend.receive().first,
            encode_proxy_v2(local(client.port), local(port_), Protocol::kUdp) + "x");
}

TEST_F(UdpPoliciesTest, SessionsAreListedWithBothEndsAndTheirBytes) {
  UdpSocket backend, client;
  serve_udp({backend.port});
  begin(client, backend);
  ASSERT_TRUE(eventually([this] { return flows().size() == 1 && flows()[0].bytes_out == 3; }));
  const Flow flow = flows()[0];
  EXPECT_EQ(flow.service, "file/dns");
  EXPECT_EQ(flow.protocol, Protocol::kUdp);
  EXPECT_EQ(flow.listener, local(port_));
  EXPECT_EQ(flow.client, local(client.port));
  EXPECT_EQ(flow.backend, local(backend.port));
  EXPECT_EQ(flow.bytes_in, 5u);
  EXPECT_EQ(flow.phase, FlowPhase::kRelaying);
}

TEST_F(UdpPoliciesTest, SessionsOfAllWorkersAreFilteredAndLimited) {
  std::vector<UdpSocket> clients(20);
  UdpSocket backend;
  serve_udp({backend.port});
  send_from(clients);
  ASSERT_TRUE(eventually([this] { return flows().size() == 20; }));
  EXPECT_EQ(flows({"file/other", {}, {}, 99}).size(), 0u);
  EXPECT_EQ(flows({"file/dns", local(backend.port), local(1).address, 99}).size(), 20u);
  EXPECT_EQ(flows({"", local(1), {}, 99}).size(), 0u);
  EXPECT_EQ(flows({"", {}, *IpAddress::parse("127.0.0.2"), 99}).size(), 0u);
  EXPECT_EQ(flows({"", {}, {}, 7}).size(), 7u);
}

TEST_F(UdpPoliciesTest, ConnectionsAndSessionsHaveDifferentIds) {
  UdpSocket backend, client;
  Server server;
  ASSERT_TRUE(
      serve_ports({port(Protocol::kTcp, {server.port}), port(Protocol::kUdp, {backend.port})})
          .empty());
  const Fd stream = dial(port_);
  const Fd peer = server.accept_one();
  begin(client, backend);
  ASSERT_TRUE(eventually([this] { return flows().size() == 2; }));
  const auto both = flows();
  EXPECT_NE(both[0].id, both[1].id);
  for (const auto& flow : both) EXPECT_TRUE(kill(flow.id));
  EXPECT_TRUE(is_reset(stream));
  EXPECT_TRUE(flows().empty());
}

TEST_F(UdpPoliciesTest, AKilledSessionEndsAndTheNextDatagramBeginsAnother) {
  UdpSocket backend, client, other;
  serve_udp({backend.port});
  begin(client, backend);
  begin(other, backend);
  for (const auto& flow : flows()) {
    if (flow.client != local(client.port)) continue;
    EXPECT_TRUE(kill(flow.id));
  }
  ASSERT_EQ(flows().size(), 1u);
  EXPECT_EQ(flows()[0].client, local(other.port));
  EXPECT_EQ(counters().killed, 1u);
  EXPECT_EQ(record().reason, EndReason::kKilled);
  EXPECT_EQ(port_status().connections, 1u);
  begin(client, backend);
  EXPECT_EQ(flows().size(), 2u);
}

TEST_F(UdpPoliciesTest, AnIdOfNobodyIsNotFound) {
  UdpSocket backend, client;
  serve_udp({backend.port});
  begin(client, backend);
  EXPECT_FALSE(kill(12345));
  EXPECT_FALSE(kill(flows().at(0).id + 1));
}

TEST_F(UdpPoliciesTest, TheLogTellsOfASessionThatWasIdle) {
  UdpSocket backend, client;
  policy_.udp_idle_s = 1;
  serve_udp({backend.port});
  begin(client, backend);
  const FlowRecord ended = record();
  EXPECT_EQ(ended.reason, EndReason::kIdle);
  EXPECT_EQ(ended.flow.protocol, Protocol::kUdp);
  EXPECT_EQ(ended.flow.client, local(client.port));
  EXPECT_EQ(ended.flow.backend, local(backend.port));
  EXPECT_EQ(ended.flow.bytes_in, 5u);
  EXPECT_EQ(ended.flow.bytes_out, 3u);
  EXPECT_GE(ended.flow.age_ms, 1'000u);
  EXPECT_FALSE(ended.connect_ms);
}

TEST_F(UdpPoliciesTest, TheLogTellsOfASessionThatMovedAndWhoseServiceWentThen) {
  UdpSocket first, second, client;
  serve_udp({first.port});
  begin(client, first);
  serve_udp({second.port});
  begin(client, second);
  apply({{1, ++generation_}, {}});
  const FlowRecord ended = record();
  EXPECT_EQ(ended.reason, EndReason::kDrained);
  EXPECT_EQ(ended.retries, 1u);
  EXPECT_EQ(ended.flow.backend, local(second.port));
}

TEST_F(UdpPoliciesTest, TheLogTellsOfASessionForWhichNobodyWasLeft) {
  UdpSocket backend, client;
  serve_udp({backend.port});
  begin(client, backend);
  serve_udp({});
  EXPECT_EQ(record().reason, EndReason::kNoBackend);
}

TEST_F(UdpPoliciesTest, TotalsAreByServiceAndBackend) {
  UdpSocket backend, client;
  serve_udp({backend.port});
  begin(client, backend);
  ASSERT_TRUE(eventually([this] { return totals().bytes_out == 3; }));
  EXPECT_EQ(totals().protocol, Protocol::kUdp);
  EXPECT_EQ(totals().accepted, 1u);
  EXPECT_EQ(totals().active, 1u);
  EXPECT_EQ(totals().bytes_in, 5u);
  EXPECT_EQ(totals().backends.at(0).connections, 1u);
  EXPECT_EQ(totals().backends.at(0).bytes_in, 5u);
  EXPECT_EQ(totals().backends.at(0).bytes_out, 3u);
  ASSERT_TRUE(kill(flows().at(0).id));
  EXPECT_EQ(totals().closed, 1u);
  EXPECT_EQ(totals().active, 0u);
}

TEST_F(UdpPoliciesTest, TotalsCountRefusalsAndEjectionsOfABackend) {
  policy_.ejection = {.refused = 1, .timeouts = 1, .seconds = 60};
  uint16_t closed = 0;
  { closed = UdpSocket().port; }
  UdpSocket client;
  serve_udp({closed});
  client.send_to(port_, "x");
  ASSERT_TRUE(eventually([this] { return totals().backends.at(0).refused == 1; }));
  EXPECT_EQ(totals().backends.at(0).ejections, 1u);
  EXPECT_EQ(counters().ejections, 1u);
  EXPECT_FALSE(totals().backends.at(0).up);
}

TEST_F(UdpPoliciesTest, TotalsCountWhoIsTurnedAway) {
  UdpSocket client;
  serve_udp({});
  client.send_to(port_, "x");
  EXPECT_TRUE(eventually([this] { return totals().no_backend == 1; }));
  policy_.source_ranges = {Cidr::parse("192.0.2.0/24").value()};
  serve_udp({});
  client.send_to(port_, "x");
  EXPECT_TRUE(eventually([this] { return refused(Refusal::kSourceRange) == 1; }));
}

TEST(UdpFeatures, WhatTcpHasIsServed) {
  ServicePort port;
  port.protocol = Protocol::kUdp;
  port.policy.affinity_seconds = 1;
  port.policy.max_connections = 1;
  port.policy.max_connections_per_source = 1;
  port.policy.max_rate_per_source = 1;
  port.policy.proxy_protocol = ProxyProtocol::kV2;
  EXPECT_EQ(unsupported(port), std::nullopt);
}

TEST(UdpFeatures, WhatUdpCannotHaveIsRefusedByName) {
  ServicePort first, second;
  first.protocol = second.protocol = Protocol::kUdp;
  first.policy.proxy_protocol = ProxyProtocol::kV1;
  second.policy.accept_proxy_from = {Cidr::parse("192.0.2.0/24").value()};
  EXPECT_EQ(unsupported(first), "policy.proxy_protocol=v1 is not served for udp yet");
  EXPECT_EQ(unsupported(second), "policy.accept_proxy_from is not served for udp yet");
}

}  // namespace
}  // namespace lb::proxy
