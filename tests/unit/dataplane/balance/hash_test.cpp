#include "dataplane/balance/hash.hpp"

#include <gtest/gtest.h>

#include <set>

#include "tests/unit/dataplane/balance/balance_support.hpp"

namespace lb::balance {
namespace {

TEST(Hash, OfAClientDependsOnTheSeed) {
  const IpAddress client = IpAddress::v4(0xc0000201);
  EXPECT_EQ(hash_of(client, 7), hash_of(client, 7));
  EXPECT_NE(hash_of(client, 7), hash_of(client, 8));
}

TEST(Hash, TellsFamiliesApart) {
  EXPECT_NE(hash_of(IpAddress{}, 1), hash_of(IpAddress::v6({}), 1));
}

// Data planes of different machines and versions must agree on who is who.
TEST(Hash, OfABackendIsTheSameForever) {
  EXPECT_EQ(hash_of(Endpoint{IpAddress::v4(0x0a000001), 8080}), 17007911339005845131U);
  EXPECT_EQ(hash_of(Endpoint{*IpAddress::parse("2001:db8::1"), 443}), 7419494362964612709U);
}

TEST(Hash, OfABackendDependsOnAddressAndPort) {
  std::set<uint64_t> seen;
  for (uint32_t address = 0; address < 100; ++address) {
    for (uint16_t port = 1; port <= 100; ++port) {
      seen.insert(hash_of(Endpoint{IpAddress::v4(address << 8), port}));
    }
  }
  EXPECT_EQ(seen.size(), 10'000U);
}

TEST(Hash, ReadsEveryByteOfAnAddress) {
  std::set<uint64_t> seen{hash_of(IpAddress::v6({}), 1)};
  for (size_t i = 0; i < 16; ++i) {
    std::array<uint8_t, 16> bytes{};
    bytes[i] = 1;
    seen.insert(hash_of(IpAddress::v6(bytes), 1));
  }
  EXPECT_EQ(seen.size(), 17U);
}

TEST(Hash, SpreadsNeighboursEvenly) {
  const uint32_t start = seed();
  SCOPED_TRACE(seed_text(start));
  std::vector<int> buckets(64);
  for (uint32_t i = 0; i < 64'000; ++i) {
    ++buckets[scale_to(hash_of(IpAddress::v4(0x0a000000 + i), start), 64)];
  }
  for (const int count : buckets) EXPECT_NEAR(count, 1000, 200);  // six deviations
}

TEST(Hash, FlipsHalfOfTheBitsForOneBitOfTheClient) {
  const uint32_t start = seed();
  SCOPED_TRACE(seed_text(start));
  double flipped = 0;
  for (uint32_t i = 0; i < 1000; ++i) {
    const uint64_t one = hash_of(IpAddress::v4(i), start);
    const uint64_t other = hash_of(IpAddress::v4(i ^ 1u << i % 32), start);
    flipped += __builtin_popcountll(one ^ other);
  }
  EXPECT_NEAR(flipped / 1000, 32, 1);
}

TEST(Hash, ScalesToTheWholeRangeAndNoFurther) {
  EXPECT_EQ(scale_to(0, 10), 0U);
  EXPECT_EQ(scale_to(UINT64_MAX, 10), 9U);
  EXPECT_EQ(scale_to(UINT64_MAX, UINT64_MAX), UINT64_MAX - 1);
  EXPECT_EQ(scale_to(uint64_t{1} << 63, 10), 5U);
}

TEST(Hash, RandomSequencesOfDifferentStartsDiffer) {
  uint64_t left = mix(0), right = mix(1);
  std::set<uint64_t> seen;
  for (int i = 0; i < 1000; ++i) {
    seen.insert(next_random(left));
    seen.insert(next_random(right));
  }
  EXPECT_EQ(seen.size(), 2000U);
}

}  // namespace
}  // namespace lb::balance
