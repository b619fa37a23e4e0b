// Who gets which address, and why not.
#include "controller/core/allocator.hpp"

#include <gmock/gmock.h>

#include "tests/unit/controller/core/builders.hpp"

namespace lb::plan {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

Claim any(std::string created = "1") {
  Claim out;
  out.families = {Family::kV4};
  out.creation_time = std::move(created);
  return out;
}
Claim asks(const char* address, std::string created = "1") {
  Claim out = any(std::move(created));
  out.requested = {ip(address)};
  return out;
}
Claim has(const char* address, std::string created = "1") {
  Claim out = any(std::move(created));
  out.assigned = {ip(address)};
  return out;
}

class AllocatorTest : public testing::Test {
 protected:
  std::string get(const std::string& key, Claim claim) {
    const auto out = allocator.allocate(key, std::move(claim));
    if (out.problem) return out.problem->reason;
    std::string text;
    for (const auto& address : out.addresses)
      text += (text.empty() ? "" : ",") + address.to_string();
    return text;
  }
  Allocator allocator{{pool("192.0.2.10-192.0.2.12")}};
};

TEST_F(AllocatorTest, GivesTheFirstFreeAddress) {
  EXPECT_EQ(get("a", any()), "192.0.2.10");
  EXPECT_EQ(get("b", any()), "192.0.2.11");
}

TEST_F(AllocatorTest, GivesTheSameAgain) {
  get("a", any());
  EXPECT_EQ(get("a", any()), "192.0.2.10");
}

TEST_F(AllocatorTest, KeepsWhatIsInTheStatus) {
  EXPECT_EQ(get("a", has("192.0.2.12")), "192.0.2.12");
}

TEST_F(AllocatorTest, DoesNotTrustAStatusOutsideThePools) {
  EXPECT_EQ(get("a", has("203.0.113.1")), "192.0.2.10");
}

TEST_F(AllocatorTest, GivesWhatIsAskedFor) {
  EXPECT_EQ(get("a", asks("192.0.2.12")), "192.0.2.12");
}

TEST_F(AllocatorTest, RefusesARequestOutsideThePools) {
  EXPECT_EQ(get("a", asks("203.0.113.1")), "AddressNotInPool");
}

TEST_F(AllocatorTest, TheOlderOfTwoRequestsWinsWhoeverComesFirst) {
  EXPECT_EQ(get("young", asks("192.0.2.10", "2")), "192.0.2.10");
  EXPECT_EQ(get("old", asks("192.0.2.10", "1")), "192.0.2.10");
  EXPECT_THAT(allocator.take_changed(), ElementsAre("young"));
  EXPECT_EQ(get("young", asks("192.0.2.10", "2")), "AddressTaken");
}

TEST_F(AllocatorTest, AStatusBeatsARequest) {
  EXPECT_EQ(get("asks", asks("192.0.2.10", "1")), "192.0.2.10");
  EXPECT_EQ(get("has", has("192.0.2.10", "2")), "192.0.2.10");
  EXPECT_EQ(get("asks", asks("192.0.2.10", "1")), "AddressTaken");
}

TEST_F(AllocatorTest, ARequestBeatsWhatWasMerelyPicked) {
  EXPECT_EQ(get("picked", any("1")), "192.0.2.10");
  EXPECT_EQ(get("asks", asks("192.0.2.10", "2")), "192.0.2.10");
  EXPECT_THAT(allocator.take_changed(), ElementsAre("picked"));
  EXPECT_EQ(get("picked", any("1")), "192.0.2.11");
}

TEST_F(AllocatorTest, ClaimsThatAreRegisteredFirstAreNotPickedByOthers) {
  allocator.claim("has", has("192.0.2.10"));
  EXPECT_EQ(get("new", any()), "192.0.2.11");
}

TEST_F(AllocatorTest, SaysThatThePoolIsExhausted) {
  for (const char* key : {"a", "b", "c"}) get(key, any());
  EXPECT_EQ(get("d", any()), "PoolExhausted");
  EXPECT_EQ(allocator.usage().waiting, 1u);
}

TEST_F(AllocatorTest, AFreedAddressGoesToWhoeverWaits) {
  for (const char* key : {"a", "b", "c", "d"}) get(key, any());
  allocator.release("b");
  EXPECT_THAT(allocator.take_changed(), ElementsAre("d"));
  EXPECT_EQ(get("d", any()), "192.0.2.11");
}

TEST_F(AllocatorTest, AFreedAddressRestsWhileAnotherIsFree) {
  get("a", any());
  allocator.release("a");
  EXPECT_EQ(get("b", any()), "192.0.2.11");
  allocator.end_quarantine(ip("192.0.2.10"));
  EXPECT_EQ(get("c", any()), "192.0.2.10");
}

TEST_F(AllocatorTest, TheLongestRestedIsUsedFirst) {
  for (const char* key : {"a", "b", "c"}) get(key, any());
  allocator.release("b");
  allocator.release("a");
  EXPECT_EQ(get("d", any()), "192.0.2.11");
}

TEST_F(AllocatorTest, ADeniedRequestIsGrantedOnceTheAddressIsFree) {
  get("first", asks("192.0.2.10", "1"));
  get("second", asks("192.0.2.10", "2"));
  allocator.release("first");
  EXPECT_THAT(allocator.take_changed(), ElementsAre("second"));
  EXPECT_EQ(get("second", asks("192.0.2.10", "2")), "192.0.2.10");
}

TEST_F(AllocatorTest, ADroppedRequestFreesTheAddressForTheOther) {
  get("first", asks("192.0.2.10", "1"));
  get("second", asks("192.0.2.10", "2"));
  EXPECT_EQ(get("first", asks("192.0.2.11", "1")), "192.0.2.11");
  EXPECT_THAT(allocator.take_changed(), ElementsAre("second"));
  EXPECT_EQ(get("second", asks("192.0.2.10", "2")), "192.0.2.10");
}

TEST_F(AllocatorTest, MovesToTheRequestedAddressAwayFromItsStatus) {
  Claim claim = asks("192.0.2.12");
  claim.assigned = {ip("192.0.2.10")};
  EXPECT_EQ(get("a", claim), "192.0.2.12");
  EXPECT_EQ(get("b", asks("192.0.2.10", "9")), "192.0.2.10") << "given up, although in the status";
}

TEST_F(AllocatorTest, AvoidsAnAddressThatAnotherHostUses) {
  get("a", any());
  allocator.mark_conflict(ip("192.0.2.10"));
  EXPECT_THAT(allocator.take_changed(), ElementsAre("a"));
  EXPECT_EQ(get("a", any()), "192.0.2.11");
  EXPECT_EQ(get("b", asks("192.0.2.10")), "AddressInUseOnNetwork");
  allocator.end_conflict(ip("192.0.2.10"));
  EXPECT_THAT(allocator.take_changed(), ElementsAre("b"));
  EXPECT_EQ(get("b", asks("192.0.2.10")), "192.0.2.10");
}

TEST_F(AllocatorTest, NeverGivesTheAddressOfANode) {
  get("a", any());
  allocator.set_blocked({ip("192.0.2.10")});
  EXPECT_EQ(get("a", any()), "192.0.2.11");
  EXPECT_EQ(get("b", asks("192.0.2.10")), "AddressOfNode");
}

TEST(AllocatorFamilies, DualStackTakesOneOfEach) {
  Allocator allocator({pool("192.0.2.10-192.0.2.12"), pool("2001:db8::10-2001:db8::12")});
  Claim claim;
  claim.families = {Family::kV6, Family::kV4};
  claim.every_family = true;
  EXPECT_THAT(allocator.allocate("a", claim).addresses,
              ElementsAre(ip("2001:db8::10"), ip("192.0.2.10")));
}

TEST(AllocatorFamilies, PreferredDualStackIsContentWithOne) {
  Allocator allocator({pool("192.0.2.10-192.0.2.12")});
  Claim claim;
  claim.families = {Family::kV4, Family::kV6};
  EXPECT_THAT(allocator.allocate("a", claim).addresses, ElementsAre(ip("192.0.2.10")));
}

TEST(AllocatorFamilies, RequiredDualStackIsAllOrNothing) {
  Allocator allocator({pool("192.0.2.10-192.0.2.12")});
  Claim claim;
  claim.families = {Family::kV4, Family::kV6};
  claim.every_family = true;
  const auto out = allocator.allocate("a", claim);
  EXPECT_THAT(out.addresses, IsEmpty());
  EXPECT_EQ(out.problem->reason, "NoPool");
}

TEST(AllocatorPools, LeavesNetworkAndBroadcastToThoseWhoAsk) {
  Allocator allocator({pool("192.0.2.0/24")});
  EXPECT_THAT(allocator.allocate("a", any()).addresses, ElementsAre(ip("192.0.2.1")));
  EXPECT_THAT(allocator.allocate("b", asks("192.0.2.0")).addresses, ElementsAre(ip("192.0.2.0")));
}

TEST(AllocatorPools, WithoutAnyPoolSaysSo) {
  Allocator allocator;
  EXPECT_EQ(allocator.allocate("a", any()).problem->reason, "NoPool");
}

}  // namespace
}  // namespace lb::plan
