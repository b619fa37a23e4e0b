// What a Service may ask for by annotation, and what becomes of what it may not.
#include "controller/core/annotations.hpp"

#include <gmock/gmock.h>

#include "controller/core/privilege.hpp"
#include "tests/unit/controller/core/builders.hpp"

namespace lb::plan {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

TEST(Annotations, SetEveryKindOfField) {
  const auto out = service("web")
                       .annotated("empalme.io/balance", "maglev")
                       .annotated("empalme.io/connect-timeout-ms", " 500 ")
                       .annotated("empalme.io/half-close", "false")
                       .annotated("empalme.io/source-ranges", "10.0.0.0/8, 192.0.2.7/32")
                       .annotated("empalme.io/health.type", "http")
                       .annotated("empalme.io/health.path", "/ready")
                       .annotated("empalme.io/health.host", "10")
                       .annotated("empalme.io/ejection.refused", "7")
                       .source();
  EXPECT_THAT(out.problems, IsEmpty());
  EXPECT_EQ(out.policy.balance, Balance::kMaglev);
  EXPECT_EQ(out.policy.connect_timeout_ms, 500u);
  EXPECT_FALSE(out.policy.half_close);
  EXPECT_THAT(out.policy.source_ranges, SizeIs(2));
  EXPECT_EQ(out.policy.health.type, HealthType::kHttp);
  EXPECT_EQ(out.policy.health.path, "/ready");
  EXPECT_EQ(out.policy.health.host, "10") << "a number where a word is wanted";
  EXPECT_EQ(out.policy.ejection.refused, 7u);
  EXPECT_EQ(out.policy, out.ports.at(0).policy);
}

TEST(Annotations, ThoseOfAPortOverrideTheServices) {
  const auto out = service("web")
                       .port(443)
                       .annotated("empalme.io/idle-timeout-s", "60")
                       .annotated("empalme.io/port.p443.idle-timeout-s", "600")
                       .annotated("empalme.io/port.80.health.type", "tcp")
                       .source();
  EXPECT_THAT(out.problems, IsEmpty());
  EXPECT_EQ(out.ports.at(0).policy.idle_timeout_s, 60u);
  EXPECT_EQ(out.ports.at(0).policy.health.type, HealthType::kTcp);
  EXPECT_EQ(out.ports.at(1).policy.idle_timeout_s, 600u);
  EXPECT_EQ(out.policy.idle_timeout_s, 60u);
}

TEST(Annotations, AWrongValueIsNamedAndLeavesTheDefault) {
  const auto out = service("web").annotated("empalme.io/connect-timeout-ms", "soon").source();
  ASSERT_THAT(out.problems, SizeIs(1));
  EXPECT_EQ(out.problems[0].reason, "InvalidAnnotation");
  EXPECT_THAT(out.problems[0].message, HasSubstr("empalme.io/connect-timeout-ms"));
  EXPECT_FALSE(out.problems[0].blocks);
  EXPECT_EQ(out.policy, Policy{});
}

TEST(Annotations, AGuardThatCannotBeReadBlocksTheService) {
  for (const char* name : {"empalme.io/source-ranges", "empalme.io/max-connections-per-source"}) {
    const auto out = service("web").annotated(name, "banana").source();
    ASSERT_THAT(out.problems, SizeIs(1)) << name;
    EXPECT_TRUE(out.problems[0].blocks) << name;
  }
}

TEST(Annotations, AWrongItemOfAListIsNamed) {
  const auto out =
      service("web").annotated("empalme.io/source-ranges", "banana,10.0.0.0/8").source();
  ASSERT_THAT(out.problems, SizeIs(1));
  EXPECT_THAT(out.problems[0].message, HasSubstr("banana"));
}

TEST(Annotations, UnknownFieldsAndPortsAreNamed) {
  const auto out = service("web")
                       .annotated("empalme.io/frobnicate", "1")
                       .annotated("empalme.io/port.nope.balance", "maglev")
                       .annotated("empalme.io/port", "x")
                       .source();
  ASSERT_THAT(out.problems, SizeIs(3));
  EXPECT_THAT(out.problems[0].message, HasSubstr("empalme.io/frobnicate"));
  EXPECT_THAT(out.problems[2].message, HasSubstr("no port nope"));
}

TEST(Annotations, ThoseOfOthersAreNotLookedAt) {
  const auto out = service("web").annotated("example.com/balance", "banana").source();
  EXPECT_THAT(out.problems, IsEmpty());
}

TEST(Annotations, OverrideWhatTheSpecSays) {
  auto builder = service("web").affinity().annotated("empalme.io/affinity-seconds", "60");
  EXPECT_EQ(builder.source().policy.affinity_seconds, 60u);
}

TEST(Privileges, AreWithheldUnlessTheNamespaceIsAllowed) {
  Service asked;
  asked.policy.busy_poll_us = 50;
  asked.ports.emplace_back().policy.congestion = "bbr";
  Service desired = asked;
  std::vector<Problem> problems;
  withhold_privileges(desired, "default", {"trusted"}, problems);
  EXPECT_EQ(desired.policy, Policy{});
  EXPECT_EQ(desired.ports[0].policy, Policy{});
  ASSERT_THAT(problems, SizeIs(2));
  EXPECT_EQ(problems[0].reason, "PolicyNotAllowed");
  problems.clear();
  desired = asked;
  withhold_privileges(desired, "trusted", {"trusted"}, problems);
  EXPECT_EQ(desired, asked);
  withhold_privileges(desired, "any", {"*"}, problems);
  EXPECT_EQ(desired, asked);
  EXPECT_THAT(problems, IsEmpty());
}

TEST(TrafficPolicy, LocalIsSaidNotToKeepTheClientsAddressUnlessBackendsAreTold) {
  auto web = service("web");
  web.object().external_traffic_policy = "Local";
  ASSERT_THAT(web.source().problems, SizeIs(1));
  EXPECT_EQ(web.source().problems[0].reason, "SourceAddressNotPreserved");
  web.annotated("empalme.io/proxy-protocol", "v2");
  EXPECT_THAT(web.source().problems, IsEmpty());
}

}  // namespace
}  // namespace lb::plan
