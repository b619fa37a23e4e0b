// The PROXY header that goes ahead of every datagram to a backend.
#include "dataplane/proxy/proxy_header.hpp"
#include "tests/unit/dataplane/proxy/udp_fixture.hpp"

namespace lb::proxy {
namespace {

class UdpIntroductionsTest : public UdpRelayTest {
 protected:
  UdpIntroductionsTest() { policy_.proxy_protocol = ProxyProtocol::kV2; }
  std::string header(const UdpSocket& client) { return header(client, address_); }
  static std::string header(const UdpSocket& client, const Endpoint& asked) {
    return encode_proxy_v2(client.endpoint, asked, Protocol::kUdp);
  }
  // Returns what the client got; where the backend sees the session is in `session_`.
  std::string introduced(const UdpSocket& client, const UdpSocket& backend) {
    client.send("hello", address_);
    const Packet asked = next(backend);
    if (asked.text != header(client) + "hello") return "the backend got " + asked.text;
    session_ = asked.from;
    backend.send("re: hello", asked.from);
    return text_at(client);
  }
  void expect_at(const UdpSocket& backend, const std::string& first, size_t size, int count) {
    const std::string whole = first + std::string(size, 'x');
    for (int i = 0; i < count; ++i) ASSERT_TRUE(text_at(backend) == whole) << i;
  }

