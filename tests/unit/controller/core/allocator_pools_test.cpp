// Several pools: which one a Service gets its address from, sharing, and edits under way.
#include <gmock/gmock.h>

#include "controller/core/allocator.hpp"
#include "tests/unit/controller/core/builders.hpp"

namespace lb::plan {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

Pool named(const std::string& name, std::vector<const char*> ranges) {
  Pool out;
  out.name = name;
  out.creation_time = name;
  for (const char* range : ranges) out.ranges.push_back(pool(range));
  return out;
}
Pool ranked(Pool base, int32_t priority) { return base.priority = priority, base; }
Pool on_request(Pool base) { return base.auto_assign = false, base; }
Pool only_for(Pool base, const std::string& ns) { return base.namespaces = {ns}, base; }

struct Wish : Claim {
  Wish() {
    families = {Family::kV4};
    creation_time = "1";
    who.ns = "default";
  }
  Wish& in(const std::string& ns) { return who.ns = ns, *this; }
  Wish& created(const std::string& time) { return creation_time = time, *this; }
  Wish& from(const std::string& name) { return who.pool = name, *this; }
  Wish& asks(const char* address) { return requested = {ip(address)}, *this; }
  Wish& has(const char* address) { return assigned = {ip(address)}, *this; }
  Wish& serves(const char* address) { return served = {ip(address)}, *this; }
  Wish& of(std::vector<Family> list) { return families = std::move(list), *this; }
  Wish& all() { return every_family = true, *this; }
  Wish& shares(const std::string& key, uint16_t port, Protocol protocol = Protocol::kTcp) {
    share_key = key;
    ports = {{port, protocol, {}}};
    return *this;
  }
};

class Pools : public testing::Test {
 protected:
  void set(std::vector<Pool> pools) { allocator.set_pools(std::move(pools)); }
  std::string get(const std::string& key, const Claim& claim) {
    last = allocator.allocate(key, claim);
    if (last.problem) return last.problem->reason;
    std::string text;
    for (const auto& each : last.addresses) text += (text.empty() ? "" : ",") + each.to_string();
    return text;
  }
  std::string degraded() const { return last.degraded ? last.degraded->reason : ""; }

