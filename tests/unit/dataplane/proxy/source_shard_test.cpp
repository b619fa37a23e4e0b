// One shard: look-up, order, memory.
#include "dataplane/proxy/source_shard.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <iostream>
#include <map>
#include <random>

namespace lb::proxy {
namespace {

struct Value {
  uint32_t number = 0;
};
using Shard = SourceShard<Value>;

SourceKey key_of(uint32_t i) { return {i, 7}; }
uint64_t hash_of_key(uint32_t i) { return hash_of(key_of(i), HashSeed{1, 2}); }
Shard::Entry* find(Shard& shard, uint32_t i) { return shard.find(key_of(i), hash_of_key(i)); }

Shard::Entry& add(Shard& shard, uint32_t i) {
  Shard::Entry& entry = shard.insert(key_of(i), hash_of_key(i));
  entry.value.number = i;
  return entry;
}

std::vector<uint32_t> drain(Shard& shard) {
  std::vector<uint32_t> out;
  for (size_t i = shard.size(); i > 0 && shard.oldest() != nullptr; --i) {
    out.push_back(shard.oldest()->value.number);
    shard.erase(*shard.oldest());
  }
  return out;
}

TEST(SourceShard, AnEmptyOneHasNothingAndTakesNoMemory) {
  Shard shard;
  EXPECT_EQ(find(shard, 1), nullptr);
  EXPECT_EQ(shard.oldest(), nullptr);
  EXPECT_EQ(shard.capacity(), 0u);
}

TEST(SourceShard, KeysOfOneHashAreToldApart) {
  Shard shard;
  for (uint32_t i = 0; i < 100; ++i) shard.insert(key_of(i), 42).value.number = i;
  for (uint32_t i = 0; i < 100; ++i) ASSERT_EQ(shard.find(key_of(i), 42)->value.number, i);
  for (uint32_t i = 0; i < 100; i += 2) shard.erase(*shard.find(key_of(i), 42));
  for (uint32_t i = 0; i < 100; ++i) EXPECT_EQ(shard.find(key_of(i), 42) != nullptr, i % 2 == 1);
}

TEST(SourceShard, ANewEntryIsOutOfTheOrder) {
  Shard shard;
  add(shard, 1);
  EXPECT_EQ(shard.oldest(), nullptr);
}

TEST(SourceShard, EntriesGoInTheOrderOfTheirLastMove) {
  Shard shard;
  for (uint32_t i = 0; i < 5; ++i) shard.to_newest(add(shard, i));
  shard.to_newest(*find(shard, 0));
  shard.to_newest(*find(shard, 2));
  shard.to_newest(*find(shard, 2));
  shard.take_out(*find(shard, 3));
  shard.take_out(*find(shard, 3));
  EXPECT_EQ(drain(shard), (std::vector<uint32_t>{1, 4, 0, 2}));
  EXPECT_NE(find(shard, 3), nullptr);
}

TEST(SourceShard, EntriesStayWhereTheyAreWhenItGrows) {
  Shard shard;
  const Shard::Entry* first = &add(shard, 0);
  for (uint32_t i = 1; i < 5000; ++i) add(shard, i);
  EXPECT_EQ(find(shard, 0), first);
}

TEST(SourceShard, ErasesWhatIsPickedWithinSomeSlots) {
  Shard shard;
  for (uint32_t i = 0; i < 100; ++i) add(shard, i);
  const auto odd = [](const Shard::Entry& entry) { return entry.value.number % 2 == 1; };
  size_t erased = 0;
  for (size_t first = 0; first < shard.capacity(); first += 7) {
    erased += shard.erase_if(first, 7, odd);
  }
  EXPECT_EQ(erased, 50u);
  for (uint32_t i = 0; i < 100; ++i) EXPECT_EQ(find(shard, i) != nullptr, i % 2 == 0);
}

TEST(SourceShard, CompactingKeepsEntriesAndOrderAndGivesMemoryBack) {
  Shard shard;
  for (uint32_t i = 0; i < 10000; ++i) shard.to_newest(add(shard, i));
  shard.take_out(*find(shard, 9998));
  shard.to_newest(*find(shard, 9990));
  for (uint32_t i = 0; i < 9990; ++i) shard.erase(*find(shard, i));
  const size_t before = shard.capacity();
  shard.compact();
  EXPECT_LT(shard.capacity() * 100, before);
  EXPECT_EQ(shard.size(), 10u);
  EXPECT_EQ(find(shard, 9998)->value.number, 9998u);
  EXPECT_EQ(drain(shard),
            (std::vector<uint32_t>{9991, 9992, 9993, 9994, 9995, 9996, 9997, 9999, 9990}));
}

TEST(SourceShard, CompactingLeavesAWellUsedShardAlone) {
  Shard shard;
  const Shard::Entry* first = &add(shard, 0);
  for (uint32_t i = 1; i < 2000; ++i) add(shard, i);
  shard.compact();
  EXPECT_EQ(find(shard, 0), first);
}

TEST(SourceShard, AnEmptyOneGivesAllOfItsMemoryBack) {
  Shard shard;
  for (uint32_t i = 0; i < 100; ++i) add(shard, i);
  for (uint32_t i = 0; i < 100; ++i) shard.erase(*find(shard, i));
  shard.compact();
  EXPECT_EQ(shard.capacity(), 0u);
  add(shard, 5);
  EXPECT_EQ(find(shard, 5)->value.number, 5u);
}

TEST(SourceShard, SlotsAreUsedAgain) {
  Shard shard;
  for (uint32_t i = 0; i < 100000; ++i) {
    add(shard, i);
    if (i >= 20) shard.erase(*find(shard, i - 20));
  }
  EXPECT_EQ(shard.size(), 20u);
  EXPECT_LE(shard.capacity(), 32u);
}

TEST(SourceShard, DoesWhatAListAndAMapDo) {
  const uint64_t seed = std::random_device{}();
  std::cout << "seed " << seed << std::endl;
  std::mt19937_64 random(seed);
  Shard shard;
  std::map<uint32_t, bool> held;  // whether it is in the order
  std::deque<uint32_t> order;
  for (int i = 0; i < 50000; ++i) {
    const auto number = static_cast<uint32_t>(random() % 300);
    Shard::Entry* entry = find(shard, number);
    ASSERT_EQ(entry != nullptr, held.contains(number)) << i;
    if (entry == nullptr) {
      add(shard, number);
      held[number] = false;
      continue;
    }
    std::erase(order, number);
    switch (random() % 3) {
      case 0:
        shard.erase(*entry);
        held.erase(number);
        break;
      case 1:
        shard.to_newest(*entry);
        order.push_back(number);
        break;
      default:
        shard.take_out(*entry);
    }
    if (random() % 50 == 0) shard.compact();
    ASSERT_EQ(shard.size(), held.size());
    ASSERT_EQ(shard.oldest() == nullptr, order.empty());
    ASSERT_TRUE(order.empty() || shard.oldest()->value.number == order.front()) << i;
  }
  EXPECT_EQ(drain(shard), std::vector<uint32_t>(order.begin(), order.end()));
}

}  // namespace
}  // namespace lb::proxy
