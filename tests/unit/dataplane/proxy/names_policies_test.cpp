// What the policy of each service means on an address and port that several share.
#include "tests/unit/dataplane/proxy/engine_fixture.hpp"
#include "tests/unit/dataplane/proxy/names_fixture.hpp"

namespace lb::proxy {
namespace {

class NamesPoliciesTest : public NamesTest {
 protected:
  static std::string introduction(const char* client) {
    return encode_proxy_v1(parse_endpoint(client).value(), parse_endpoint("192.0.2.1:443").value());
  }
  static Policy trusting(const char* range) {
    Policy out;
    out.accept_proxy_from = {*Cidr::parse(range)};
    return out;
  }
};

TEST_F(NamesPoliciesTest, WhereAClientComesFromMayDecideAlone) {
  ASSERT_TRUE(serve_all({{"file/rest", {}, {rest_.port}},
                         {"file/staff", from({range("127.0.0.9")}), {a_.port}}})
                  .empty());
  const Fd staff = dial_from("127.0.0.9"), other = dial(port_);
  // Nothing has to be said for that.
  const Fd one = a_.accept_one(), two = rest_.accept_one();
  EXPECT_TRUE(works(staff, one));
  EXPECT_TRUE(works(other, two));
}

TEST_F(NamesPoliciesTest, WhoComesFromElsewhereIsRefusedWhereNobodyIsForThem) {
  serve_all({{"file/staff", from({range("127.0.0.9")}), {a_.port}}});
  EXPECT_TRUE(is_reset(dial(port_)));
  EXPECT_TRUE(eventually([this] { return counters().unrouted == 1; }));
  expect_told(Refusal::kRoute);
}

TEST_F(NamesPoliciesTest, StaffSeeAnotherBackendUnderTheSameName) {
  serve_all({{"file/new", {{"a.test"}, {range("127.0.0.9")}}, {b_.port}},
             {"file/shop", named({"a.test"}), {a_.port}}});
  const Fd staff = dial_from("127.0.0.9"), other = dial(port_);
  (void)reach(staff, hello("a.test"), b_);
  (void)reach(other, hello("a.test"), a_);
}

TEST_F(NamesPoliciesTest, EachNameHasAnAccessListOfItsOwn) {
  Policy closed;
  closed.source_ranges = {range("192.0.2.0/24")};
  serve_all(
      {{"file/a", named({"a.test"}), {a_.port}}, {"file/b", named({"b.test"}), {b_.port}, closed}});
  const Fd one = dial(port_), other = dial(port_);
  (void)reach(one, hello("a.test"), a_);
  write_all(other.get(), hello("b.test"));
  EXPECT_TRUE(is_reset(other));
  EXPECT_TRUE(eventually(
      [this] { return totals_of("file/b").refused[size_t(Refusal::kSourceRange)] == 1; }));
  EXPECT_EQ(sum(totals_of("file/a").refused), 0u);
}

TEST_F(NamesPoliciesTest, EachNameHasItsOwnNumberOfConnections) {
  Policy narrow;
  narrow.max_connections = 1;
  serve_all({{"file/a", named({"a.test"}), {a_.port}, narrow},
             {"file/b", named({"b.test"}), {b_.port}, narrow}});
  const Fd one = dial(port_), two = dial(port_), three = dial(port_);
  const Fd first = reach(one, hello("a.test"), a_);
  const Fd second = reach(two, hello("b.test"), b_);
  write_all(three.get(), hello("a.test"));
  EXPECT_TRUE(is_reset(three));
  EXPECT_TRUE(eventually(
      [this] { return totals_of("file/a").refused[size_t(Refusal::kConnections)] == 1; }));
  EXPECT_TRUE(works(one, first) && works(two, second));
}

TEST_F(NamesPoliciesTest, ThoseThatAreUndecidedCountForNobody) {
  Policy narrow;
  narrow.max_connections = 1;
  serve_all({{"file/a", named({"a.test"}), {a_.port}, narrow}});
  const Fd idle = dial(port_), other = dial(port_);
  ASSERT_TRUE(eventually([this] { return counters().active == 2; }));
  (void)reach(other, hello("a.test"), a_);
}

TEST_F(NamesPoliciesTest, ATrustedProxySpeaksBeforeTheHello) {
  serve_all(
      {{"file/a", named({"a.test"}), {a_.port}, trusting("127.0.0.0/8")},
       {"file/b", {{"a.test"}, {range("203.0.113.0/24")}}, {b_.port}, trusting("127.0.0.0/8")}});
  const Fd one = dial(port_), other = dial(port_);
  write_all(one.get(), introduction("198.51.100.1:1"));
  (void)reach(one, hello("a.test"), a_);
  // Where it comes from is what the proxy says.
  write_all(other.get(), introduction("203.0.113.9:1"));
  (void)reach(other, hello("a.test"), b_);
}

// Whom a proxy's header concerns is known once it is read, whoever speaks first then.
TEST(NamesEngineTest, WhereOnlySourcesDecideNothingIsAwaitedBehindAnIntroduction) {
  Engine engine;
  Server near, rest;
  Policy trusting;
  trusting.accept_proxy_from = {*Cidr::parse("127.0.0.0/8")};
  engine.serve_matched({{}, {*Cidr::parse("203.0.113.0/24")}}, near.port, trusting);
  engine.serve_matched({}, rest.port, trusting);
  const auto goes_to = [&](const char* from, const Server& server) {
    const Fd client = engine.dial();
    write_all(client.get(), encode_proxy_v1(parse_endpoint(from).value(),
                                            parse_endpoint("192.0.2.1:443").value()));
    engine.work();
    return has_input(server.fd);
  };
  EXPECT_TRUE(goes_to("203.0.113.9:1", near));
  EXPECT_FALSE(has_input(rest.fd));
  EXPECT_TRUE(goes_to("198.51.100.1:1", rest));
}

TEST_F(NamesPoliciesTest, AnIntroductionThatAServiceDoesNotTrustIsRefused) {
  serve_all({{"file/a", named({"a.test"}), {a_.port}, trusting("127.0.0.0/8")},
             {"file/b", named({"b.test"}), {b_.port}}});
  const Fd client = dial(port_);
  write_all(client.get(), introduction("198.51.100.1:1") + hello("b.test"));
  EXPECT_TRUE(is_reset(client));
  EXPECT_TRUE(eventually(
      [this] { return totals_of("file/b").refused[size_t(Refusal::kProxyHeader)] == 1; }));
}

TEST_F(NamesPoliciesTest, ATrustedProxyThatDoesNotIntroduceIsRefusedThereOnly) {
  serve_all({{"file/a", named({"a.test"}), {a_.port}, trusting("127.0.0.0/8")},
             {"file/b", named({"b.test"}), {b_.port}}});
  const Fd one = dial(port_), other = dial(port_);
  write_all(one.get(), hello("a.test"));
  EXPECT_TRUE(is_reset(one));
  EXPECT_TRUE(eventually(
      [this] { return totals_of("file/a").refused[size_t(Refusal::kProxyHeader)] == 1; }));
  (void)reach(other, hello("b.test"), b_);
}

TEST_F(NamesPoliciesTest, TheBackendIsToldOfTheClientBeforeTheHello) {
  Policy tells;
  tells.proxy_protocol = ProxyProtocol::kV1;
  serve_all({{"file/a", named({"a.test"}), {a_.port}, tells}});
  const Fd client = dial_from("127.0.0.9");
  write_all(client.get(), hello("a.test"));
  const Fd peer = a_.accept_one();
  EXPECT_TRUE(read_some(peer, 21).starts_with("PROXY TCP4 127.0.0.9 "));
}

TEST_F(NamesPoliciesTest, DatagramsHaveNoNames) {
  ServicePort out = port(Protocol::kUdp, {a_.port});
  out.match = named({"a.test"});
  const auto failed = serve_ports({out});
  ASSERT_EQ(failed.size(), 1u);
  EXPECT_EQ(failed[0].reason, "Unsupported");
}

}  // namespace
}  // namespace lb::proxy