  Allocator allocator;
  Allocation last;
};

TEST_F(Pools, WithoutAPoolAServiceWaits) { EXPECT_EQ(get("a", Wish()), "NoPool"); }

TEST_F(Pools, AServiceThatWaitsIsWokenByAPool) {
  get("a", Wish());
  set({named("p", {"192.0.2.1-192.0.2.2"})});
  EXPECT_THAT(allocator.take_changed(), ElementsAre("a"));
  EXPECT_EQ(get("a", Wish()), "192.0.2.1");
}

TEST_F(Pools, TheHighestPriorityIsAskedFirstThenTheName) {
  set({named("b", {"192.0.2.20"}), named("a", {"192.0.2.10"}),
       ranked(named("z", {"192.0.2.30"}), 5)});
  EXPECT_EQ(get("1", Wish()), "192.0.2.30");
  EXPECT_EQ(get("2", Wish()), "192.0.2.10");
  EXPECT_EQ(get("3", Wish()), "192.0.2.20");
  EXPECT_EQ(get("4", Wish()), "PoolExhausted");
}

TEST_F(Pools, APoolWithoutAutoAssignGivesOnlyWhenItIsAskedFor) {
  set({on_request(named("p", {"192.0.2.1-192.0.2.9"}))});
  EXPECT_EQ(get("a", Wish()), "NoPool");
  EXPECT_EQ(get("b", Wish().asks("192.0.2.5")), "192.0.2.5");
  EXPECT_EQ(get("c", Wish().from("p")), "192.0.2.1");
}

TEST_F(Pools, Rule42ARequestedAddressOutsideEveryMatchingPoolIsRefused) {
  set({only_for(named("p", {"192.0.2.1-192.0.2.9"}), "shop")});
  EXPECT_EQ(get("a", Wish().asks("192.0.2.5")), "PoolNotAllowed");
  EXPECT_EQ(get("b", Wish().asks("203.0.113.5")), "AddressNotInPool");
  EXPECT_EQ(get("c", Wish().in("shop").asks("192.0.2.5")), "192.0.2.5");
}

TEST_F(Pools, ARequestFromAnotherPoolThanTheOneNamedIsRefused) {
  set({named("p", {"192.0.2.1"}), named("q", {"192.0.2.9"})});
  EXPECT_EQ(get("a", Wish().from("p").asks("192.0.2.9")), "PoolNotAllowed");
}

TEST_F(Pools, ARefusedRequestKeepsNobodyFromTheAddress) {
  set({only_for(named("p", {"192.0.2.5"}), "shop")});
  EXPECT_EQ(get("a", Wish().asks("192.0.2.5").created("0")), "PoolNotAllowed");
  EXPECT_EQ(get("b", Wish().in("shop").asks("192.0.2.5")), "192.0.2.5");
}

TEST_F(Pools, WhoeverNamesAnotherPoolMovesThere) {
  set({named("p", {"192.0.2.1"}), named("q", {"192.0.2.9"})});
  EXPECT_EQ(get("a", Wish().from("p").has("192.0.2.1")), "192.0.2.1");
  EXPECT_EQ(get("a", Wish().from("q").has("192.0.2.1")), "192.0.2.9");
}

TEST_F(Pools, WhoeverNamesAPoolThatIsNotThereStaysWhereItIs) {
  set({named("p", {"192.0.2.1"})});
  EXPECT_EQ(get("a", Wish().from("gone").has("192.0.2.1")), "192.0.2.1");
  EXPECT_EQ(get("b", Wish().from("gone")), "NoPool");
}

TEST_F(Pools, AnEditThatTakesTheAddressOutOfTheNamedPoolMovesNobody) {
  set({named("p", {"192.0.2.1-192.0.2.9"}), named("q", {"192.0.2.20"})});
  get("a", Wish().from("p"));
  set({named("p", {"192.0.2.5"}), named("q", {"192.0.2.1", "192.0.2.20"})});
  EXPECT_EQ(get("a", Wish().from("p").has("192.0.2.1")), "192.0.2.1");
  EXPECT_EQ(degraded(), "AddressOutsidePools");
  EXPECT_EQ(get("a", Wish().from("q").has("192.0.2.1")), "192.0.2.1") << "it is there already";
  EXPECT_EQ(degraded(), "");
  EXPECT_EQ(get("a", Wish().from("p").has("192.0.2.1")), "192.0.2.5") << "it is asked to move";
}

TEST_F(Pools, ARestartAfterSuchAnEditMovesNobodyEither) {
  set({named("p", {"192.0.2.5"}), named("q", {"192.0.2.1"})});
  EXPECT_EQ(get("a", Wish().from("p").has("192.0.2.1")), "192.0.2.1");
  EXPECT_EQ(degraded(), "AddressOutsidePools");
  EXPECT_EQ(get("a", Wish().from("p").has("192.0.2.1")), "192.0.2.1");
  get("a", Wish().has("192.0.2.1"));
  EXPECT_EQ(get("a", Wish().from("p").has("192.0.2.1")), "192.0.2.5") << "named anew";
}

TEST_F(Pools, WhoeverNamesAPoolBeforeItIsThereMovesOnceItIs) {
  set({named("p", {"192.0.2.1"})});
  get("a", Wish().from("p"));
  EXPECT_EQ(get("a", Wish().from("q").has("192.0.2.1")), "192.0.2.1");
  set({named("p", {"192.0.2.1"}), named("q", {"192.0.2.9"})});
  EXPECT_EQ(get("a", Wish().from("q").has("192.0.2.1")), "192.0.2.9");
}

TEST_F(Pools, WhoeverNamesAPoolWithoutRoomWaitsForItHoweverOftenItIsLookedAt) {
  set({named("p", {"192.0.2.1"}), named("q", {"192.0.2.9"})});
  get("other", Wish().from("q"));
  get("a", Wish().from("p"));
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(get("a", Wish().from("q").has("192.0.2.1")), "PoolExhausted") << i;
  }
  allocator.release("other");
  EXPECT_EQ(get("a", Wish().from("q").has("192.0.2.1")), "192.0.2.9");
}

TEST_F(Pools, AConflictInThePoolItMovesToDoesNotSendItBack) {
  set({named("p", {"192.0.2.1"}), named("q", {"192.0.2.8-192.0.2.9"})});
  get("a", Wish().from("p"));
  ASSERT_EQ(get("a", Wish().from("q").has("192.0.2.1")), "192.0.2.8");
  allocator.mark_conflict(ip("192.0.2.8"));
  EXPECT_EQ(get("a", Wish().from("q").has("192.0.2.1")), "192.0.2.9");
}

