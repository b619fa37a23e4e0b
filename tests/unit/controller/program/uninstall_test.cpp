// What uninstall asks of the cluster, and what it says.
#include "controller/uninstall.hpp"

#include <gmock/gmock.h>

#include <sstream>

#include "tests/unit/controller/kube/scripted_client.hpp"

namespace lb::controller {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

constexpr char kNone[] = R"({"items":[]})";
constexpr char kOurs[] = R"({"items":[
  {"metadata":{"name":"web","namespace":"d","uid":"u","resourceVersion":"7","finalizers":[
    "empalme.io/service","service.kubernetes.io/load-balancer-cleanup"]},
   "spec":{"type":"LoadBalancer"},"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.1"}]},
   "conditions":[{"type":"empalme.io/Accepted","status":"True"},{"type":"theirs","status":"True"}]}},
  {"metadata":{"name":"other","namespace":"d","finalizers":[
    "service.kubernetes.io/load-balancer-cleanup"]},"spec":{"type":"LoadBalancer"}}]})";

class UninstallTest : public testing::Test {
 protected:
  int run() {
    kube::ScriptedClient client(script);
    return uninstall({.client = client, .pause = [this] { ++pauses; }, .patience = 5}, out,
                     problems);
  }
  kube::Script script;
  std::ostringstream out, problems;
  int pauses = 0;
};

TEST_F(UninstallTest, FreesOnlyWhatIsOurs) {
  script.add(200, kNone);
  script.add(200, kOurs);
  script.add(200, "{}");
  EXPECT_EQ(run(), 0);
  const auto asked = script.asked();
  ASSERT_THAT(asked, SizeIs(3));
  EXPECT_THAT(asked[2].target, HasSubstr("/namespaces/d/services/web/status"));
  EXPECT_THAT(asked[2].body, HasSubstr("$deleteFromPrimitiveList/finalizers"));
  EXPECT_THAT(asked[2].body, HasSubstr("\"ingress\":null"));
  EXPECT_EQ(asked[2].body.find("theirs"), std::string::npos);
  EXPECT_THAT(out.str(), HasSubstr("1 Service freed"));
  EXPECT_THAT(out.str(), HasSubstr("/var/lib/empalme"));
}

TEST_F(UninstallTest, StopsTheControllerFirstAndWaitsForItsEnd) {
  script.add(200, R"({"items":[{"metadata":{"name":"empalme","namespace":"empalme-system"}}]})");
  script.add(200, "{}");
  script.add(200, R"({"items":[{}]})");
  script.add(200, kNone);
  script.add(200, kNone);
  EXPECT_EQ(run(), 0);
  EXPECT_THAT(script.asked()[1].body, HasSubstr("\"replicas\":0"));
  EXPECT_EQ(pauses, 1);
}

TEST_F(UninstallTest, SaysWhatCouldNotBeFreed) {
  script.add(200, kNone);
  script.add(200, kOurs);
  script.add(403, "{}");
  EXPECT_EQ(run(), 1);
  EXPECT_THAT(problems.str(), HasSubstr("d/web: HTTP 403"));
}

TEST_F(UninstallTest, EndsWhenTheClusterCannotBeAsked) {
  script.fail("Connect");
  script.fail("Connect");
  EXPECT_EQ(run(), 2);
}

}  // namespace
}  // namespace lb::controller
