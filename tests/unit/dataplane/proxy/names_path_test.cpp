// Services that share an address and port by the names that TLS clients ask for.
#include "tests/unit/dataplane/proxy/names_fixture.hpp"

namespace lb::proxy {
namespace {

using NamesPathTest = NamesTest;

TEST_F(NamesPathTest, EachNameHasItsOwnBackendAndEveryByteArrives) {
  ASSERT_TRUE(serve_all({{"file/a", named({"a.test"}), {a_.port}},
                         {"file/b", named({"*.b.test"}), {b_.port}}})
                  .empty());
  const Fd one = dial(port_), other = dial(port_);
  const Fd peer = reach(one, hello("a.test"), a_);
  EXPECT_TRUE(works(one, peer));
  const Fd other_peer = reach(other, hello("x.b.test"), b_);
  EXPECT_TRUE(works(other, other_peer));
  EXPECT_EQ(totals_of("file/a").accepted, 1u);
  EXPECT_EQ(totals_of("file/b").accepted, 1u);
}

TEST_F(NamesPathTest, AHelloThatComesByteByByteIsUnderstood) {
  serve_all({{"file/a", named({"a.test"}), {a_.port}}, {"file/b", named({"b.test"}), {b_.port}}});
  const Fd client = dial(port_);
  const int now = 1;
  setsockopt(client.get(), IPPROTO_TCP, 1 /* TCP_NODELAY */, &now, sizeof now);
  const std::string text = hello("b.test");
  for (const char byte : text) write_all(client.get(), std::string(1, byte));
  const Fd peer = b_.accept_one();
  EXPECT_EQ(read_some(peer, text.size()), text);
}

TEST_F(NamesPathTest, AnUnknownNameIsAnsweredInTlsAndCounted) {
  serve_all({{"file/a", named({"a.test"}), {a_.port}}});
  const Fd client = dial(port_);
  write_all(client.get(), hello("b.test"));
  EXPECT_EQ(read_some(client, kUnrecognizedName.size()), kUnrecognizedName);
  char more;
  EXPECT_EQ(recv(client.get(), &more, 1, 0), 0) << "an end, and no reset that might overtake it";
  EXPECT_TRUE(eventually([this] { return counters().unrouted == 1; }));
  expect_told(Refusal::kRoute);
  EXPECT_EQ(records().at(0).flow.service, "");
  EXPECT_TRUE(eventually([this] { return counters().active == 0; }));
}

TEST_F(NamesPathTest, WhoAsksForNoNameGetsTheRest) {
  serve_all({{"file/a", named({"a.test"}), {a_.port}}, {"file/rest", {}, {rest_.port}}});
  const Fd unknown = dial(port_), plain = dial(port_);
  const Fd first = reach(unknown, hello("b.test"), rest_);
  EXPECT_TRUE(works(unknown, first));
  const Fd second = reach(plain, "GET / HTTP/1.1\r\n", rest_);
  EXPECT_TRUE(works(plain, second));
}

// As with a server that speaks first; the lobby waits five seconds.
TEST_F(NamesPathTest, WhoSaysNothingGoesAfterAWhileToWhoAsksForNoName) {
  serve_all({{"file/a", named({"a.test"}), {a_.port}}, {"file/rest", {}, {rest_.port}}});
  const timeval limit{20, 0};
  setsockopt(rest_.fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  const Fd silent = dial(port_);
  const Fd peer = rest_.accept_one();
  ASSERT_TRUE(peer.valid());
  EXPECT_TRUE(works(silent, peer));
  EXPECT_EQ(counters().client_hellos_refused, 0u);
}

TEST_F(NamesPathTest, WhatIsNotTlsIsRefusedWhereAllAskForNames) {
  serve_all({{"file/a", named({"a.test"}), {a_.port}}});
  const Fd client = dial(port_);
  write_all(client.get(), "GET / HTTP/1.1\r\n");
  EXPECT_TRUE(is_reset(client));
  EXPECT_TRUE(eventually([this] { return counters().unrouted == 1; }));
}

TEST_F(NamesPathTest, AHelloThatIsNoneIsRefused) {
  serve_all({{"file/a", named({"a.test"}), {a_.port}}});
  const Fd client = dial(port_);
  write_all(client.get(), test::records(test::message("x", 2)));
  EXPECT_TRUE(is_reset(client));
  EXPECT_TRUE(eventually([this] { return counters().client_hellos_refused == 1; }));
  expect_told(Refusal::kClientHello);
}

TEST_F(NamesPathTest, AHelloAboveSixteenKibibytesIsRefused) {
  serve_all({{"file/a", named({"a.test"}), {a_.port}}});
  const Fd client = dial(port_);
  write_all(client.get(), test::records(test::client_hello("a.test", 17'000)));
  EXPECT_TRUE(is_reset(client));
  EXPECT_TRUE(eventually([this] { return counters().client_hellos_refused == 1; }));
}

TEST_F(NamesPathTest, WhoLeavesInTheMiddleOfItIsForgotten) {
  serve_all({{"file/a", named({"a.test"}), {a_.port}}});
  Fd client = dial(port_);
  write_all(client.get(), hello("a.test").substr(0, 20));
  shutdown(client.get(), SHUT_WR);
  EXPECT_TRUE(is_reset(client));
  EXPECT_TRUE(eventually([this] { return counters().client_hellos_refused == 1; }));
}

TEST_F(NamesPathTest, WhoOnlyLooksWhetherThePortIsOpenIsNotRefused) {
  serve_all({{"file/a", named({"a.test"}), {a_.port}}});
  const Fd client = dial(port_);
  shutdown(client.get(), SHUT_WR);
  EXPECT_EQ(read_all(client.get()), "");
  EXPECT_TRUE(eventually([this] { return counters().client_gone_while_dialling == 1; }));
  EXPECT_EQ(counters().client_hellos_refused, 0u);
}

TEST_F(NamesPathTest, WhoResetsInTheMiddleOfItIsForgotten) {
  serve_all({{"file/a", named({"a.test"}), {a_.port}}});
  Fd client = dial(port_);
  write_all(client.get(), hello("a.test").substr(0, 20));
  EXPECT_TRUE(eventually([this] { return counters().active == 1; }));
  reset(client);
  EXPECT_TRUE(eventually([this] { return counters().active == 0; }));
}

TEST_F(NamesPathTest, UntilANameIsKnownTheConnectionIsNobodys) {
  serve_all({{"file/a", named({"a.test"}), {a_.port}}});
  const Fd client = dial(port_);
  ASSERT_TRUE(eventually([this] { return flows().size() == 1; }));
  EXPECT_EQ(flows()[0].service, "");
  EXPECT_EQ(flows()[0].phase, FlowPhase::kGreeting);
  EXPECT_EQ(totals_of("file/a").accepted, 0u);
  EXPECT_TRUE(kill(flows()[0].id));
  EXPECT_TRUE(is_reset(client));
}

TEST_F(NamesPathTest, TheSameNameTwiceIsAConflictAndTheFirstKeyKeepsIt) {
  // Admission tells conflicts by name; the planner those of a whole match.
  const auto failed = serve_all(
      {{"file/a", named({"a.test"}), {a_.port}}, {"file/b", named({"a.test"}), {b_.port}}});
  ASSERT_EQ(failed.size(), 1u);
  EXPECT_EQ(failed[0].key, "file/b");
  EXPECT_EQ(failed[0].reason, "Conflict");
  EXPECT_EQ(failed[0].match, named({"a.test"}));
  const Fd client = dial(port_);
  (void)reach(client, hello("a.test"), a_);
}

TEST_F(NamesPathTest, ANewNameTouchesNoConnectionAndServesAtOnce) {
  serve_all({{"file/a", {}, {a_.port}}});
  const Fd before = dial(port_);
  const Fd peer = reach(before, "x", a_);
  ASSERT_TRUE(
      serve_all({{"file/a", {}, {a_.port}}, {"file/b", named({"b.test"}), {b_.port}}}).empty());
  EXPECT_TRUE(works(before, peer));
  const Fd client = dial(port_);
  (void)reach(client, hello("b.test"), b_);
}

TEST_F(NamesPathTest, ANameThatGoesTakesItsOwnConnectionsOnly) {
  serve_all({{"file/a", named({"a.test"}), {a_.port}}, {"file/b", named({"b.test"}), {b_.port}}});
  const Fd one = dial(port_), other = dial(port_);
  const Fd peer = reach(one, hello("a.test"), a_);
  const Fd gone = reach(other, hello("b.test"), b_);
  serve_all({{"file/a", named({"a.test"}), {a_.port}}});
  EXPECT_TRUE(is_reset(other));
  EXPECT_TRUE(works(one, peer));
  const Fd late = dial(port_);
  write_all(late.get(), hello("b.test"));
  EXPECT_EQ(read_all(late.get()), kUnrecognizedName);
}

TEST_F(NamesPathTest, AServiceThatGetsOneMoreNameKeepsItsConnectionsAndCounts) {
  serve_all({{"file/a", named({"a.test"}), {a_.port}}, {"file/rest", {}, {rest_.port}}});
  const Fd one = dial(port_);
  const Fd peer = reach(one, hello("a.test"), a_);
  serve_all({{"file/a", named({"a.test", "b.test"}), {a_.port}}, {"file/rest", {}, {rest_.port}}});
  EXPECT_TRUE(works(one, peer));
  const Fd other = dial(port_);
  (void)reach(other, hello("b.test"), a_);
  EXPECT_EQ(totals_of("file/a").accepted, 2u);
  EXPECT_EQ(port_status().connections, 2u);
}

TEST_F(NamesPathTest, TheOnlyServiceOfADoorMayGetANameAndLoseIt) {
  serve_all({{"file/a", {}, {a_.port}}});
  const Fd one = dial(port_);
  const Fd peer = reach(one, "x", a_);
  serve_all({{"file/a", named({"a.test"}), {a_.port}}});
  EXPECT_TRUE(works(one, peer));
  const Fd unknown = dial(port_);
  write_all(unknown.get(), hello("b.test"));
  EXPECT_EQ(read_all(unknown.get()), kUnrecognizedName);
  serve_all({{"file/a", {}, {a_.port}}});
  EXPECT_TRUE(works(one, peer));
  const Fd silent = dial(port_);
  const Fd late = a_.accept_one();
  EXPECT_TRUE(works(silent, late));
}

// Until the change is done on a worker the one has the name, and then the other: never nobody.
TEST_F(NamesPathTest, ANameThatChangesHandsIsSomebodysAllTheTime) {
  const auto at = [&](const char* key, Server& server) {
    return Guest{key, named({"a.test"}), {server.port}};
  };
  const Guest rest{"file/rest", named({"*.test"}), {rest_.port}};
  serve_all({at("file/a", a_), rest});
  std::atomic<bool> over{false};
  uint64_t asked = 0;
  std::thread clients([&] {
    for (; !over; ++asked) write_all(dial(port_).get(), hello("a.test"));
  });
  for (int i = 0; i < 50; ++i) {
    EXPECT_TRUE(serve_all({at("file/b", b_), rest}).empty());
    EXPECT_TRUE(
        serve_all({at("file/a", a_), {"file/b", named({"b.test"}), {b_.port}}, rest}).empty());
    EXPECT_TRUE(serve_all({at("file/a", a_), rest}).empty());
  }
  over = true;
  clients.join();
  EXPECT_GT(asked, 0u);
  EXPECT_EQ(totals_of("file/rest").accepted, 0u);
  EXPECT_EQ(counters().unrouted, 0u);
}

TEST_F(NamesPathTest, WhoHadANameBeforeLosesTheirConnectionsWithIt) {
  const Guest rest{"file/rest", {}, {rest_.port}};
  serve_all({{"file/a", named({"a.test"}), {a_.port}}, rest});
  const Fd one = dial(port_), other = dial(port_);
  const Fd peer = reach(one, hello("a.test"), a_);
  const Fd kept = reach(other, "x", rest_);
  serve_all({{"file/b", named({"a.test"}), {b_.port}}, rest});
  EXPECT_TRUE(is_reset(one));
  EXPECT_TRUE(works(other, kept));
  EXPECT_EQ(totals_of("file/b").accepted, 0u);
}

TEST_F(NamesPathTest, TheFirstOfADoorMayGoAndTheDoorStays) {
  serve_all({{"file/a", {}, {a_.port}}, {"file/b", named({"b.test"}), {b_.port}}});
  const Fd one = dial(port_);
  const Fd peer = reach(one, hello("b.test"), b_);
  serve_all({{"file/b", named({"b.test"}), {b_.port}}});
  EXPECT_TRUE(works(one, peer));
  const Fd late = dial(port_);
  (void)reach(late, hello("b.test"), b_);
}

TEST_F(NamesPathTest, WithTheLastNameTheLookAtHellosEnds) {
  serve_all({{"file/a", {}, {a_.port}}, {"file/b", named({"b.test"}), {b_.port}}});
  const Fd undecided = dial(port_);
  ASSERT_TRUE(eventually([this] { return counters().active == 1; }));
  serve_all({{"file/a", {}, {a_.port}}});
  const Fd silent = dial(port_);
  const Fd peer = a_.accept_one();  // though it has said nothing
  EXPECT_TRUE(works(silent, peer));
  (void)reach(undecided, hello("b.test"), a_);
}

TEST_F(NamesPathTest, ADoorClosesWithItsLastName) {
  serve_all({{"file/a", named({"a.test"}), {a_.port}}});
  const Fd undecided = dial(port_);
  ASSERT_TRUE(eventually([this] { return counters().active == 1; }));
  serve_all({});
  EXPECT_TRUE(is_reset(undecided));
  EXPECT_FALSE(dial(port_).valid());
}

TEST_F(NamesPathTest, WhoIsUndecidedWhenTheProcessDrainsIsStillServed) {
  serve_all({{"file/a", named({"a.test"}), {a_.port}}});
  Fd client = dial(port_);
  ASSERT_TRUE(eventually([this] { return counters().active == 1; }));
  std::promise<void> drained;
  on_control([&] { path_->drain(60'000, [&] { drained.set_value(); }); });
  ASSERT_TRUE(eventually([this] { return !dial(port_).valid(); }));
  Fd peer = reach(client, hello("a.test"), a_);
  EXPECT_TRUE(works(client, peer));
  client.reset();
  peer.reset();
  EXPECT_EQ(drained.get_future().wait_for(std::chrono::seconds(5)), std::future_status::ready);
}

TEST_F(NamesPathTest, OneServiceMayHaveSeveralNamesWithBackendsOfTheirOwn) {
  ServicePort one = port(Protocol::kTcp, {a_.port}), other = port(Protocol::kTcp, {b_.port});
  one.match = named({"a.test"});
  other.match = named({"b.test"});
  ASSERT_TRUE(serve_ports({one, other}).empty());
  const Fd first = dial(port_), second = dial(port_);
  const Fd peer = reach(first, hello("a.test"), a_);
  const Fd other_peer = reach(second, hello("b.test"), b_);
  EXPECT_EQ(all_totals().size(), 1u);
  EXPECT_EQ(totals().accepted, 2u);
  EXPECT_EQ(totals().backends.size(), 2u);
  std::vector<PortStatus> ports;
  on_control([&] { ports = path_->status().at(0).ports; });
  ASSERT_EQ(ports.size(), 2u);
  EXPECT_EQ(ports[0].match, named({"a.test"}));
  EXPECT_TRUE(ports[0].programmed && ports[1].programmed);
  EXPECT_EQ(ports[1].connections, 1u);
}

}  // namespace
}  // namespace lb::proxy
