// Several datagrams in one message of the kernel's: when a relay makes, takes and gives up trains.
#include "tests/unit/dataplane/proxy/udp_fixture.hpp"

namespace lb::proxy {
namespace {

class UdpTrainsTest : public UdpRelayTest {
 protected:
  // What the i-th of `count` equal datagrams holds; the last is shorter.
  static std::string text(int i, int count) {
    return std::string(i + 1 == count ? 100 : 1200, char('a' + i % 26));
  }
  void expect_all_at(const UdpSocket& socket, int count) {
    for (int i = 0; i < count; ++i) ASSERT_TRUE(text_at(socket) == text(i, count)) << i;
  }
  // Where the backend sees the client's session; the backend is known to answer from then on.
  Endpoint greet(const UdpSocket& client, const UdpSocket& backend) {
    client.send("hello", address_);
    const Endpoint from = next(backend).from;
    backend.send("hello", from);
    EXPECT_EQ(text_at(client), "hello");
    return from;
  }
};

TEST_F(UdpTrainsTest, EqualDatagramsTravelTogetherAndArriveAsTheyWere) {
  const UdpSocket client, backend;
  serve({backend.endpoint});
  const Endpoint session = greet(client, backend);
  for (int i = 0; i < 30; ++i) client.send(text(i, 30), address_);
  expect_all_at(backend, 30);
  for (int i = 0; i < 30; ++i) backend.send(text(i, 30), session);
  expect_all_at(client, 30);
  EXPECT_EQ(counters().datagrams_in, 31u);
  EXPECT_EQ(counters().datagrams_out, 31u);
  EXPECT_EQ(counters().bytes_in, 5u + 29 * 1200 + 100);
  EXPECT_EQ(counters().bytes_out, 5u + 29 * 1200 + 100);
  EXPECT_GT(counters().trains_in, 0u);
  EXPECT_GT(counters().trains_out, 0u);
}

TEST_F(UdpTrainsTest, ABackendThatNeverAnsweredIsSentNone) {
  const UdpSocket client, backend;
  serve({backend.endpoint});
  for (int i = 0; i < 30; ++i) client.send(text(i, 30), address_);
  expect_all_at(backend, 30);
  EXPECT_EQ(counters().trains_in, 0u);
}

TEST_F(UdpTrainsTest, WithoutTheOptionEachDatagramIsAMessage) {
  const UdpSocket client, backend;
  hooks_.trains = false;
  serve({backend.endpoint});
  const Endpoint session = greet(client, backend);
  for (int i = 0; i < 30; ++i) client.send(text(i, 30), address_);
  expect_all_at(backend, 30);
  for (int i = 0; i < 30; ++i) backend.send(text(i, 30), session);
  expect_all_at(client, 30);
  EXPECT_EQ(counters().trains_in + counters().trains_out, 0u);
}

TEST_F(UdpTrainsTest, DatagramsOfUnequalSizesKeepTheirOrderAndSizes) {
  const UdpSocket client, backend;
  serve({backend.endpoint});
  const Endpoint session = greet(client, backend);
  const std::vector<size_t> sizes = {10, 10, 0, 10, 20, 20, 5, 5, 0, 0, 1472, 1473, 1473, 1, 1};
  for (const size_t size : sizes) client.send(std::string(size, 'x'), address_);
  for (const size_t size : sizes) ASSERT_EQ(text_at(backend).size(), size);
  for (const size_t size : sizes) backend.send(std::string(size, 'x'), session);
  for (const size_t size : sizes) ASSERT_EQ(text_at(client).size(), size);
}

TEST_F(UdpTrainsTest, TrainsOfDifferentClientsDoNotMix) {
  const std::vector<UdpSocket> clients(3);
  const UdpSocket backend;
  serve({backend.endpoint});
  std::vector<Endpoint> sessions;
  for (const auto& client : clients) sessions.push_back(greet(client, backend));
  for (int i = 0; i < 12; ++i) {
    for (const auto& session : sessions) backend.send(std::to_string(session.port), session);
  }
  for (size_t c = 0; c < clients.size(); ++c) {
    for (int i = 0; i < 12; ++i) ASSERT_EQ(text_at(clients[c]), std::to_string(sessions[c].port));
  }
}

// The first burst makes a listener and a session read trains as such; from then on they pass whole.
TEST_F(UdpTrainsTest, ATrainFromEitherSideIsPassedOnDatagramByDatagram) {
  const UdpSocket client, backend;
  serve({backend.endpoint});
  const Endpoint session = greet(client, backend);
  cut_what_it_sends(client, 100);
  cut_what_it_sends(backend, 100);
  for (int round = 0; round < 3; ++round) {
    client.send(std::string(1050, 'x'), address_);
    for (int i = 0; i < 10; ++i) EXPECT_EQ(text_at(backend).size(), 100u) << i;
    EXPECT_EQ(text_at(backend).size(), 50u);
    backend.send(std::string(1050, 'y'), session);
    for (int i = 0; i < 10; ++i) EXPECT_EQ(text_at(client).size(), 100u) << i;
    EXPECT_EQ(text_at(client).size(), 50u);
  }
  EXPECT_EQ(counters().datagrams_in, 34u);
  EXPECT_EQ(counters().datagrams_out, 34u);
}

TEST_F(UdpTrainsTest, WhereThePathToTheBackendRefusesThemDatagramsGoOneByOne) {
  const UdpSocket client, backend;
  serve({backend.endpoint});
  greet(client, backend);
  refuse_trains(socket_to(backend.endpoint));
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 30; ++i) client.send(text(i, 30), address_);
    expect_all_at(backend, 30);
  }
  EXPECT_EQ(counters().datagrams_in, 91u);
  EXPECT_EQ(counters().trains_in, 0u);
  EXPECT_EQ(counters().send_failed, 0u);
}

