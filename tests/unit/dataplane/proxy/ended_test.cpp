// How the connections and sessions of each service end, as they are counted.
#include "tests/unit/dataplane/proxy/ended_fixture.hpp"

namespace lb::proxy {
namespace {

class EndedTcpTest : public EndedTest {
 protected:
  // A client through to its backend, a byte of it included.
  void connect_through(Server& server) {
    client_ = dial(port_);
    peer_ = server.accept_one();
    write_all(client_.get(), "x");
    char text[1];
    ASSERT_EQ(recv(peer_.get(), text, 1, MSG_WAITALL), 1);
  }
  Server server_;
  Fd client_, peer_;
};

TEST_F(EndedTcpTest, ByTheClientsEnd) {
  serve({server_.port});
  connect_through(server_);
  shutdown(client_.get(), SHUT_WR);
  EXPECT_EQ(read_all(peer_.get()), "");
  peer_.reset();
  expect_ended(EndReason::kClientFin);
}

TEST_F(EndedTcpTest, ByTheBackendsEnd) {
  serve({server_.port});
  connect_through(server_);
  shutdown(peer_.get(), SHUT_WR);
  EXPECT_EQ(read_all(client_.get()), "");
  client_.reset();
  expect_ended(EndReason::kBackendFin);
}

TEST_F(EndedTcpTest, ByAResetOfTheClient) {
  serve({server_.port});
  connect_through(server_);
  reset(client_);
  expect_ended(EndReason::kClientReset);
}

TEST_F(EndedTcpTest, ByAResetOfTheBackend) {
  serve({server_.port});
  connect_through(server_);
  reset(peer_);
  expect_ended(EndReason::kBackendReset);
}

TEST_F(EndedTcpTest, ByAClientThatDoesNotAwaitABackend) {
  const BlackHole nobody;
  serve({nobody.port});
  client_ = dial(port_);
  EXPECT_TRUE(eventually([this] { return counters().active == 1; }));
  reset(client_);
  expect_ended(EndReason::kClientGone);
}

TEST_F(EndedTcpTest, ForWantOfABackend) {
  serve({});
  EXPECT_TRUE(is_reset(dial(port_)));
  expect_ended(EndReason::kNoBackend);
}

TEST_F(EndedTcpTest, ForBeingIdle) {
  policy_.idle_timeout_s = 1;
  serve({server_.port});
  connect_through(server_);
  expect_ended(EndReason::kIdle);
}

TEST_F(EndedTcpTest, WithTheDrainOfTheirBackend) {
  Server other;
  policy_.drain_s = 0;
  serve({server_.port});
  connect_through(server_);
  serve({other.port});
  expect_ended(EndReason::kDrained);
}

TEST_F(EndedTcpTest, ByAnOperator) {
  serve({server_.port});
  connect_through(server_);
  ASSERT_TRUE(kill(flows().at(0).id));
  expect_ended(EndReason::kKilled);
}

// A FIN of one side is no end yet.
class HalfClosedEndedTest : public EndedTcpTest {
 protected:
  void half_close(bool by_client) {
    serve({server_.port});
    connect_through(server_);
    shutdown((by_client ? client_ : peer_).get(), SHUT_WR);
    EXPECT_EQ(read_all((by_client ? peer_ : client_).get()), "");
  }
};

TEST_F(HalfClosedEndedTest, ByAResetOfTheBackendBehindTheClientsFin) {
  half_close(true);
  write_all(peer_.get(), "half an answer");
  reset(peer_);
  expect_ended(EndReason::kBackendReset);
}

TEST_F(HalfClosedEndedTest, ByAResetOfTheSideThatHadSentTheFin) {
  half_close(true);
  reset(client_);
  expect_ended(EndReason::kClientReset);
}

TEST_F(HalfClosedEndedTest, ByAResetOfTheClientBehindTheBackendsFin) {
  half_close(false);
  reset(client_);
  expect_ended(EndReason::kClientReset);
}

TEST_F(HalfClosedEndedTest, ByTheTimerOfHalfClosed) {
  policy_.half_closed_timeout_s = 1;
  half_close(true);
  expect_ended(EndReason::kIdle);
}

TEST_F(HalfClosedEndedTest, ByAnOperator) {
  half_close(false);
  ASSERT_TRUE(kill(flows().at(0).id));
  expect_ended(EndReason::kKilled);
}

TEST_F(HalfClosedEndedTest, ByTheDrainOfTheirBackend) {
  policy_.drain_s = 0;
  half_close(true);
  serve({});
  expect_ended(EndReason::kDrained);
}

TEST_F(HalfClosedEndedTest, TheLogSaysTheSame) {
  half_close(true);
  reset(peer_);
  ASSERT_TRUE(eventually([this] { return records().size() == 1; }));
  EXPECT_EQ(records()[0].reason, EndReason::kBackendReset);
}

// What a reset makes of the other side is its consequence.
TEST_F(EndedTcpTest, OutOfOrderTheFirstThatHappensIsWhatCounts) {
  serve({server_.port});
  connect_through(server_);
  reset(peer_);
  EXPECT_TRUE(is_reset(client_));
  reset(client_);
  expect_ended(EndReason::kBackendReset);
}

TEST_F(EndedTcpTest, AnEndIsCountedWhetherOrNotItIsLogged) {
  on_control([this] {
    path_ = make_data_path(
        {.workers = 2, .post = [this](auto task) { asio::post(control_, std::move(task)); }});
  });
  serve({});
  EXPECT_TRUE(is_reset(dial(port_)));
  expect_ended(EndReason::kNoBackend);
}

TEST_F(EndedTcpTest, TheCountsGoWithTheirService) {
  serve({});
  EXPECT_TRUE(is_reset(dial(port_)));
  expect_ended(EndReason::kNoBackend);
  EXPECT_TRUE(apply({{1, ++generation_}, {}}).empty());
  EXPECT_TRUE(all_totals().empty());
}

TEST_F(EndedTcpTest, TheCountsStayWhenTheirServiceChanges) {
  serve({});
  EXPECT_TRUE(is_reset(dial(port_)));
  expect_ended(EndReason::kNoBackend);
  serve({server_.port});
  EXPECT_EQ(ended(EndReason::kNoBackend), 1u);
}

class EndedUdpTest : public EndedTest {
 protected:
  void serve_udp(const std::vector<uint16_t>& backends) {
    ASSERT_TRUE(serve_ports({port(Protocol::kUdp, backends)}).empty());
  }
  void begin() {
    client_.send_to(port_, "x");
    ASSERT_EQ(backend_.receive().first, "x");
  }
  UdpSocket client_, backend_;
};

TEST_F(EndedUdpTest, ForWantOfABackend) {
  serve_udp({backend_.port});
  begin();
  serve_udp({});
  expect_ended(EndReason::kNoBackend);
}

TEST_F(EndedUdpTest, ForBeingIdle) {
  policy_.udp_idle_s = 1;
  serve_udp({backend_.port});
  begin();
  expect_ended(EndReason::kIdle);
}

TEST_F(EndedUdpTest, ByAnOperator) {
  serve_udp({backend_.port});
  begin();
  ASSERT_TRUE(kill(flows().at(0).id));
  expect_ended(EndReason::kKilled);
}

// For each port and worker, of which there may be thousands.
TEST(PortStatsSize, IsAFewCacheLines) { EXPECT_LE(sizeof(PortStats), 448u); }

}  // namespace
}  // namespace lb::proxy
