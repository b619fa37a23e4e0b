// What an AddressPool says, whom it is for, and where its next free address is.
#include "controller/core/pool.hpp"

#include <gmock/gmock.h>

#include "controller/core/pool_set.hpp"
#include "tests/unit/controller/core/builders.hpp"

namespace lb::plan {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Pool decoded(const std::string& spec) {
  const auto out = decode_pool(R"({"metadata": {"name": "p", "creationTimestamp":
      "2026-01-01T00:00:00Z"}, "spec": )" +
                               spec + "}");
  EXPECT_TRUE(out) << (out ? "" : out.error().message);
  return out ? *out : Pool{};
}

Error refusal(const std::string& spec) {
  const auto out = decode_pool(R"({"metadata": {"name": "p"}, "spec": )" + spec + "}");
  EXPECT_FALSE(out) << spec;
  return out ? Error{} : out.error();
}

TEST(Pool, ReadsRangesCidrsAndSingleAddressesOfBothFamilies) {
  const Pool read =
      decoded(R"({"addresses": ["192.0.2.0/28", "198.51.100.1-198.51.100.9", "2001:db8::1"]})");
  EXPECT_EQ(read.name, "p");
  EXPECT_EQ(read.ranges.size(), 3u);
  EXPECT_TRUE(read.has(Family::kV4));
  EXPECT_TRUE(read.has(Family::kV6));
  EXPECT_TRUE(read.contains(ip("198.51.100.9")));
  EXPECT_FALSE(read.contains(ip("192.0.2.16")));
}

TEST(Pool, HasDefaultsForAllThatIsNotSaid) {
  const Pool read = decoded(R"({"addresses": ["192.0.2.1"], "future": true, "priority": null})");
  EXPECT_TRUE(read.auto_assign);
  EXPECT_TRUE(read.avoid_first_last);
  EXPECT_EQ(read.priority, 0);
  EXPECT_EQ(read.reuse_quarantine_s, kDefaultQuarantineS);
  EXPECT_FALSE(read.deleting);
}

TEST(Pool, NamesTheAddressThatCannotBeUsed) {
  EXPECT_EQ(refusal(R"({"addresses": ["192.0.2.1", "here"]})").pointer, "/spec/addresses/1");
  EXPECT_EQ(refusal(R"({"addresses": ["169.254.0.0/24"]})").pointer, "/spec/addresses/0");
  EXPECT_EQ(refusal(R"({"addresses": ["127.0.0.1"]})").pointer, "/spec/addresses/0");
}

TEST(Pool, APriorityIsANumberOf32BitsWithASign) {
  const auto of = [](const std::string& value) {
    return R"({"addresses": ["192.0.2.1"], "priority": )" + value + "}";
  };
  EXPECT_EQ(decoded(of("-2147483648")).priority, INT32_MIN);
  EXPECT_EQ(decoded(of("2147483647")).priority, INT32_MAX);
  for (const char* bad : {"2147483648", "-2147483649", "18446744073709551615", "1.5"}) {
    EXPECT_EQ(refusal(of(bad)).pointer, "/spec/priority") << bad;
  }
}

TEST(Pool, NamesTheFieldOfTheWrongType) {
  EXPECT_EQ(refusal(R"({"priority": "high"})").pointer, "/spec/priority");
  EXPECT_EQ(refusal(R"({"reuseQuarantineSeconds": -1})").pointer, "/spec/reuseQuarantineSeconds");
  EXPECT_EQ(
      refusal(R"({"serviceSelector": {"matchExpressions": [{"key": "a", "operator": "Gt"}]}})")
          .pointer,
      "/spec/serviceSelector/matchExpressions/0/operator");
}

struct SelectorCase {
  const char* name;
  const char* selector;
  Labels labels;
  bool matches;
};

class SelectorTest : public testing::TestWithParam<SelectorCase> {};

TEST_P(SelectorTest, MatchesAsTheApiSays) {
  const Pool read = decoded(std::string(R"({"serviceSelector": )") + GetParam().selector + "}");
  EXPECT_EQ(read.admits({"default", {}, GetParam().labels, ""}), GetParam().matches);
}

