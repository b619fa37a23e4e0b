// What a data plane does not list is left out, field by field, and said.
#include "controller/core/trim.hpp"

#include <gtest/gtest.h>

#include "common/model/support.hpp"

namespace lb::plan {
namespace {

Service balanced() {
  Service out;
  out.key = "file/web";
  out.policy.prefer_zone = true;
  out.policy.slow_start_s = 30;
  out.policy.congestion = "bbr";
  out.policy.busy_poll_us = 50;
  out.policy.health.type = HealthType::kTcp;
  out.policy.health.panic_percent = 40;
  ServicePort port;
  port.policy = out.policy;
  out.ports.push_back(port);
  return out;
}

TEST(Trim, TakesNothingFromWhatThisVersionServes) {
  const auto served = served_features();
  Service service = balanced();
  std::vector<Problem> problems;
  trim(service, {served.begin(), served.end()}, problems);
  EXPECT_EQ(service, balanced());
  EXPECT_TRUE(problems.empty());
}

TEST(Trim, LeavesOutTheZoneAndTheThresholdButNotTheCheck) {
  Service service = balanced();
  std::vector<Problem> problems;
  trim(service,
       {"protocol=tcp", "policy.health.type=tcp", "policy.slow_start_s", "policy.congestion",
        "policy.busy_poll_us"},
       problems);
  for (const Policy& policy : {service.policy, service.ports[0].policy}) {
    EXPECT_FALSE(policy.prefer_zone);
    EXPECT_EQ(policy.health.panic_percent, 0u);
    EXPECT_EQ(policy.health.type, HealthType::kTcp);
    EXPECT_EQ(policy.slow_start_s, 30u);
  }
  EXPECT_EQ(problems.size(), 2u) << "each is said once";
}

TEST(Trim, WithoutGroupsThoseThatWereToHaveNobodyStillHaveNobody) {
  Service service = balanced();
  auto& port = service.ports[0];
  port.policy = {};
  service.policy = {};
  port.groups = {{"a", 1, {}}, {"b", 0, {}}};
  port.backends.resize(2);
  port.backends[0].group = "a";
  port.backends[1].group = "b";
  std::vector<Problem> problems;
  trim(service, {"protocol=tcp"}, problems);
  EXPECT_TRUE(port.groups.empty());
  EXPECT_EQ(port.backends[0], Backend{});
  EXPECT_EQ(port.backends[1].group, "");
  EXPECT_EQ(port.backends[1].weight, 0);
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_EQ(problems[0].message, "the data plane does not understand ports.groups");
}

Service ending_tls() {
  Service out;
  out.key = "file/web";
  for (const uint16_t number : {80, 443}) out.ports.emplace_back().port = number;
  TlsPolicy& tls = out.ports[1].tls;
  tls.mode = TlsMode::kTerminate;
  tls.certificates = {"file/a"};
  return out;
}

std::set<std::string> but_for(const std::string& feature) {
  std::set<std::string> out{"protocol=tcp", "ports.tls.mode=terminate", "ports.tls.alpn",
                            "ports.tls.client_authorities", "ports.tls.backend"};
  out.erase(feature);
  return out;
}

TEST(Trim, APortThatEndsTlsIsNeverServedInPlain) {
  for (const char* feature :
       {"ports.tls.mode=terminate", "ports.tls.client_authorities", "ports.tls.backend"}) {
    Service service = ending_tls();
    service.ports[1].tls.client_authorities = {"file/ca"};
    service.ports[1].tls.backend.emplace();
    std::vector<Problem> problems;
    trim(service, but_for(feature), problems);
    ASSERT_EQ(service.ports.size(), 1u) << feature;
    EXPECT_EQ(service.ports[0].port, 80);
    ASSERT_EQ(problems.size(), 1u);
    EXPECT_EQ(problems[0], (Problem{"UnsupportedByDataPlane",
                                    std::string("the data plane does not understand ") + feature,
                                    443, "TCP"}));
  }
}

TEST(Trim, APortThatEndsTlsNeedsNoMoreThanItAsksFor) {
  Service service = ending_tls();
  std::vector<Problem> problems;
  trim(service, {"protocol=tcp", "ports.tls.mode=terminate"}, problems);
  EXPECT_EQ(service, ending_tls());
  EXPECT_TRUE(problems.empty());
}

TEST(Trim, WithoutAlpnNothingIsAgreedOn) {
  Service service = ending_tls();
  service.ports[1].tls.alpn = {"h2"};
  std::vector<Problem> problems;
  trim(service, but_for("ports.tls.alpn"), problems);
  EXPECT_EQ(service, ending_tls());
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_EQ(problems[0].message, "the data plane does not understand ports.tls.alpn");
}

}  // namespace
}  // namespace lb::plan
