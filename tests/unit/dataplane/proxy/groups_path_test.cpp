// Groups of backends through the whole byte path: shares, changes, retries, counts.
#include <map>
#include <set>

#include "tests/unit/dataplane/proxy/udp_path_fixture.hpp"

namespace lb::proxy {
namespace {

struct Set {
  std::string name;
  uint16_t weight = 1;
  std::vector<uint16_t> backends = {};
  std::vector<Cidr> sources = {};
};

class GroupsPathTest : public UdpPathTest {
 protected:
  void serve_groups(const std::vector<Set>& sets, Protocol protocol = Protocol::kTcp) {
    ServicePort out = port(protocol, {});
    for (const auto& set : sets) {
      out.groups.push_back({set.name, set.weight, set.sources});
      for (const uint16_t each : set.backends) {
        auto& backend = out.backends.emplace_back();
        backend.address = *IpAddress::parse("127.0.0.1");
        backend.port = each;
        backend.group = set.name;
      }
    }
    DesiredState state{{1, ++generation_},
                       {{"file/web", {*IpAddress::parse("127.0.0.1")}, {out}, {}}}};
    normalise(state);
    ASSERT_TRUE(apply(std::move(state)).empty());
  }

  std::map<std::string, uint64_t> made() {
    std::map<std::string, uint64_t> out;
    on_control([&] {
      const auto ports = path_->totals();
      for (const auto& group : ports.at(0).groups) out[group.name] = group.connections;
    });
    return out;
  }
  // Opens that many; how many of them each group has.
  std::map<std::string, uint64_t> open(uint64_t count) {
    const auto sum = [](const std::map<std::string, uint64_t>& counts) {
      uint64_t out = 0;
      for (const auto& [name, number] : counts) out += number;
      return out;
    };
    const auto before = made();
    for (uint64_t i = 0; i < count; ++i) clients_.push_back(dial(port_));
    std::map<std::string, uint64_t> now;
    EXPECT_TRUE(eventually([&] { return sum(now = made()) == sum(before) + count; }));
    for (auto& [name, number] : now) {
      if (before.contains(name)) number -= before.at(name);
    }
    return now;
  }

