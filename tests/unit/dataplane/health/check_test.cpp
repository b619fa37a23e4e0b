#include "dataplane/health/check.hpp"

#include <gtest/gtest.h>

#include <set>

#include "tests/unit/dataplane/health/builders.hpp"

namespace lb::health {
namespace {

const Endpoint kBackend = endpoint("192.0.2.1:8080");

TEST(Check, AsksTheBackendsOwnPortWhenThePolicyNamesNone) {
  EXPECT_EQ(check_of(kBackend, policy_of(HealthType::kTcp)).target, kBackend);
}

TEST(Check, AsksThePolicysPortInstead) {
  HealthPolicy policy = policy_of(HealthType::kTcp);
  policy.port = 9000;
  const Check check = check_of(kBackend, policy);
  EXPECT_EQ(check.target, endpoint("192.0.2.1:9000"));
  EXPECT_EQ(check.policy.port, 0);
}

TEST(Check, IsTheSameWhetherThePortIsTheBackendsOrThePolicys) {
  HealthPolicy policy = policy_of(HealthType::kTcp);
  const Check own = check_of(endpoint("192.0.2.1:9000"), policy);
  policy.port = 9000;
  EXPECT_EQ(check_of(kBackend, policy), own);
}

TEST(Check, OfTcpForgetsWhatOnlyOtherTypesUse) {
  HealthPolicy policy = policy_of(HealthType::kTcp);
  const Check plain = check_of(kBackend, policy);
  policy.path = "/health";
  policy.host = "example.com";
  policy.expect_status = 204;
  policy.send = "PING";
  policy.expect = "PONG";
  EXPECT_EQ(check_of(kBackend, policy), plain);
}

TEST(Check, OfHttpKeepsPathHostAndStatusOnly) {
  HealthPolicy policy = http_policy("/health");
  policy.host = "example.com";
  policy.expect_status = 204;
  const Check plain = check_of(kBackend, policy);
  EXPECT_EQ(plain.policy, policy);
  policy.send = "PING";
  policy.expect = "PONG";
  EXPECT_EQ(check_of(kBackend, policy), plain);
}

TEST(Check, OfTlsKeepsAHostName) {
  HealthPolicy policy = policy_of(HealthType::kTls);
  policy.host = "example.com";
  EXPECT_EQ(check_of(kBackend, policy).policy.host, "example.com");
}

TEST(Check, OfTlsForgetsAHostThatIsAnAddress) {
  HealthPolicy policy = policy_of(HealthType::kTls);
  for (const char* address : {"192.0.2.7", "2001:db8::1"}) {
    policy.host = address;
    EXPECT_EQ(check_of(kBackend, policy).policy.host, "") << address;
  }
}

TEST(Check, OfSendExpectKeepsBothTexts) {
  const HealthPolicy policy = send_expect_policy("PING", "PONG");
  EXPECT_EQ(check_of(kBackend, policy).policy, policy);
}

TEST(Check, OfNoTypeIsOneForAllPolicies) {
  HealthPolicy policy = policy_of(HealthType::kNone);
  policy.interval_ms = 77;
  policy.port = 9000;
  EXPECT_EQ(check_of(kBackend, policy), check_of(kBackend, HealthPolicy{}));
}

TEST(Check, IsHeldOnceByASetHoweverManyServicesAsk) {
  std::set<Check> wanted;
  for (int service = 0; service < 3; ++service) wanted.insert(check_of(kBackend, http_policy()));
  EXPECT_EQ(wanted.size(), 1u);
}

TEST(Check, DiffersByEveryFieldThatMatters) {
  HealthPolicy other_path = http_policy("/b");
  HealthPolicy other_rise = http_policy();
  other_rise.rise = 9;
  HealthPolicy other_timeout = http_policy();
  other_timeout.timeout_ms = 9;
  const std::set<Check> wanted{check_of(kBackend, http_policy()),
                               check_of(kBackend, other_path),
                               check_of(kBackend, other_rise),
                               check_of(kBackend, other_timeout),
                               check_of(kBackend, policy_of(HealthType::kTcp)),
                               check_of(endpoint("192.0.2.2:8080"), http_policy())};
  EXPECT_EQ(wanted.size(), 6u);
}

TEST(Check, PutsTheSameQuestionWhateverItsNumbers) {
  HealthPolicy slower = http_policy();
  slower.interval_ms = 9000;
  EXPECT_TRUE(check_of(kBackend, slower).same_question(check_of(kBackend, http_policy())));
  EXPECT_FALSE(check_of(kBackend, slower).same_question(check_of(kBackend, http_policy("/b"))));
}

TEST(Check, SortsNumbersLast) {
  HealthPolicy slow = http_policy("/a");
  slow.interval_ms = 9000;
  const std::set<Check> wanted{check_of(kBackend, http_policy("/b")), check_of(kBackend, slow),
                               check_of(kBackend, http_policy("/a"))};
  EXPECT_TRUE(wanted.begin()->same_question(*std::next(wanted.begin())));
}

TEST(CheckOf, DiffersByTheProxyHeaderThatGoesFirst) {
  const std::set<Check> wanted{check_of(kBackend, http_policy()),
                               check_of(kBackend, http_policy(), ProxyProtocol::kV1),
                               check_of(kBackend, http_policy(), ProxyProtocol::kV2)};
  EXPECT_EQ(wanted.size(), 3u);
  EXPECT_FALSE(wanted.begin()->same_question(*wanted.rbegin()));
}

TEST(CheckOf, SpeaksPlainlyToAPortThatIsOnlyForChecks) {
  HealthPolicy policy = http_policy();
  policy.port = 9000;
  EXPECT_EQ(check_of(kBackend, policy, ProxyProtocol::kV2), check_of(kBackend, policy));
  policy.port = kBackend.port;
  EXPECT_EQ(check_of(kBackend, policy, ProxyProtocol::kV2).proxy, ProxyProtocol::kV2);
}

}  // namespace
}  // namespace lb::health
