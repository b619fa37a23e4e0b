// From policies to checks and from verdicts to backends; a fake byte path, real probes.
#include "dataplane/checked_path.hpp"

#include <gmock/gmock.h>

#include "tests/support/fake_target.hpp"
#include "tests/unit/dataplane/program/fake_path.hpp"

namespace lb::dataplane {
namespace {

using namespace std::chrono_literals;
using testing::SizeIs;

class CheckedPathTest : public testing::Test {
 protected:
  CheckedPathTest() {
    auto fake = std::make_unique<FakePath>();
    path = fake.get();
    checked = std::make_unique<CheckedPath>(
        io, std::move(fake), [this](const auto& id, const auto&) { changed.push_back(id); });
  }
  ~CheckedPathTest() override { checked.reset(); }

  Service checking(const std::string& key, uint16_t port) {
    Service out = service(key, "192.0.2.1", {"127.0.0.1"});
    out.ports[0].backends[0].port = port;
    out.ports[0].policy.health.type = HealthType::kTcp;
    out.ports[0].policy.health.interval_ms = 50;
    return out;
  }
  proxy::BackendId id(const std::string& key, uint16_t port) {
    return {key, 80, Protocol::kTcp, {ip("127.0.0.1"), port}};
  }
  void apply(std::vector<Service> services) {
    checked->apply(std::make_shared<const DesiredState>(DesiredState{{1, 1}, services}),
                   [](auto) {});
  }
  bool run_until(const std::function<bool()>& holds) {
    const auto end = std::chrono::steady_clock::now() + 5s;
    while (!holds() && std::chrono::steady_clock::now() < end) io.run_one_for(20ms);
    return holds();
  }
  proxy::Health health(const std::string& key, uint16_t port) {
    return path->healths[id(key, port)].first;
  }