INSTANTIATE_TEST_SUITE_P(
    Cases, SelectorTest,
    testing::Values(
        SelectorCase{"Empty", "{}", {}, true},
        SelectorCase{"LabelSame", R"({"matchLabels": {"a": "1"}})", {{"a", "1"}}, true},
        SelectorCase{"LabelOther", R"({"matchLabels": {"a": "1"}})", {{"a", "2"}}, false},
        SelectorCase{"LabelAbsent", R"({"matchLabels": {"a": "1"}})", {}, false},
        SelectorCase{"In",
                     R"({"matchExpressions": [{"key": "a", "operator": "In", "values": ["1"]}]})",
                     {{"a", "1"}},
                     true},
        SelectorCase{"InAbsent",
                     R"({"matchExpressions": [{"key": "a", "operator": "In", "values": ["1"]}]})",
                     {},
                     false},
        SelectorCase{
            "NotIn",
            R"({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1"]}]})",
            {{"a", "1"}},
            false},
        SelectorCase{
            "NotInAbsent",
            R"({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1"]}]})",
            {},
            true},
        SelectorCase{"Exists",
                     R"({"matchExpressions": [{"key": "a", "operator": "Exists"}]})",
                     {{"a", ""}},
                     true},
        SelectorCase{"DoesNotExist",
                     R"({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]})",
                     {{"a", ""}},
                     false}),
    [](const auto& each) { return each.param.name; });

TEST(Pool, IsForItsNamespacesAndForThoseItSelects) {
  const Pool read =
      decoded(R"({"namespaces": ["shop"], "namespaceSelector": {"matchLabels": {"team": "web"}}})");
  EXPECT_TRUE(read.admits({"shop", {}, {}, ""}));
  EXPECT_TRUE(read.admits({"blog", {{"team", "web"}}, {}, ""}));
  EXPECT_FALSE(read.admits({"blog", {}, {}, ""}));
}

TEST(Pool, AvoidsTheEdgesOfItsCidrsAndSubnetsOnlyWhenTold) {
  const Pool shy = decoded(R"({"addresses": ["192.0.2.16/28", "198.51.100.255"]})");
  EXPECT_TRUE(shy.avoids(ip("192.0.2.16")));
  EXPECT_TRUE(shy.avoids(ip("192.0.2.31")));
  EXPECT_FALSE(shy.avoids(ip("192.0.2.17")));
  EXPECT_FALSE(shy.avoids(ip("198.51.100.255"))) << "an address that stands alone is meant";
  const Pool bold = decoded(R"({"addresses": ["192.0.2.0/24"], "avoidFirstLast": false})");
  EXPECT_FALSE(bold.avoids(ip("192.0.2.0")));
}

Pool named(const std::string& name, const char* range, const std::string& created = "1") {
  Pool out = flags_pool({pool(range)});
  out.name = name;
  out.creation_time = created;
  return out;
}

TEST(PoolSet, TheOlderPoolThenTheFirstByNameOwnsAnOverlap) {
  const PoolSet pools({named("a", "192.0.2.1-192.0.2.9", "2"), named("b", "192.0.2.5-192.0.2.20"),
                       named("c", "192.0.2.20-192.0.2.30")});
  EXPECT_EQ(pools.owner(ip("192.0.2.4"))->name, "a");
  EXPECT_EQ(pools.owner(ip("192.0.2.5"))->name, "b");
  EXPECT_EQ(pools.owner(ip("192.0.2.20"))->name, "b");
  EXPECT_EQ(pools.owner(ip("192.0.2.31")), nullptr);
  EXPECT_THAT(pools.overlapped(named("a", "192.0.2.1-192.0.2.9", "2")), ElementsAre("b"));
  EXPECT_THAT(pools.overlapped(pools.all().front()), IsEmpty());
}

TEST(PoolSet, ASecondPickLooksAtNothingThatTheFirstHasSeen) {
  PoolSet pools({named("a", "10.0.0.0-10.0.255.255")});
  std::set<IpAddress> used;
  const auto free = [&](const IpAddress& each) { return !used.contains(each); };
  constexpr uint64_t kPicks = 20'000;
  for (uint64_t i = 0; i < kPicks; ++i) {
    const auto next = pools.next_free(pools.all().front(), Family::kV4, free);
    ASSERT_TRUE(next);
    ASSERT_TRUE(used.insert(*next).second);
  }
  EXPECT_LT(pools.steps(), 3 * kPicks);
}

TEST(PoolSet, FreedAddressesComeBackWithoutASearch) {
  PoolSet pools({named("a", "10.0.0.0-10.0.255.255")});
  std::set<IpAddress> used;
  const auto free = [&](const IpAddress& each) { return !used.contains(each); };
  const auto next = [&] { return *pools.next_free(pools.all().front(), Family::kV4, free); };
  for (int i = 0; i < 10'000; ++i) used.insert(next());
  const uint64_t before = pools.steps();
  for (int i = 0; i < 1'000; ++i) {
    used.erase(ip("10.0.0.7"));
    pools.freed(ip("10.0.0.7"));
    ASSERT_EQ(next(), ip("10.0.0.7"));
    used.insert(ip("10.0.0.7"));
    used.insert(next());
  }
  EXPECT_LT(pools.steps() - before, 6'000u);
}

}  // namespace
}  // namespace lb::plan
