// A Service whose Secrets are not read yet stays as it is.
#include <gmock/gmock.h>

#include "tests/unit/controller/core/builders.hpp"

namespace lb::plan {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class AwaitedCertificatesTest : public testing::Test {
 protected:
  AwaitedCertificatesTest() {
    web.annotated("empalme.io/tls.secrets", "web-tls");
    put();
    world.awaited_certificates = {"kubernetes/default/web-tls"};
  }
  void put() { world.services[web.key()] = web.source(); }
  ServicePlan plan() { return plan_service(world, allocator, web.key()); }

  World world;
  Allocator allocator{{pool("192.0.2.10-192.0.2.12")}};
  ServiceBuilder web = service("web");
};

TEST_F(AwaitedCertificatesTest, IsNotPublishedAndNothingIsSaidOfIt) {
  const auto out = plan();
  EXPECT_EQ(out.desired, std::nullopt);
  EXPECT_EQ(out.patch, std::nullopt);
  EXPECT_THAT(out.events, IsEmpty());
}

TEST_F(AwaitedCertificatesTest, IsPublishedOnceTheyAreHeardOf) {
  plan();
  world.awaited_certificates.clear();
  const auto out = plan();
  ASSERT_TRUE(out.desired);
  EXPECT_THAT(out.desired->ports.at(0).tls.certificates, ElementsAre("kubernetes/default/web-tls"));
}

TEST_F(AwaitedCertificatesTest, HasItsAddressAllTheSame) {
  plan();
  EXPECT_TRUE(allocator.held_by_other("kubernetes/default/other", ip("192.0.2.10")));
}

TEST_F(AwaitedCertificatesTest, GoesOnAsItIsPublished) {
  world.awaited_certificates.clear();
  const Service before = *plan().desired;
  world.published[web.key()] = {std::make_shared<const Service>(before)};
  web.annotated("empalme.io/tls.secrets", "web-tls, new-tls");
  put();
  world.awaited_certificates = {"kubernetes/default/new-tls"};
  EXPECT_EQ(plan().desired, before);
}

TEST_F(AwaitedCertificatesTest, DoesNotWaitForWhatItIsPublishedWith) {
  world.awaited_certificates.clear();
  world.published[web.key()] = {std::make_shared<const Service>(*plan().desired)};
  world.awaited_certificates = {"kubernetes/default/web-tls"};
  web.annotated("empalme.io/deny-ranges", "192.0.2.0/24");
  put();
  EXPECT_FALSE(plan().desired->policy.deny_ranges.empty()) << "after a restart of the controller";
}

TEST_F(AwaitedCertificatesTest, IsTornDownWithoutWaiting) {
  web.deleting();
  put();
  EXPECT_FALSE(plan().patch->remove_finalizers.empty());
}

TEST_F(AwaitedCertificatesTest, DoesNotWaitForWhatOthersName) {
  world.awaited_certificates = {"kubernetes/default/another"};
  EXPECT_TRUE(plan().desired);
}

}  // namespace
}  // namespace lb::plan