TEST_F(Pools, AnAddressThatRestsIsNotGivenToWhoeverAsksForItWhileADataPlaneIsLost) {
  set({named("p", {"192.0.2.1-192.0.2.2"})});
  get("old", Wish().asks("192.0.2.1"));
  allocator.release("old");
  allocator.keep_resting(true);
  EXPECT_EQ(get("new", Wish().asks("192.0.2.1")), "DataPlaneLost");
  EXPECT_EQ(get("back", Wish().has("192.0.2.1")), "192.0.2.1") << "whose it is by its status";
}

TEST_F(Pools, AnAddressThatRestsIsNotGivenWhileADataPlaneIsLost) {
  set({named("p", {"192.0.2.1"})});
  get("old", Wish());
  allocator.release("old");
  allocator.keep_resting(true);
  EXPECT_EQ(get("new", Wish()), "DataPlaneLost");
  allocator.take_changed();
  allocator.keep_resting(false);
  EXPECT_THAT(allocator.take_changed(), ElementsAre("new"));
  EXPECT_EQ(get("new", Wish()), "192.0.2.1");
}

TEST_F(Pools, TheEndOfItsRestGivesItToWhoeverWaits) {
  set({named("p", {"192.0.2.1"})});
  get("old", Wish());
  allocator.release("old");
  allocator.keep_resting(true);
  EXPECT_EQ(get("new", Wish()), "DataPlaneLost");
  allocator.take_changed();
  allocator.end_quarantine(ip("192.0.2.1"));
  EXPECT_THAT(allocator.take_changed(), ElementsAre("new"));
  EXPECT_EQ(get("new", Wish()), "192.0.2.1");
}

TEST_F(Pools, WhereNothingRestsAFullPoolIsFullAlsoWhileADataPlaneIsLost) {
  set({named("p", {"192.0.2.1"})});
  get("old", Wish());
  allocator.keep_resting(true);
  EXPECT_EQ(get("new", Wish()), "PoolExhausted");
  EXPECT_EQ(get("old", Wish().asks("192.0.2.1")), "192.0.2.1");
}

TEST_F(Pools, Rule41ARemovedPoolKeepsAddressesInUse) {
  set({named("p", {"192.0.2.1-192.0.2.9"})});
  get("a", Wish());
  set({});
  EXPECT_EQ(get("a", Wish().has("192.0.2.1")), "192.0.2.1");
  EXPECT_EQ(degraded(), "AddressOutsidePools");
}

TEST_F(Pools, Rule41AShrunkPoolKeepsARequestedAddressInUse) {
  set({named("p", {"192.0.2.1-192.0.2.9"})});
  get("a", Wish().asks("192.0.2.9"));
  set({named("p", {"192.0.2.1-192.0.2.5"})});
  EXPECT_EQ(get("a", Wish().asks("192.0.2.9").has("192.0.2.9")), "192.0.2.9");
  EXPECT_EQ(degraded(), "AddressOutsidePools");
}

TEST_F(Pools, Rule41AfterARestartWhatADataPlaneHoldsIsKept) {
  set({named("p", {"192.0.2.1"})});
  EXPECT_EQ(get("a", Wish().has("203.0.113.1").serves("203.0.113.1")), "203.0.113.1");
  EXPECT_EQ(degraded(), "AddressOutsidePools");
}

TEST_F(Pools, AStatusOutsideEveryPoolThatNobodyHeldIsNotTrusted) {
  set({named("p", {"192.0.2.1"})});
  EXPECT_EQ(get("a", Wish().has("203.0.113.1")), "192.0.2.1");
  EXPECT_EQ(degraded(), "");
}

TEST_F(Pools, ANewSelectorMovesNobody) {
  set({named("p", {"192.0.2.1-192.0.2.9"})});
  get("a", Wish());
  set({only_for(named("p", {"192.0.2.1-192.0.2.9"}), "shop"), named("q", {"192.0.2.20"})});
  EXPECT_EQ(get("a", Wish().has("192.0.2.1")), "192.0.2.1");
  EXPECT_EQ(degraded(), "");
  EXPECT_EQ(get("b", Wish()), "192.0.2.20");
}

