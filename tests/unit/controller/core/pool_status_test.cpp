// What the status of an AddressPool says.
#include "controller/core/pool_status.hpp"
#include "common/model/json.hpp"

#include <gmock/gmock.h>

#include "tests/unit/controller/core/builders.hpp"

namespace lb::plan {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

Pool named(const std::string& name, std::vector<const char*> ranges) {
  Pool out;
  out.name = name;
  out.creation_time = name;
  for (const char* range : ranges) out.ranges.push_back(pool(range));
  return out;
}

struct CapacityCase {
  const char* name;
  std::vector<const char*> ranges;
  uint64_t capacity;
};

class CapacityTest : public testing::TestWithParam<CapacityCase> {};

TEST_P(CapacityTest, CountsEachAddressOnce) {
  EXPECT_EQ(capacity_of(named("p", GetParam().ranges).ranges), GetParam().capacity);
}

INSTANTIATE_TEST_SUITE_P(
    Cases, CapacityTest,
    testing::Values(
        CapacityCase{"None", {}, 0}, CapacityCase{"One", {"192.0.2.1"}, 1},
        CapacityCase{"AcrossAByte", {"192.0.2.250-192.0.3.4"}, 11},
        CapacityCase{"AllOfV4", {"0.0.0.0/0"}, uint64_t{1} << 32},
        CapacityCase{"Apart", {"192.0.2.1-192.0.2.3", "192.0.2.9"}, 4},
        CapacityCase{"Within", {"192.0.2.0/28", "192.0.2.4-192.0.2.5"}, 16},
        CapacityCase{"Overlapping", {"192.0.2.4-192.0.2.9", "192.0.2.1-192.0.2.5"}, 9},
        CapacityCase{"BothFamilies", {"2001:db8::/126", "192.0.2.1"}, 5},
        CapacityCase{"UpToTheLastOfV4", {"255.255.255.254-255.255.255.255", "255.255.255.255"}, 2},
        CapacityCase{
            "JustBelowTheLimit", {"2001:db8::-2001:db8::1f:ffff:ffff:fffd"}, kMaxCapacity - 1},
        CapacityCase{"TheLimit", {"2001:db8::-2001:db8::1f:ffff:ffff:fffe"}, kMaxCapacity},
        CapacityCase{"BorrowedAtTheLimit", {"2001:db8::ff-2001:db8::20:0:0:0"}, kMaxCapacity - 253},
        CapacityCase{"AllOfASubnet", {"2001:db8::/64"}, kMaxCapacity},
        CapacityCase{"AllOfV6", {"::/0"}, kMaxCapacity},
        CapacityCase{"TwoThatAreTooLarge", {"2001:db8::/64", "2001:db9::/64"}, kMaxCapacity}),
    [](const auto& each) { return each.param.name; });

class PoolStatusTest : public testing::Test {
 protected:
  void give(const std::string& key, const char* address) {
    Claim claim;
    claim.requested = {ip(address)};
    claim.families = {ip(address).family()};
    ASSERT_FALSE(allocator.allocate(key, claim).problem);
  }
  PoolStatus of(const std::string& name) { return pool_statuses(allocator).at(name); }
  static std::vector<std::string> reasons(const PoolStatus& status) {
    std::vector<std::string> out;
    for (const auto& each : status.conflicts) out.push_back(each.reason);
    return out;
  }

  Allocator allocator{std::vector<Pool>{named("a", {"192.0.2.0/28"}), named("b", {"192.0.2.64"})}};
};

TEST_F(PoolStatusTest, CountsWhatIsInUseAndWhatRests) {
  give("one", "192.0.2.1");
  give("two", "192.0.2.2");
  allocator.release("two");
  const auto status = of("a");
  EXPECT_EQ(status.capacity, 16u);
  EXPECT_EQ(status.assigned, 1u);
  EXPECT_EQ(status.quarantined, 1u);
  EXPECT_THAT(status.conflicts, IsEmpty());
  EXPECT_EQ(of("b").assigned, 0u);
}

TEST_F(PoolStatusTest, AnAddressThatTwoShareIsOne) {
  for (const uint16_t port : {80, 81}) {
    Claim claim;
    claim.requested = {ip("192.0.2.1")};
    claim.share_key = "k";
    claim.ports = {{port, Protocol::kTcp, {}}};
    ASSERT_FALSE(allocator.allocate(std::to_string(port), claim).problem);
  }
  EXPECT_EQ(of("a").assigned, 1u);
}

TEST_F(PoolStatusTest, NamesAddressesThatOthersAnswerForAndThoseOfNodes) {
  allocator.mark_conflict(ip("192.0.2.5"));
  allocator.mark_conflict(ip("198.51.100.1"));  // in no pool
  allocator.set_blocked({ip("192.0.2.6"), ip("198.51.100.2")});
  const auto status = of("a");
  EXPECT_THAT(reasons(status), ElementsAre("AddressInUseOnNetwork", "AddressOfNode"));
  EXPECT_EQ(status.conflicts[0].message, "192.0.2.5 is used by another host on the network");
  EXPECT_THAT(of("b").conflicts, IsEmpty());
}

TEST_F(PoolStatusTest, TheYoungerOfTwoThatOverlapSaysSo) {
  allocator.set_pools({named("a", {"192.0.2.0/28"}), named("b", {"192.0.2.9-192.0.2.20"})});
  EXPECT_THAT(of("a").conflicts, IsEmpty());
  ASSERT_THAT(reasons(of("b")), ElementsAre("PoolOverlap"));
  EXPECT_EQ(of("b").conflicts[0].message, "addresses that pool a has too are that pool's");
}

TEST_F(PoolStatusTest, AnObjectThatCannotBeReadSaysWhy) {
  Pool faulty = named("a", {"192.0.2.0/28"});
  faulty.fault = "/spec/addresses/0 must be a range";
  allocator.set_pools({faulty});
  ASSERT_THAT(reasons(of("a")), ElementsAre("InvalidObject"));
  EXPECT_EQ(of("a").conflicts[0].message, faulty.fault);
}

TEST_F(PoolStatusTest, TheListOfConflictsEndsWhereTheDefinitionSays) {
  allocator.set_pools({named("a", {"192.0.2.0/24"})});
  for (int i = 0; i < 100; ++i) allocator.mark_conflict(ip("192.0.2." + std::to_string(i)));
  EXPECT_THAT(of("a").conflicts, SizeIs(kMaxPoolConflicts));
}

TEST_F(PoolStatusTest, ThePoolOfTheFlagsHasNoObjectToWriteTo) {
  EXPECT_THAT(pool_statuses(Allocator({pool("192.0.2.1")})), IsEmpty());
}

TEST_F(PoolStatusTest, IsWrittenAsAMergePatchThatEmptiesConflictsToo) {
  PoolStatus status{"a", 3, 2, 1, {}};
  EXPECT_EQ(json::parse(encode_pool_status(status)),
            json::parse(R"({"status": {"capacity": 3, "assigned": 2, "quarantined": 1,
                            "conflicts": []}})"));
  status.conflicts = {{"PoolOverlap", "m"}};
  EXPECT_EQ(json::parse(encode_pool_status(status))["status"]["conflicts"],
            json::parse(R"([{"reason": "PoolOverlap", "message": "m"}])"));
}

}  // namespace
}  // namespace lb::plan