  Endpoint session_;
};

class UdpIntroductionFamiliesTest : public UdpIntroductionsTest,
                                    public testing::WithParamInterface<std::string> {};
INSTANTIATE_TEST_SUITE_P(Families, UdpIntroductionFamiliesTest,
                         testing::Values("127.0.0.1", "::1"));

TEST_P(UdpIntroductionFamiliesTest, EveryDatagramSaysWhoTheClientIsAndAnswersPassAsTheyAre) {
  const UdpSocket client(GetParam()), backend(GetParam());
  serve_at(GetParam(), {backend.endpoint});
  for (int i = 0; i < 3; ++i) EXPECT_EQ(introduced(client, backend), "re: hello");
  EXPECT_EQ(counters().bytes_in, 15u) << "of the client's";
}

TEST_P(UdpIntroductionFamiliesTest, TheHeaderReadsAsItShould) {
  const UdpSocket client(GetParam()), backend(GetParam());
  serve_at(GetParam(), {backend.endpoint});
  client.send("question", address_);
  const std::string got = text_at(backend);
  const auto parsed =
      parse_proxy_header({reinterpret_cast<const uint8_t*>(got.data()), got.size()});
  ASSERT_EQ(parsed.verdict, ParseResult::Verdict::kDone);
  EXPECT_EQ(parsed.client, client.endpoint);
  EXPECT_EQ(parsed.destination, address_);
  EXPECT_EQ(parsed.protocol, Protocol::kUdp);
  EXPECT_EQ(got.substr(parsed.consumed), "question");
}

TEST_P(UdpIntroductionFamiliesTest, WhatIsTooLargeWithItsHeaderIsDroppedAndCounted) {
  const UdpSocket client(GetParam()), backend(GetParam());
  serve_at(GetParam(), {backend.endpoint});
  const bool v4 = GetParam() == "127.0.0.1";
  const size_t most = (v4 ? 65'507 : 65'527) - header(client).size();
  client.send(std::string(most + 1, 'x'), address_);
  EXPECT_TRUE(reaches(counters().too_large, 1));
  client.send(std::string(most, 'x'), address_);
  EXPECT_TRUE(text_at(backend) == header(client) + std::string(most, 'x'));
  EXPECT_EQ(counters().datagrams_in, 1u);
}

TEST_F(UdpIntroductionsTest, OnAWildcardTheDestinationIsTheAddressAsked) {
  const UdpSocket client, backend;
  serve_at("0.0.0.0", {backend.endpoint});
  const Endpoint asked = at("127.0.0.5", address_.port);
  client.send("x", asked);
  EXPECT_EQ(text_at(backend), header(client, asked) + "x");
}

TEST_F(UdpIntroductionsTest, AnEmptyDatagramIsItsHeader) {
  const UdpSocket client, backend;
  serve({backend.endpoint});
  client.send("", address_);
  EXPECT_EQ(text_at(backend), header(client));
}

TEST_F(UdpIntroductionsTest, DatagramsThatTravelTogetherHaveOneEach) {
  const UdpSocket client, backend;
  serve({backend.endpoint});
  introduced(client, backend);
  for (int i = 0; i < 40; ++i) client.send(std::string(1200, 'x'), address_);
  client.send(std::string(90, 'x'), address_);
  expect_at(backend, header(client), 1200, 40);
  expect_at(backend, header(client), 90, 1);
  EXPECT_GT(counters().trains_in, 0u);
  EXPECT_EQ(counters().datagrams_in, 42u);
  EXPECT_EQ(counters().bytes_in, 5u + 40 * 1200 + 90);
}

TEST_F(UdpIntroductionsTest, ATrainThatCameAsOneIsTakenApart) {
  const UdpSocket client, backend;
  serve({backend.endpoint});
  introduced(client, backend);
  cut_what_it_sends(client, 100);
  for (int round = 0; round < 4; ++round) {
    for (int i = 0; i < 4; ++i) client.send(std::string(6'050, 'x'), address_);
    for (int i = 0; i < 4; ++i) {
      expect_at(backend, header(client), 100, 60);
      expect_at(backend, header(client), 50, 1);
    }
  }
  EXPECT_EQ(counters().datagrams_in, 1u + 4 * 4 * 61);
  EXPECT_EQ(counters().bytes_in, 5u + 4 * 4 * 6'050);
}

TEST_F(UdpIntroductionsTest, WhereThePathRefusesTrainsDatagramsGoOneByOneWithTheirHeaders) {
  const UdpSocket client, backend;
  serve({backend.endpoint});
  introduced(client, backend);
  refuse_trains(socket_to(backend.endpoint));
  for (int i = 0; i < 30; ++i) client.send(std::string(300, 'x'), address_);
  expect_at(backend, header(client), 300, 30);
  EXPECT_EQ(counters().datagrams_in, 31u);
  EXPECT_EQ(counters().bytes_in, 5u + 30 * 300);
  EXPECT_EQ(counters().trains_in, 0u);
}

TEST_F(UdpIntroductionsTest, AQuestionThatIsAskedAgainHasItsHeaderOnce) {
  const UdpSocket client, backend;
  serve({closed_port(), backend.endpoint});
  const std::string question(1'472, 'q');
  client.send(question, address_);
  EXPECT_TRUE(text_at(backend) == header(client) + question);
  EXPECT_EQ(counters().resent, 1u);
}

TEST_F(UdpIntroductionsTest, BeginAndEndWithThePolicyForSessionsThatAreThere) {
  const UdpSocket client, backend;
  policy_.proxy_protocol = ProxyProtocol::kOff;
  serve({backend.endpoint});
  EXPECT_EQ(exchange(client, backend, "x"), "re: x");
  policy_.proxy_protocol = ProxyProtocol::kV2;
  update({backend.endpoint});
  EXPECT_EQ(introduced(client, backend), "re: hello");
  policy_.proxy_protocol = ProxyProtocol::kOff;
  update({backend.endpoint});
  EXPECT_EQ(exchange(client, backend, "y"), "re: y");
  EXPECT_EQ(counters().sessions_opened, 1u);
}

// GRO cannot be taken back from datagrams that have been put together already.
TEST_F(UdpIntroductionsTest, BeginRightWhereTrainsWereReadBefore) {
  const UdpSocket client, backend;
  policy_.proxy_protocol = ProxyProtocol::kOff;
  serve({backend.endpoint});
  exchange(client, backend, "x");
  cut_what_it_sends(client, 100);
  for (int round = 0; round < 3; ++round) {
    client.send(std::string(1'000, 'x'), address_);
    for (int i = 0; i < 10; ++i) ASSERT_EQ(text_at(backend).size(), 100u);
  }
  client.send(std::string(1'000, 'x'), address_);
  policy_.proxy_protocol = ProxyProtocol::kV2;
  update({backend.endpoint});
  expect_at(backend, header(client), 100, 10);
}

}  // namespace
}  // namespace lb::proxy