TEST_F(Pools, APoolThatIsBeingDeletedGivesNothingNew) {
  Pool going = named("p", {"192.0.2.1-192.0.2.9"});
  set({going});
  get("a", Wish());
  going.deleting = true;
  set({going});
  EXPECT_EQ(get("a", Wish().has("192.0.2.1")), "192.0.2.1");
  EXPECT_EQ(degraded(), "AddressOutsidePools");
  EXPECT_EQ(get("b", Wish()), "NoPool");
}

TEST_F(Pools, Rule40OfTwoClaimsFromStatusTheOlderServiceKeepsTheAddress) {
  set({named("p", {"192.0.2.1-192.0.2.9"})});
  allocator.claim("old", Wish().has("192.0.2.3").created("1"));
  allocator.claim("new", Wish().has("192.0.2.3").created("2"));
  EXPECT_NE(get("new", Wish().has("192.0.2.3").created("2")), "192.0.2.3");
  EXPECT_EQ(get("old", Wish().has("192.0.2.3").created("1")), "192.0.2.3");
}

TEST_F(Pools, ServicesOfOneKeyShareAnAddress) {
  set({named("p", {"192.0.2.1-192.0.2.9"})});
  EXPECT_EQ(get("a", Wish().shares("dns", 53)), "192.0.2.1");
  EXPECT_EQ(get("b", Wish().shares("dns", 53, Protocol::kUdp)), "192.0.2.1");
  EXPECT_EQ(get("c", Wish().shares("dns", 80)), "192.0.2.1");
  EXPECT_EQ(allocator.usage().assigned, 1u);
}

TEST_F(Pools, WhereAPortIsTakenASharerGetsAnAddressOfItsOwn) {
  set({named("p", {"192.0.2.1-192.0.2.9"})});
  get("a", Wish().shares("k", 80));
  EXPECT_EQ(get("b", Wish().shares("k", 80)), "192.0.2.2");
  EXPECT_EQ(get("c", Wish().shares("k", 80).asks("192.0.2.1")), "192.0.2.1") << "it asks for it";
  EXPECT_EQ(get("a", Wish().shares("k", 80)), "192.0.2.3");
}

TEST_F(Pools, OtherKeysAndOtherNamespacesShareNothing) {
  set({named("p", {"192.0.2.1-192.0.2.9"})});
  get("a", Wish().shares("k", 80));
  EXPECT_EQ(get("b", Wish().shares("other", 81).has("192.0.2.2")), "192.0.2.2");
  EXPECT_EQ(get("c", Wish().in("shop").shares("k", 82)), "192.0.2.3");
  EXPECT_EQ(get("d", Wish().shares("k", 83).asks("192.0.2.2").created("2")), "AddressTaken");
}

TEST_F(Pools, ASharedAddressRestsOnlyWhenTheLastHasLeft) {
  set({named("p", {"192.0.2.1-192.0.2.9"})});
  get("a", Wish().shares("k", 80));
  get("b", Wish().shares("k", 81));
  allocator.release("a");
  EXPECT_THAT(allocator.quarantined(), IsEmpty());
  allocator.release("b");
  EXPECT_THAT(allocator.quarantined(), ElementsAre(ip("192.0.2.1")));
}

TEST_F(Pools, APortThatASharerAddsPutsTheYoungerOneOut) {
  set({named("p", {"192.0.2.1-192.0.2.9"})});
  get("old", Wish().shares("k", 80).created("1").has("192.0.2.1"));
  get("new", Wish().shares("k", 81).created("2").has("192.0.2.1"));
  allocator.take_changed();
  EXPECT_EQ(get("old", Wish().shares("k", 81).created("1").has("192.0.2.1")), "192.0.2.1");
  EXPECT_THAT(allocator.take_changed(), ElementsAre("new"));
  EXPECT_EQ(get("new", Wish().shares("k", 81).created("2").has("192.0.2.1")), "192.0.2.2");
}

const std::vector<Family> kBoth = {Family::kV4, Family::kV6};

TEST_F(Pools, DualStackTakesBothFamiliesFromOnePool) {
  set({named("p", {"192.0.2.1", "2001:db8::1"})});
  EXPECT_EQ(get("a", Wish().of(kBoth).all()), "192.0.2.1,2001:db8::1");
}

