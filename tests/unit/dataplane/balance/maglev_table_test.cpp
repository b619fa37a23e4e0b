#include "dataplane/balance/maglev_table.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/dataplane/balance/balance_support.hpp"

namespace lb::balance {
namespace {

Counts slots(const MaglevTable& table, size_t count) {
  Counts out(count);
  for (uint32_t slot = 0; slot < table.size(); ++slot) ++out[table.owner(slot)];
  return out;
}

MaglevTable table_of(const Candidates& candidates) {
  MaglevTable out;
  out.refresh(candidates);
  return out;
}

TEST(MaglevTable, GivesEqualsTheSameNumberOfSlots) {
  for (const size_t count : {1, 2, 3, 7, 40, 164, 165, 655}) {
    const auto table = table_of(equals(count));
    const Counts got = slots(table, count);
    const auto [least, most] = std::minmax_element(got.begin(), got.end());
    EXPECT_LE(*most - *least, 1U) << count;
  }
}

TEST(MaglevTable, GivesSlotsByWeight) {
  const Candidates candidates = with_weights({5, 3, 2, 0, 90});
  const auto table = table_of(candidates);
  const Counts got = slots(table, 5);
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_NEAR(got[i], table.size() * candidates[i].weight / 100.0, 1.0);
  }
}

TEST(MaglevTable, HasAPrimeNumberOfSlotsForEach) {
  for (const size_t count : {1, 3, 50, 164, 165, 655, 1000}) {
    const uint32_t size = table_of(equals(count)).size();
    EXPECT_GE(size, 4099U);
    EXPECT_LE(size, 65'537U);
    EXPECT_GE(size, std::min<size_t>(100 * count, 65'537)) << count;
    for (uint32_t factor = 2; factor * factor <= size; ++factor) {
      ASSERT_NE(size % factor, 0U);
    }
  }
}

TEST(MaglevTable, GivesTheLightestASlotBesideTheHeaviest) {
  Candidates candidates = equals(1000);
  candidates[500].weight = UINT16_MAX;
  const Counts got = slots(table_of(candidates), candidates.size());
  EXPECT_EQ(*std::min_element(got.begin(), got.end()), 1U);
  EXPECT_GT(got[500], 64'000U);
}

TEST(MaglevTable, IsBuiltAgainOnlyWhenIdentityOrWeightChanges) {
  MaglevTable table;
  Candidates candidates = equals(3);
  EXPECT_TRUE(table.refresh(candidates));
  candidates[0].state = BackendState::kNotReady;
  candidates[0].health = Health::kDown;
  candidates[1].ejected = candidates[1].tried = candidates[1].near = true;
  candidates[2].connections = 7;
  candidates[2].share = 100;
  EXPECT_FALSE(table.refresh(candidates));
  candidates[2].weight = 2;
  EXPECT_TRUE(table.refresh(candidates));
  candidates[1].identity += 1;
  EXPECT_TRUE(table.refresh(candidates));
  candidates.pop_back();
  EXPECT_TRUE(table.refresh(candidates));
  EXPECT_FALSE(table.refresh(candidates));
}

TEST(MaglevTable, DoesNotDependOnTheOrderOfTheList) {
  const uint32_t start = seed();
  SCOPED_TRACE(seed_text(start));
  Random random(start);
  Candidates candidates = with_weights({4, 1, 9, 2, 2, 30, 1});
  const auto before = table_of(candidates);
  Candidates shuffled = candidates;
  std::shuffle(shuffled.begin(), shuffled.end(), random);
  const auto after = table_of(shuffled);
  for (uint32_t slot = 0; slot < before.size(); ++slot) {
    ASSERT_EQ(candidates[before.owner(slot)].identity, shuffled[after.owner(slot)].identity);
  }
}

TEST(MaglevTable, IsEmptyWithoutWeights) {
  EXPECT_EQ(table_of({}).size(), 0U);
  EXPECT_EQ(table_of(with_weights({0, 0})).size(), 0U);
}

TEST(MaglevTable, TakesMoreCandidatesThanSlots) {
  EXPECT_EQ(table_of(equals(70'000)).size(), 65'537U);
}

struct Moves {
  double gone = 0;    // slots of the one that left, as a part of all
  double others = 0;  // slots that moved between those that stay
};

Moves moves_without(size_t leaver, const Candidates& before) {
  Candidates after = before;
  after.erase(after.begin() + int64_t(leaver));
  const auto old_table = table_of(before), new_table = table_of(after);
  EXPECT_EQ(old_table.size(), new_table.size());
  Moves out;
  for (uint32_t slot = 0; slot < old_table.size(); ++slot) {
    const uint64_t from = before[old_table.owner(slot)].identity;
    if (from == before[leaver].identity) {
      ++out.gone;
    } else if (from != after[new_table.owner(slot)].identity) {
      ++out.others;
    }
  }
  out.gone /= old_table.size();
  out.others /= old_table.size();
  return out;
}

TEST(MaglevTable, MovesFewSlotsOfTheOthersWhenOneLeaves) {
  const uint32_t start = seed();
  SCOPED_TRACE(seed_text(start));
  Random random(start);
  double most = 0;
  for (size_t count = 3; count <= 50; ++count) {
    const Candidates candidates = equals(count, uint32_t(random() % 1'000'000));
    const Moves moved = moves_without(random() % count, candidates);
    EXPECT_LE(moved.gone + moved.others, 2.0 / double(count)) << count;
    EXPECT_LE(moved.others, 0.03) << count;
    most = std::max(most, moved.others);
  }
  RecordProperty("most_moved_of_others_permille", int(most * 1000));
}

}  // namespace
}  // namespace lb::balance
