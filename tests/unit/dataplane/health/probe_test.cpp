#include "dataplane/health/probe.hpp"

#include <array>

#include "tests/unit/dataplane/health/few_descriptors.hpp"
#include "tests/unit/dataplane/health/full_listener.hpp"
#include "tests/unit/dataplane/health/probe_fixture.hpp"

namespace lb::health {
namespace {

using test::FakeTarget;
using TcpProbeTest = ProbeTest;

const HealthPolicy kTcp = policy_of(HealthType::kTcp);

Endpoint closed_port(asio::io_context& io) {
  FakeTarget target(io, test::hang_up());
  return target.endpoint();
}

TEST_F(TcpProbeTest, SucceedsWhenTheTargetListens) {
  FakeTarget target(io_, test::stay_silent());
  EXPECT_EQ(probe(target.endpoint(), kTcp), ProbeResult{});
}

TEST_F(TcpProbeTest, SucceedsOverIpv6) {
  std::optional<FakeTarget> target;
  try {
    target.emplace(io_, test::stay_silent(), Endpoint{IpAddress::parse("::1").value(), 0});
  } catch (const std::exception&) {
    GTEST_SKIP() << "no IPv6 on loopback";
  }
  EXPECT_EQ(probe(target->endpoint(), kTcp), ProbeResult{});
}

TEST_F(TcpProbeTest, SaysThatTheConnectionIsRefused) {
  EXPECT_EQ(probe(closed_port(io_), kTcp), failure("ConnectRefused"));
}

TEST_F(TcpProbeTest, SaysThatNothingAnswersTheConnection) {
  const FullListener black_hole;
  HealthPolicy policy = kTcp;
  policy.timeout_ms = 60;
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_EQ(probe(black_hole.endpoint(), policy),
            (ProbeResult{Outcome::kTimeout, "ConnectTimeout"}));
  EXPECT_GE(std::chrono::steady_clock::now() - begun, std::chrono::milliseconds(60));
}

TEST_F(TcpProbeTest, SaysThatThereIsNoWay) {
  // A multicast group takes no TCP connection.
  EXPECT_EQ(probe(endpoint("224.0.0.1:80"), kTcp), failure("Unreachable"));
}

TEST_F(TcpProbeTest, TakesTheBlameWhenNoDescriptorIsLeft) {
  FakeTarget target(io_, test::stay_silent());
  const Endpoint where = target.endpoint();
  ProbeResult result = probe(where, kTcp);
  EXPECT_EQ(result, ProbeResult{});
  {
    const FewDescriptors few;
    result = probe(where, kTcp);
  }
  EXPECT_EQ(result, (ProbeResult{Outcome::kOwnWant, "OurOwnWant: no descriptor left"}));
}

TEST_F(TcpProbeTest, TakesTheBlameForASourceAddressThatIsNotOurs) {
  FakeTarget target(io_, test::stay_silent());
  ProbeStarter starter(io_, IpAddress::parse("192.0.2.1").value());
  std::optional<ProbeResult> result;
  starter.begin(check_of(target.endpoint(), kTcp), [&](const auto& found) { result = found; });
  ASSERT_TRUE(run_until([&] { return result.has_value(); }));
  EXPECT_EQ(result->outcome, Outcome::kOwnWant) << result->reason;
}

TEST_F(TcpProbeTest, ComesFromTheSourceAddress) {
  std::string from;
  FakeTarget target(io_, [&](const test::Connection& connection) {
    from = connection->remote_endpoint().address().to_string();
    test::say({"x"})(connection);
  });
  ProbeStarter starter(io_, IpAddress::parse("127.0.0.9").value());
  std::optional<ProbeResult> result;
  starter.begin(check_of(target.endpoint(), send_expect_policy("", "x")),
                [&](const auto& found) { result = found; });
  ASSERT_TRUE(run_until([&] { return result.has_value(); }));
  EXPECT_EQ(from, "127.0.0.9");
}

TEST_F(TcpProbeTest, LeavesASourceOfTheOtherFamilyAlone) {
  FakeTarget target(io_, test::stay_silent());
  ProbeStarter starter(io_, IpAddress::parse("2001:db8::1").value());
  std::optional<ProbeResult> result;
  starter.begin(check_of(target.endpoint(), kTcp), [&](const auto& found) { result = found; });
  ASSERT_TRUE(run_until([&] { return result.has_value(); }));
  EXPECT_EQ(*result, ProbeResult{});
}

TEST_F(TcpProbeTest, EndsTheConnectionWithAReset) {
  boost::system::error_code end;
  FakeTarget target(io_, [&](const test::Connection& connection) {
    auto buffer = std::make_shared<std::array<char, 16>>();
    asio::async_write(*connection, asio::buffer("x", 1), [](const auto&, size_t) {});
    connection->async_read_some(
        asio::buffer(*buffer),
        [&end, connection, buffer](const auto& error, size_t) { end = error; });
  });
  EXPECT_EQ(probe(target.endpoint(), send_expect_policy("", "x")), ProbeResult{});
  ASSERT_TRUE(run_until([&] { return bool(end); }));
  EXPECT_EQ(end, asio::error::connection_reset);
}

TEST_F(TcpProbeTest, ReportsNothingOnceCancelled) {
  FakeTarget target(io_, test::stay_silent());
  bool reported = false;
  starter_.begin(check_of(target.endpoint(), kTcp), [&](const auto&) { reported = true; })
      ->cancel();
  EXPECT_EQ(probe(target.endpoint(), kTcp), ProbeResult{});
  EXPECT_FALSE(reported);
}

TEST_F(TcpProbeTest, ReportsNothingOnceCancelledEvenIfItNeverBegan) {
  bool reported = false;
  {
    const FewDescriptors few;
    starter_.begin(check_of(endpoint("127.0.0.1:1"), kTcp), [&](const auto&) { reported = true; })
        ->cancel();
  }
  probe(closed_port(io_), kTcp);
  EXPECT_FALSE(reported);
}

TEST_F(TcpProbeTest, LeavesNothingBehind) {
  FakeTarget target(io_, test::stay_silent());
  std::weak_ptr<Probe> probe;
  bool reported = false;
  probe = starter_.begin(check_of(target.endpoint(), kTcp), [&](const auto&) { reported = true; });
  ASSERT_TRUE(run_until([&] { return reported && probe.expired(); }));
  EXPECT_EQ(starter_.timers().size(), 0u);
}

TEST_F(TcpProbeTest, IsNoneForNoType) {
  EXPECT_EQ(starter_.begin(check_of(endpoint("127.0.0.1:1"), HealthPolicy{}), {}), nullptr);
}

}  // namespace
}  // namespace lb::health
