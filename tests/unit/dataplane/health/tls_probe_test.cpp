#include "dataplane/health/tls_probe.hpp"

#include <memory>

#include "tests/support/fake_tls.hpp"
#include "tests/unit/dataplane/health/probe_fixture.hpp"

namespace lb::health {
namespace {

using test::FakeTarget;
using test::speak_tls;
using test::TlsVersions;
using TlsProbeTest = ProbeTest;

HealthPolicy tls_policy(std::string host = "") {
  HealthPolicy out = policy_of(HealthType::kTls);
  out.host = std::move(host);
  return out;
}

TEST_F(TlsProbeTest, SucceedsWithACertificateThatNobodySigned) {
  FakeTarget target(io_, speak_tls());
  EXPECT_EQ(probe(target.endpoint(), tls_policy()), ProbeResult{});
}

TEST_F(TlsProbeTest, SucceedsWithTls12) {
  FakeTarget target(io_, speak_tls(TlsVersions::kOnly1_2));
  EXPECT_EQ(probe(target.endpoint(), tls_policy()), ProbeResult{});
}

TEST_F(TlsProbeTest, RefusesTls11) {
  FakeTarget target(io_, speak_tls(TlsVersions::kOnly1_1));
  const ProbeResult result = probe(target.endpoint(), tls_policy());
  EXPECT_EQ(result.outcome, Outcome::kFailure);
  EXPECT_TRUE(result.reason.starts_with("TlsHandshake: ")) << result.reason;
}

TEST_F(TlsProbeTest, SendsTheNameOfThePolicy) {
  const auto name = std::make_shared<std::string>("none asked");
  FakeTarget target(io_, speak_tls(TlsVersions::kAll, name));
  EXPECT_EQ(probe(target.endpoint(), tls_policy("db.example.com")), ProbeResult{});
  EXPECT_EQ(*name, "db.example.com");
}

TEST_F(TlsProbeTest, SendsNoNameWithoutOne) {
  const auto name = std::make_shared<std::string>("none asked");
  FakeTarget target(io_, speak_tls(TlsVersions::kAll, name));
  EXPECT_EQ(probe(target.endpoint(), tls_policy("192.0.2.1")), ProbeResult{});
  EXPECT_EQ(*name, "");
}

TEST_F(TlsProbeTest, FailsWithATargetThatSpeaksPlainText) {
  FakeTarget target(io_, test::answer({"HTTP/1.1 400 Bad Request\r\n\r\n"}));
  const ProbeResult result = probe(target.endpoint(), tls_policy());
  EXPECT_EQ(result.outcome, Outcome::kFailure);
  EXPECT_TRUE(result.reason.starts_with("TlsHandshake: ")) << result.reason;
}

TEST_F(TlsProbeTest, FailsWithATargetThatClosesInTheHandshake) {
  FakeTarget target(io_, test::answer_and_close(""));
  EXPECT_EQ(probe(target.endpoint(), tls_policy()), failure("TlsHandshake: closed by the peer"));
}

TEST_F(TlsProbeTest, SaysThatTheTargetReset) {
  FakeTarget target(io_, [](const test::Connection& connection) {
    connection->set_option(asio::socket_base::linger(true, 0));
  });
  EXPECT_EQ(probe(target.endpoint(), tls_policy()), failure("Reset"));
}

TEST_F(TlsProbeTest, TimesOutWithATargetThatSaysNothing) {
  FakeTarget target(io_, test::stay_silent());
  HealthPolicy policy = tls_policy();
  policy.timeout_ms = 60;
  EXPECT_EQ(probe(target.endpoint(), policy), (ProbeResult{Outcome::kTimeout, "Timeout"}));
}

TEST_F(TlsProbeTest, ReportsNothingWhenCancelledInTheHandshake) {
  FakeTarget target(io_, test::stay_silent());
  bool reported = false;
  const auto running = starter_.begin(check_of(target.endpoint(), tls_policy()),
                                      [&](const auto&) { reported = true; });
  ASSERT_TRUE(run_until([&] { return target.accepted() == 1; }));
  running->cancel();
  target.serve(speak_tls());
  EXPECT_EQ(probe(target.endpoint(), tls_policy()), ProbeResult{});
  EXPECT_FALSE(reported);
}

TEST_F(TlsProbeTest, TakesTheBlameWithoutAContext) {
  FakeTarget target(io_, speak_tls());
  std::optional<ProbeResult> result;
  const ProbeSetting setting{io_, starter_.timers(), std::nullopt};
  make_tls_probe(
      setting, check_of(target.endpoint(), tls_policy()),
      [&](const auto& found) { result = found; }, nullptr)
      ->begin();
  ASSERT_TRUE(run_until([&] { return result.has_value(); }));
  EXPECT_EQ(result->outcome, Outcome::kOwnWant);
}

}  // namespace
}  // namespace lb::health
