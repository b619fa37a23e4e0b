// Who goes on with what a former listener counted, and what it costs to ask for thousands of them.
#include "dataplane/proxy/heirs.hpp"

#include <gtest/gtest.h>

namespace lb::proxy {
namespace {

class HeirsTest : public testing::Test {
 protected:
  static Service named(const std::string& key, const std::string& name, uint16_t port = 443) {
    ServicePort at;
    at.port = port;
    at.match.names = {name};
    return {key, {IpAddress::v4(0x7f000001)}, {at}, {}};
  }
  static ListenerId id(const std::string& name, uint16_t port = 443) {
    return {{IpAddress::v4(0x7f000001), port}, Protocol::kTcp, {{name}, {}}};
  }
  static std::vector<Service> many(const std::string& prefix, size_t count) {
    std::vector<Service> out;
    for (size_t i = 0; i < count; ++i) {
      out.push_back(named(prefix + std::to_string(i), "n" + std::to_string(i) + ".example"));
    }
    return out;
  }

  // Gives what was planned before.
  PlannedListeners plan(std::vector<Service> services) {
    DesiredState next{{1, ++generation_}, std::move(services)};
    normalise(next);
    auto before = planner_.planned();
    planner_.plan(std::make_shared<const DesiredState>(std::move(next)), 0);
    return before;
  }

  ListenerPlanner planner_{2};
  uint64_t generation_ = 0;
};

TEST_F(HeirsTest, AServiceThatChangesItsMatchIsItsOwnHeir) {
  plan({named("a", "one.example"), named("b", "two.example")});
  const auto before = plan({named("a", "other.example"), named("b", "two.example")});
  Heirs heirs(planner_.planned());
  const ListenerId* heir = heirs.of(id("one.example"), *before.at(id("one.example")).config);
  ASSERT_NE(heir, nullptr);
  EXPECT_EQ(*heir, id("other.example"));
}

TEST_F(HeirsTest, AnotherServiceIsNone) {
  plan({named("a", "one.example")});
  const auto before = plan({named("b", "one.example")});
  Heirs heirs(planner_.planned());
  EXPECT_EQ(heirs.of(id("one.example"), *before.at(id("one.example")).config), nullptr);
}

TEST_F(HeirsTest, NobodyOfAnotherDoorIs) {
  plan({named("a", "one.example")});
  const auto before = plan({named("a", "one.example", 444)});
  Heirs heirs(planner_.planned());
  EXPECT_EQ(heirs.of(id("one.example"), *before.at(id("one.example")).config), nullptr);
  EXPECT_EQ(heirs.looked_at(), 0u);
}

TEST_F(HeirsTest, ADoorIsGoneThroughOnceForAllThatLeaveIt) {
  constexpr size_t kMany = 500;
  plan(many("a", kMany));
  const auto before = plan(many("b", kMany));
  Heirs heirs(planner_.planned());
  for (int again = 0; again < 2; ++again) {
    for (const auto& [id, former] : before) EXPECT_EQ(heirs.of(id, *former.config), nullptr);
  }
  EXPECT_EQ(heirs.looked_at(), kMany);
}

}  // namespace
}  // namespace lb::proxy