  asio::io_context io;
  FakePath* path = nullptr;
  std::vector<proxy::BackendId> changed;
  std::unique_ptr<CheckedPath> checked;
};

TEST_F(CheckedPathTest, WhatAnswersIsUpAndWhatRefusesIsDown) {
  test::FakeTarget target(io, test::stay_silent());
  const uint16_t good = target.endpoint().port;
  test::FakeTarget gone(io, test::stay_silent());
  const uint16_t bad = gone.endpoint().port;
  gone.close();
  apply({checking("file/a", good), checking("file/b", bad)});
  EXPECT_TRUE(run_until([&] { return health("file/a", good) == proxy::Health::kUp; }));
  EXPECT_TRUE(run_until([&] { return health("file/b", bad) == proxy::Health::kDown; }));
  const auto reason = path->healths.at(id("file/b", bad)).second;
  EXPECT_EQ(reason, "ConnectRefused");
  EXPECT_THAT(changed, SizeIs(2));
}

TEST_F(CheckedPathTest, ABackendOfUdpIsAskedByTcpAtItsPortOrThatOfTheCheck) {
  test::FakeTarget same(io, test::stay_silent()), beside(io, test::stay_silent());
  test::FakeTarget gone(io, test::stay_silent());
  const uint16_t nobody = gone.endpoint().port;
  gone.close();
  Service at_its_port = checking("file/a", same.endpoint().port);
  Service at_none = checking("file/b", nobody);
  Service at_another = checking("file/c", nobody);
  at_another.ports[0].policy.health.port = beside.endpoint().port;
  for (Service* each : {&at_its_port, &at_none, &at_another}) {
    each->ports[0].protocol = Protocol::kUdp;
  }
  apply({at_its_port, at_none, at_another});
  const auto found = [this](const std::string& key, uint16_t port) {
    return path->healths[{key, 80, Protocol::kUdp, {ip("127.0.0.1"), port}}].first;
  };
  EXPECT_TRUE(
      run_until([&] { return found("file/a", same.endpoint().port) == proxy::Health::kUp; }));
  EXPECT_TRUE(run_until([&] { return found("file/b", nobody) == proxy::Health::kDown; }));
  EXPECT_TRUE(run_until([&] { return found("file/c", nobody) == proxy::Health::kUp; }));
}

TEST_F(CheckedPathTest, AChangeOfAServiceWithoutChecksAsksNothingOfTheOthers) {
  test::FakeTarget target(io, test::stay_silent());
  const Service checked_one = checking("file/a", target.endpoint().port);
  apply({checked_one, service("file/b", "192.0.2.2")});
  ASSERT_FALSE(path->healths.empty());
  path->healths.clear();
  apply({checked_one, service("file/b", "192.0.2.3")});
  EXPECT_TRUE(path->healths.empty());
  apply({service("file/a", "192.0.2.1", {"127.0.0.1"}), service("file/b", "192.0.2.3")});
  EXPECT_EQ(health("file/a", target.endpoint().port), proxy::Health::kUnknown);
  EXPECT_FALSE(path->healths.empty()) << "a service that is checked no longer is told so";
}

TEST_F(CheckedPathTest, AChangeOfACheckedServiceAsksNothingOfTheOthers) {
  test::FakeTarget target(io, test::stay_silent());
  const uint16_t port = target.endpoint().port;
  const Service stays = checking("file/b", port);
  apply({checking("file/a", port), stays});
  ASSERT_TRUE(run_until([&] { return health("file/b", port) == proxy::Health::kUp; }));
  path->healths.clear();
  Service other = checking("file/a", port);
  other.ports[0].policy.health.rise = 7;
  apply({other, stays});
  EXPECT_TRUE(path->healths.contains(id("file/a", port)));
  EXPECT_FALSE(path->healths.contains(id("file/b", port)));
  path->healths.clear();
  apply({stays});
  EXPECT_EQ(health("file/a", port), proxy::Health::kUnknown);
  EXPECT_FALSE(path->healths.contains(id("file/b", port)));
}

TEST_F(CheckedPathTest, AServiceThatStoodInTheWayOfAnotherLeavesItItsHealth) {
  test::FakeTarget target(io, test::stay_silent());
  const uint16_t port = target.endpoint().port;
  const Service waits = checking("file/b", port);
  path->at_once = false;
  apply({service("file/a", "192.0.2.1"), waits});
  Failure conflict;
  conflict.key = "file/b";
  path->complete({conflict});
  path->at_once = true;
  ASSERT_TRUE(run_until([&] { return health("file/b", port) == proxy::Health::kUp; }));
  path->healths.clear();
  apply({waits});
  EXPECT_EQ(health("file/b", port), proxy::Health::kUp);
}

TEST_F(CheckedPathTest, TwoPortsThatAskTheSameKeepTheCheckUntilBothAreGone) {
  test::FakeTarget target(io, test::stay_silent());
  const uint16_t port = target.endpoint().port;
  Service both = checking("file/a", port);
  both.ports.push_back(both.ports[0]);
  both.ports[1].port = 81;
  apply({both});
  ASSERT_TRUE(run_until([&] { return changed.size() == 2; }));
  EXPECT_EQ(checked->check_counters().transitions, 1u);
  const Service one = checking("file/a", port);
  apply({one});
  EXPECT_EQ(health("file/a", port), proxy::Health::kUp);
  const auto probes = checked->check_counters().probes;
  EXPECT_TRUE(run_until([&] { return checked->check_counters().probes > probes + 1; }));
  apply({});
  EXPECT_EQ(checked->check_counters().in_flight, 0u);
}

TEST_F(CheckedPathTest, AServiceOfManySilentBackendsDoesNotStopTheChecksOfAnother) {
  test::FakeTarget silent(io, test::stay_silent(), Endpoint{ip("0.0.0.0"), 0});
  test::FakeTarget target(io, test::stay_silent());
  const uint16_t port = target.endpoint().port;
  Service greedy = checking("file/a", silent.endpoint().port);
  greedy.ports[0].policy.health.type = HealthType::kHttp;
  greedy.ports[0].policy.health.timeout_ms = 3'600'000;
  const Backend one = greedy.ports[0].backends[0];
  greedy.ports[0].backends.clear();
  for (uint32_t i = 1; i <= 600; ++i) {
    greedy.ports[0].backends.push_back(one);
    greedy.ports[0].backends.back().address = IpAddress::v4(0x7f000100 + i);
  }
  apply({greedy});
  ASSERT_TRUE(run_until([&] { return checked->check_counters().in_flight == 512; }));
  apply({greedy, checking("file/b", port)});
  EXPECT_TRUE(run_until([&] { return health("file/b", port) == proxy::Health::kUp; }));
  EXPECT_GT(checked->check_counters().cut, 0u);
}

TEST_F(CheckedPathTest, ServicesThatAskTheSameShareOneProbe) {
  test::FakeTarget target(io, test::stay_silent());
  const uint16_t port = target.endpoint().port;
  apply({checking("file/a", port), checking("file/b", port)});
  EXPECT_TRUE(run_until([&] { return changed.size() == 2; }));
  EXPECT_EQ(checked->check_counters().transitions, 1u);
}

TEST_F(CheckedPathTest, WithoutACheckNothingIsKnown) {
  test::FakeTarget target(io, test::stay_silent());
  const uint16_t port = target.endpoint().port;
  apply({checking("file/a", port)});
  ASSERT_TRUE(run_until([&] { return health("file/a", port) == proxy::Health::kUp; }));
  Service unchecked = checking("file/a", port);
  unchecked.ports[0].policy.health.type = HealthType::kNone;
  apply({unchecked});
  EXPECT_EQ(health("file/a", port), proxy::Health::kUnknown);
}

TEST_F(CheckedPathTest, AnotherIntervalForgetsNothing) {
  test::FakeTarget target(io, test::stay_silent());
  const uint16_t port = target.endpoint().port;
  apply({checking("file/a", port)});
  ASSERT_TRUE(run_until([&] { return health("file/a", port) == proxy::Health::kUp; }));
  path->healths.clear();
  Service slower = checking("file/a", port);
  slower.ports[0].policy.health.interval_ms = 5000;
  apply({slower});
  EXPECT_EQ(health("file/a", port), proxy::Health::kUp);
}

TEST_F(CheckedPathTest, ADrainEndsTheChecks) {
  test::FakeTarget target(io, test::stay_silent());
  apply({checking("file/a", target.endpoint().port)});
  checked->drain(0, [] {});
  const auto before = checked->check_counters().probes;
  io.restart();
  io.run_for(150ms);
  EXPECT_EQ(checked->check_counters().probes, before);
}

TEST_F(CheckedPathTest, AProbeBeginsAsTheServicesConnectionsDo) {
  std::string heard;
  test::FakeTarget target(io, [&](const test::Connection& connection) {
    const auto got = std::make_shared<std::string>(15, '\0');
    asio::async_read(*connection, asio::buffer(*got),
                     [&heard, got, connection](const auto&, size_t) { heard = *got; });
  });
  Service behind = checking("file/a", target.endpoint().port);
  behind.ports[0].policy.proxy_protocol = ProxyProtocol::kV1;
  apply({behind, checking("file/b", target.endpoint().port)});
  EXPECT_TRUE(run_until([&] { return heard == "PROXY UNKNOWN\r\n"; }));
  EXPECT_TRUE(run_until([&] { return checked->check_counters().transitions == 2; }))
      << "services that begin differently have a probe each";
}

}  // namespace
}  // namespace lb::dataplane