  std::vector<Fd> clients_;
  const Cidr here_ = *Cidr::parse("127.0.0.0/8");
};

using Counts = std::map<std::string, uint64_t>;

// Two workers take turns of their own, each from its own start.
constexpr double kRoom = 4;

TEST_F(GroupsPathTest, SharesHoldAndChangeLiveWithoutAConnectionLost) {
  Server a, b, c;
  serve_groups({{"a", 90, {a.port, b.port}}, {"b", 10, {c.port}}});
  auto got = open(200);
  EXPECT_NEAR(double(got["a"]), 180, kRoom);
  serve_groups({{"a", 50, {a.port, b.port}}, {"b", 50, {c.port}}});
  got = open(200);
  EXPECT_NEAR(double(got["a"]), 100, kRoom);
  EXPECT_EQ(port_status().connections, 400u);
}

TEST_F(GroupsPathTest, AShareHoldsWhileBackendsComeAndGo) {
  Server a, b, c, d;
  serve_groups({{"a", 50, {a.port}}, {"b", 50, {b.port}}});
  open(40);
  serve_groups({{"a", 50, {a.port}}, {"b", 50, {b.port, c.port, d.port}}});
  EXPECT_NEAR(double(open(100)["a"]), 50, kRoom);
  serve_groups({{"a", 50, {}}, {"b", 50, {b.port}}});
  EXPECT_EQ(open(20)["b"], 20u);
  serve_groups({{"a", 50, {a.port}}, {"b", 50, {b.port}}});
  EXPECT_NEAR(double(open(100)["a"]), 50, kRoom);
}

TEST_F(GroupsPathTest, ARetryStaysInItsGroupAsLongAsSomebodyIsThere) {
  Server well, other;
  policy_.ejection = {0, 0, 5};
  serve_groups({{"a", 1, {free_port(), free_port(), well.port}}, {"b", 1, {other.port}}});
  EXPECT_NEAR(double(open(100)["a"]), 50, kRoom);
  EXPECT_GT(counters().retries, 20u);
}

TEST_F(GroupsPathTest, ARetryLeavesAGroupInWhichNobodyIsLeft) {
  Server other;
  policy_.ejection = {0, 0, 5};
  serve_groups({{"a", 1, {free_port(), free_port()}}, {"b", 1, {other.port}}});
  EXPECT_EQ(open(20), (Counts{{"a", 0}, {"b", 20}}));
}

TEST_F(GroupsPathTest, ARetryGoesToNobodyOfAGroupWithoutWeight) {
  Server reserved;
  uint64_t given_up = 0;
  for (const Balance balance : {Balance::kRoundRobin, Balance::kMaglev}) {
    policy_.balance = balance;
    serve_groups({{"a", 1, {free_port()}}, {"b", 0, {reserved.port}}});
    const Fd client = dial(port_);
    ++given_up;
    EXPECT_TRUE(eventually([&] { return counters().no_backend == given_up; }))
        << to_string(balance);
  }
  EXPECT_EQ(made()["b"], 0u);
}

TEST_F(GroupsPathTest, WhoFindsItsGroupEmptyWaitsAlthoughAGroupWithoutWeightIsThere) {
  Server reserved, late;
  policy_.when_empty = WhenEmpty::kWait;
  policy_.empty_wait_ms = 5000;
  serve_groups({{"a", 1, {}}, {"b", 0, {reserved.port}}});
  clients_.push_back(dial(port_));
  EXPECT_TRUE(eventually([&] { return counters().waits == 1; }));
  serve_groups({{"a", 1, {late.port}}, {"b", 0, {reserved.port}}});
  EXPECT_TRUE(eventually([&] { return made()["a"] == 1; }));
}

TEST_F(GroupsPathTest, ARetryThatLeavesItsGroupFollowsTheWeightsOfTheOthers) {
  Server b, c, d, e;
  policy_.ejection = {0, 0, 5};
  serve_groups(
      {{"a", 900, {free_port()}}, {"b", 50, {b.port}}, {"c", 50, {c.port, d.port, e.port}}});
  const auto got = open(200);
  EXPECT_NEAR(double(got.at("b")), 100, 30) << "by backends it would be 50";
}

TEST_F(GroupsPathTest, AGroupOfTheOtherFamilyHasItsShareToo) {
  Server a;
  const Fd other(socket(AF_INET6, SOCK_STREAM, 0));
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_addr = in6addr_loopback;
  ASSERT_EQ(bind(other.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(listen(other.get(), 100), 0);
  socklen_t size = sizeof address;
  getsockname(other.get(), reinterpret_cast<sockaddr*>(&address), &size);
  ServicePort both = port(Protocol::kTcp, {a.port, ntohs(address.sin6_port)});
  both.groups = {{"a", 1, {}}, {"b", 1, {}}};
  both.backends[0].group = "a";
  both.backends[1].group = "b";
  both.backends[1].address = *IpAddress::parse("::1");
  ASSERT_TRUE(serve_ports({both}).empty());
  EXPECT_NEAR(double(open(40)["b"]), 20, kRoom);
}

TEST_F(GroupsPathTest, ClientsOfItsSourcesGoToAGroupThatHasNoWeight) {
  Server a, b;
  serve_groups({{"a", 100, {a.port}}, {"b", 0, {b.port}}});
  EXPECT_EQ(open(10), (Counts{{"a", 10}, {"b", 0}}));
  serve_groups({{"a", 100, {a.port}}, {"b", 0, {b.port}, {here_}}});
  EXPECT_EQ(open(10), (Counts{{"a", 0}, {"b", 10}}));
}

TEST_F(GroupsPathTest, AStickyClientStaysInItsGroup) {
  Server a, b;
  policy_.sticky_groups = true;
  serve_groups({{"a", 50, {a.port}}, {"b", 50, {b.port}}});
  const auto got = open(20);
  EXPECT_TRUE(got == (Counts{{"a", 20}, {"b", 0}}) || got == (Counts{{"a", 0}, {"b", 20}}));
}

TEST_F(GroupsPathTest, AffinityDoesNotKeepAClientInAGroupThatGetsNobodyAnyMore) {
  Server a, b;
  policy_.affinity_seconds = 3600;
  serve_groups({{"a", 0, {a.port}}, {"b", 1, {b.port}}});
  EXPECT_EQ(open(5)["b"], 5u);
  serve_groups({{"a", 1, {a.port}}, {"b", 1, {b.port}}});
  EXPECT_EQ(open(5)["b"], 5u) << "it may stay";
  serve_groups({{"a", 1, {a.port}}, {"b", 0, {b.port}}});
  EXPECT_EQ(open(5)["a"], 5u);
}

TEST_F(GroupsPathTest, AffinityDoesNotKeepAClientFromTheGroupThatItIsMeantFor) {
  Server a, b;
  policy_.affinity_seconds = 3600;
  serve_groups({{"a", 1, {a.port}}, {"b", 0, {b.port}}});
  EXPECT_EQ(open(5)["a"], 5u);
  serve_groups({{"a", 1, {a.port}}, {"b", 0, {b.port}, {here_}}});
  EXPECT_EQ(open(5)["b"], 5u);
}

TEST_F(GroupsPathTest, DatagramsOfNewSessionsAreSharedToo) {
  UdpSocket a, b;
  serve_groups({{"a", 75, {a.port}}, {"b", 25, {b.port}}}, Protocol::kUdp);
  std::vector<UdpSocket> clients(80);
  for (auto& client : clients) client.send_to(port_, "x");
  Counts got;
  EXPECT_TRUE(eventually([&] { return (got = made())["a"] + got["b"] == 80; }));
  EXPECT_NEAR(double(got["a"]), 60, kRoom);
}

// A session whose backend refuses moves within its group; with nobody there it stays where it is.
TEST_F(GroupsPathTest, ARefusedSessionStaysInItsGroupAndNeverGoesToOneWithoutWeight) {
  UdpSocket well, other, client;
  policy_.ejection = {0, 0, 5};
  const auto gone = [] { return UdpSocket().port; };
  serve_groups({{"a", 1, {gone(), well.port}}, {"b", 1, {other.port}}}, Protocol::kUdp);
  std::vector<UdpSocket> clients(64);
  for (auto& each : clients) each.send_to(port_, "x");
  EXPECT_TRUE(eventually([&] { return counters().udp_moved >= 8; }));
  EXPECT_LE(made()["b"], 34u) << "its own share, and nobody who moved";
  serve_groups({{"a", 1, {gone()}}, {"b", 0, {other.port}}}, Protocol::kUdp);
  const uint64_t refused = counters().udp_refused;
  client.send_to(port_, "x");
  EXPECT_TRUE(eventually([&] { return counters().udp_refused > refused; }));
  client.send_to(port_, "y");
  EXPECT_TRUE(eventually([&] { return counters().udp_refused > refused + 1; }));
  EXPECT_EQ(counters().udp_no_backend, 0u);
}

TEST_F(GroupsPathTest, HowManyBackendsOfAGroupMayBeUsedIsCounted) {
  Server a, b, c;
  serve_groups({{"a", 1, {a.port, b.port}}, {"b", 1, {c.port}}});
  const auto usable = [&] {
    std::vector<uint64_t> out;
    on_control([&] {
      const auto ports = path_->totals();
      for (const auto& group : ports.at(0).groups) out.push_back(group.usable);
    });
    return out;
  };
  EXPECT_EQ(usable(), (std::vector<uint64_t>{2, 1}));
  const BackendId down{"file/web", port_, Protocol::kTcp, {*IpAddress::parse("127.0.0.1"), c.port}};
  on_control([&] { path_->set_health(down, Health::kDown, ""); });
  EXPECT_EQ(usable(), (std::vector<uint64_t>{2, 0}));
}

TEST_F(GroupsPathTest, AGroupThatIsGoneIsCountedNoMore) {
  Server a, b;
  serve_groups({{"a", 1, {a.port}}, {"b", 1, {b.port}}});
  open(10);
  serve_groups({{"a", 1, {a.port, b.port}}});
  EXPECT_EQ(made().size(), 1u);
  EXPECT_EQ(open(10), (Counts{{"a", 10}}));
}

}  // namespace
}  // namespace lb::proxy
