#include "common/model/diff.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "common/model/state_json.hpp"
#include "tests/support/seed.hpp"

namespace lb {
namespace {

using Random = std::mt19937;

// EMPALME_SEED repeats a failing run.
using test::seed;

uint32_t below(Random& random, uint32_t limit) { return random() % limit; }

ServicePort random_port(Random& random, uint16_t number) {
  ServicePort port;
  port.port = number;
  port.policy.drain_s = below(random, 2);
  for (uint16_t i = 0; i < below(random, 4); ++i) {
    Backend backend;
    backend.address = IpAddress::v4(0x0a000000 + below(random, 4));
    backend.port = static_cast<uint16_t>(1 + i);
    backend.state = static_cast<BackendState>(below(random, 3));
    port.backends.push_back(backend);
  }
  return port;
}

DesiredState random_state(Random& random, Version version) {
  DesiredState state{version, {}};
  for (char name = 'a'; name < 'h'; ++name) {
    if (below(random, 2) == 0) continue;
    Service service;
    service.key = std::string("file/") + name;
    service.addresses.push_back(IpAddress::v4(0xc0000200 + below(random, 3)));
    for (uint16_t p = 1; p <= below(random, 3); ++p)
      service.ports.push_back(random_port(random, p));
    state.services.push_back(service);
  }
  normalise(state);
  return state;
}

TEST(Diff, OfAStateWithItselfIsEmpty) {
  const uint32_t start = seed();
  SCOPED_TRACE("EMPALME_SEED=" + std::to_string(start));
  Random random(start);
  for (int i = 0; i < 1000; ++i) {
    const auto state = random_state(random, {1, 1});
    EXPECT_TRUE(diff(state, state).empty());
  }
}

TEST(Diff, AppliedAsAPatchGivesTheOtherState) {
  const uint32_t start = seed();
  SCOPED_TRACE("EMPALME_SEED=" + std::to_string(start));
  Random random(start);
  for (int i = 0; i < 2000; ++i) {
    const auto from = random_state(random, {1, 1});
    const auto to = random_state(random, {1, 2});
    const auto sent = decode_patch(encode_patch(to_patch(diff(from, to), from.version, 2)));
    ASSERT_TRUE(sent.ok()) << sent.error().message;
    const auto result = apply_patch(from, *sent);
    ASSERT_TRUE(result.ok());
    ASSERT_EQ(*result, to);
  }
}

TEST(Diff, NamesOnlyServicesThatDiffer) {
  DesiredState from{{1, 1}, {{"a", {}, {}, {}}, {"b", {}, {}, {}}, {"c", {}, {}, {}}}};
  DesiredState to = from;
  to.services.edit(1).policy.drain_s = 1;
  to.services.pop_back();
  const auto change = diff(from, to);
  ASSERT_EQ(change.changed.size(), 1U);
  EXPECT_EQ(change.changed[0].key, "b");
  EXPECT_EQ(change.removed, std::vector<std::string>{"c"});
}

TEST(ShareEqual, GivesOneObjectToWhatIsEqualAndLeavesTheRest) {
  const uint32_t start = seed();
  SCOPED_TRACE("EMPALME_SEED=" + std::to_string(start));
  Random random(start);
  for (int i = 0; i < 1000; ++i) {
    const auto held = random_state(random, {1, 1});
    const auto offered = random_state(random, {1, 2});
    auto shared = offered;
    share_equal(held, shared);
    ASSERT_EQ(shared, offered);
    const auto change = diff(held, shared);
    size_t same = 0;
    for (auto a = held.services.begin(); a != held.services.end(); ++a) {
      for (auto b = shared.services.begin(); b != shared.services.end(); ++b) {
        same += a.element() == b.element();
      }
    }
    ASSERT_EQ(same, shared.services.size() - change.changed.size());
  }
}

TEST(ApplyPatch, SharesWhatThePatchDoesNotName) {
  const DesiredState held{{1, 1}, {{"a", {}, {}, {}}, {"b", {}, {}, {}}, {"c", {}, {}, {}}}};
  Service changed{"b", {}, {}, {}};
  changed.policy.drain_s = 1;
  const auto next = apply_patch(held, {1, 1, 2, {changed}, {"c"}});
  ASSERT_TRUE(next.ok());
  ASSERT_EQ(next->services.size(), 2U);
  EXPECT_EQ(next->services.begin().element(), held.services.begin().element());
  EXPECT_EQ(next->services[1].policy.drain_s, 1U);
  EXPECT_EQ(held.services[1].policy.drain_s, 30U) << "what is held stays as it is";
}

TEST(ApplyPatch, SharesWhatThePatchNamesWithIt) {
  const DesiredState held{{1, 1}, {{"a", {}, {}, {}}}};
  const StatePatch patch{1, 1, 2, {{"a", {}, {}, {}}, {"b", {}, {}, {}}}, {}};
  const auto next = apply_patch(held, patch);
  ASSERT_TRUE(next.ok());
  EXPECT_EQ(next->services.element(0), patch.changed.element(0));
  EXPECT_EQ(next->services.element(1), patch.changed.element(1));
}

// Enough services for several chunks, of which few change, come or go.
TEST(ApplyPatch, MeetsTheOtherStateWhereThereAreManyServices) {
  const uint32_t start = seed();
  SCOPED_TRACE("EMPALME_SEED=" + std::to_string(start));
  Random random(start);
  DesiredState held{{1, 1}, {}};
  for (int i = 1000; i < 1400; ++i) {
    held.services.push_back({"file/" + std::to_string(i), {}, {}, {}});
  }
  for (int round = 0; round < 300; ++round) {
    StatePatch patch{1, held.version.generation, held.version.generation + 1, {}, {}};
    std::map<std::string, Service> plain;
    for (const auto& service : held.services) plain[service.key] = service;
    for (uint32_t i = 0; i < 3; ++i) {
      const std::string key = "file/" + std::to_string(1000 + 3 * below(random, 140) + i);
      if (round % 2 == 0 && below(random, 3) == 0) {
        patch.removed.push_back(key);
        plain.erase(key);
      } else if (round % 2 == 0 || plain.contains(key)) {
        Service changed{key, {}, {}, {}};
        changed.policy.drain_s = below(random, 5);
        plain[key] = changed;
        patch.changed.push_back(changed);
      }
    }
    const auto next = apply_patch(held, patch);
    ASSERT_TRUE(next.ok());
    DesiredState wanted{{1, patch.generation}, {}};
    for (const auto& [key, service] : plain) wanted.services.push_back(service);
    ASSERT_EQ(*next, wanted);
    const auto change = diff(held, *next);
    ASSERT_LE(change.changed.size() + change.removed.size(), 3U);
    ASSERT_EQ(*apply_patch(held, to_patch(change, held.version, patch.generation)), wanted);
    held = *next;
  }
}

TEST(CheckPut, TakesAnythingNewer) {
  const DesiredState held{{2, 5}, {}};
  EXPECT_TRUE(check_put(held, {{2, 6}, {}}).ok());
  EXPECT_TRUE(check_put(held, {{3, 0}, {}}).ok());
}

TEST(CheckPut, TakesTheSameDocumentAgain) {
  const DesiredState held{{2, 5}, {{"a", {}, {}, {}}}};
  EXPECT_TRUE(check_put(held, held).ok());
}

TEST(CheckPut, RefusesOlderOrDifferentUnderTheSamePair) {
  const DesiredState held{{2, 5}, {{"a", {}, {}, {}}}};
  EXPECT_EQ(check_put(held, {{2, 4}, {}}).error().code, "Order");
  EXPECT_EQ(check_put(held, {{1, 9}, {}}).error().code, "Order");
  EXPECT_EQ(check_put(held, {{2, 5}, {}}).error().code, "Order");
}

TEST(ApplyPatch, RefusesAnotherBaseAndRepeats) {
  const DesiredState held{{2, 5}, {}};
  EXPECT_FALSE(apply_patch(held, {2, 4, 6, {}, {}}).ok());
  EXPECT_FALSE(apply_patch(held, {1, 5, 6, {}, {}}).ok());
  EXPECT_FALSE(apply_patch(held, {2, 5, 5, {}, {}}).ok());
  EXPECT_TRUE(apply_patch(held, {2, 5, 6, {}, {}}).ok());
}

TEST(ApplyPatch, IgnoresRemovingWhatIsNotHeld) {
  const auto result = apply_patch({{1, 1}, {}}, {1, 1, 2, {}, {"ghost"}});
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->version, (Version{1, 2}));
}

}  // namespace
}  // namespace lb
