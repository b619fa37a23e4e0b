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

}  // namespace
}  // namespace lb::plan