TEST_F(Pools, DualStackTakesEachFamilyFromAPoolOfItsOwn) {
  set({named("four", {"192.0.2.1"}), named("six", {"2001:db8::1"})});
  EXPECT_EQ(get("a", Wish().of(kBoth).all()), "192.0.2.1,2001:db8::1");
}

TEST_F(Pools, PreferDualStackIsContentWithOneFamilyAndRequireIsNot) {
  set({named("four", {"192.0.2.1-192.0.2.5"})});
  EXPECT_EQ(get("prefer", Wish().of(kBoth)), "192.0.2.1");
  EXPECT_EQ(get("require", Wish().of(kBoth).all()), "NoPool");
}

TEST_F(Pools, SingleStackTakesNothingOfTheOtherFamily) {
  set({named("both", {"192.0.2.1", "2001:db8::1"})});
  EXPECT_EQ(get("a", Wish().of({Family::kV6})), "2001:db8::1");
}

TEST_F(Pools, PreferDualStackGrowsWhenAPoolOfTheOtherFamilyComes) {
  set({named("four", {"192.0.2.1"})});
  get("a", Wish().of(kBoth));
  set({named("four", {"192.0.2.1"}), named("six", {"2001:db8::1"})});
  EXPECT_EQ(get("a", Wish().of(kBoth).has("192.0.2.1")), "192.0.2.1,2001:db8::1");
}

TEST_F(Pools, UsageIsCountedByPool) {
  set({named("p", {"192.0.2.1-192.0.2.9"}), named("q", {"192.0.2.20"})});
  get("a", Wish().from("p"));
  get("b", Wish().from("p"));
  get("c", Wish().from("q"));
  allocator.release("b");
  allocator.mark_conflict(ip("192.0.2.9"));
  const auto usage = allocator.usage_by_pool();
  EXPECT_EQ(usage.at("p").assigned, 1u);
  EXPECT_EQ(usage.at("p").quarantined, 1u);
  EXPECT_EQ(usage.at("p").conflicts, 1u);
  EXPECT_EQ(usage.at("q").assigned, 1u);
}

TEST_F(Pools, TenThousandServicesCostAFewStepsEach) {
  set({named("p", {"10.0.0.0-10.0.255.255"})});
  for (int i = 0; i < 10'000; ++i) get(std::to_string(i), Wish());
  EXPECT_LT(allocator.pools().steps(), 40'000u);
}

TEST_F(Pools, WhoeverWaitsIsWokenByOneOfItsKeyThatGetsAnAddressByNumber) {
  set({named("p", {"192.0.2.0-192.0.2.1"})});  // .0 is given only to who asks for it
  get("stranger", Wish());
  EXPECT_EQ(get("a", Wish().shares("k", 80)), "PoolExhausted");
  EXPECT_EQ(get("b", Wish().shares("k", 81)), "PoolExhausted");
  allocator.take_changed();
  EXPECT_EQ(get("a", Wish().shares("k", 80).asks("192.0.2.0")), "192.0.2.0");
  EXPECT_TRUE(allocator.take_changed().contains("b"));
  EXPECT_EQ(get("b", Wish().shares("k", 81)), "192.0.2.0");
}

TEST_F(Pools, WhoeverWaitsIsWokenByOneThatSharesFromNowOn) {
  set({named("p", {"192.0.2.1"})});
  get("a", Wish().shares("other", 80));
  EXPECT_EQ(get("b", Wish().shares("k", 81)), "PoolExhausted");
  allocator.take_changed();
  get("a", Wish().shares("k", 80));
  EXPECT_TRUE(allocator.take_changed().contains("b"));
  EXPECT_EQ(get("b", Wish().shares("k", 81)), "192.0.2.1");
}

TEST_F(Pools, WhoeverWaitsIsWokenWhenAStrangerNoLongerAsksForTheSharedAddress) {
  set({named("p", {"192.0.2.1"})});
  get("a", Wish().shares("k", 80).has("192.0.2.1"));
  EXPECT_EQ(get("stranger", Wish().asks("192.0.2.1")), "AddressTaken");
  EXPECT_EQ(get("b", Wish().shares("k", 81)), "PoolExhausted");
  allocator.take_changed();
  get("stranger", Wish());
  EXPECT_TRUE(allocator.take_changed().contains("b"));
  EXPECT_EQ(get("b", Wish().shares("k", 81)), "192.0.2.1");
}

}  // namespace
}  // namespace lb::plan