TEST_F(UdpTrainsTest, WhereThePathToTheClientRefusesThemDatagramsGoOneByOne) {
  const UdpSocket client, backend;
  auto fd = open_udp_listener(at("127.0.0.1", 0), false);
  ASSERT_TRUE(fd.ok());
  refuse_trains(fd->get());
  address_ = bound_endpoint(fd->get());
  relay().add_listener(std::move(fd).value(), config({backend.endpoint}));
  const Endpoint session = greet(client, backend);
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 30; ++i) backend.send(text(i, 30), session);
    expect_all_at(client, 30);
  }
  EXPECT_EQ(counters().datagrams_out, 91u);
  EXPECT_EQ(counters().trains_out, 0u);
}

TEST_F(UdpTrainsTest, ATrainThatCameAsOneGoesInPiecesWhereThePathRefusesIt) {
  const UdpSocket client, backend;
  serve({backend.endpoint});
  greet(client, backend);
  refuse_trains(socket_to(backend.endpoint));
  cut_what_it_sends(client, 100);
  for (int round = 0; round < 3; ++round) {
    client.send(std::string(1050, 'x'), address_);
    for (int i = 0; i < 10; ++i) EXPECT_EQ(text_at(backend).size(), 100u) << i;
    EXPECT_EQ(text_at(backend).size(), 50u);
  }
  EXPECT_EQ(counters().datagrams_in, 34u);
}

TEST_F(UdpTrainsTest, OnAWildcardATrainToTheClientLeavesFromTheAddressThatWasAsked) {
  const UdpSocket client, backend;
  serve_at("0.0.0.0", {backend.endpoint});
  const Endpoint asked = at("127.0.0.5", address_.port);
  client.send("x", asked);
  const Endpoint session = next(backend).from;
  for (int i = 0; i < 30; ++i) backend.send(text(i, 30), session);
  for (int i = 0; i < 30; ++i) EXPECT_EQ(next(client).from, asked);
  EXPECT_GT(counters().trains_out, 0u);
}

TEST_F(UdpTrainsTest, ATrainToABackendThatHasGoneIsNotSentToTheNextOneTwice) {
  const UdpSocket client, staying;
  auto dying = std::make_unique<UdpSocket>("127.0.0.9");
  policy_.ejection.refused = 1;
  serve({dying->endpoint, staying.endpoint});
  greet(client, *dying);
  dying.reset();
  for (int i = 0; i < 30; ++i) client.send(text(i, 30), address_);
  ASSERT_TRUE(reaches(counters().moved, 1));
  client.send("after", address_);
  std::string last;
  int reached = 0;
  ASSERT_TRUE(eventually([&] {
    while (const auto packet = staying.receive()) {
      last = packet->text;
      ++reached;
    }
    return last == "after";
  }));
  EXPECT_LE(reached, 31);
}

}  // namespace
}  // namespace lb::proxy
