// The newest of many, and no more of them than were asked for.
#include "dataplane/proxy/newest.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <numeric>
#include <random>
#include <set>

namespace lb::proxy {
namespace {

struct Numbered {
  uint64_t serial = 0;
};

std::vector<Numbered> shuffled(size_t count, unsigned seed) {
  std::vector<Numbered> out(count);
  for (size_t i = 0; i < count; ++i) out[i].serial = i;
  std::shuffle(out.begin(), out.end(), std::mt19937(seed));
  return out;
}

std::set<uint64_t> newest_of(const std::vector<Numbered>& all, size_t most) {
  Newest<Numbered> newest(most);
  for (const auto& each : all) newest.offer(each);
  std::set<uint64_t> out;
  for (const Numbered* each : newest.all()) out.insert(each->serial);
  EXPECT_EQ(out.size(), newest.all().size()) << "none twice";
  return out;
}

TEST(Newest, AreThoseWithTheGreatestNumbersInWhateverOrderTheyCame) {
  const unsigned seed = std::random_device{}();
  for (unsigned i = 0; i < 20; ++i) {
    EXPECT_EQ(newest_of(shuffled(100, seed + i), 3), (std::set<uint64_t>{97, 98, 99}))
        << "seed " << seed + i;
  }
}

TEST(Newest, AreAllWhereTheyAreFewer) { EXPECT_EQ(newest_of(shuffled(5, 1), 9).size(), 5u); }

TEST(Newest, OfNoneAreNone) { EXPECT_TRUE(newest_of(shuffled(5, 1), 0).empty()); }

TEST(Newest, DoNotWantWhatIsOlderOnceTheyAreFull) {
  const Numbered old{1}, middle{2}, young{3};
  Newest<Numbered> newest(1);
  EXPECT_TRUE(newest.wants(old));
  newest.offer(middle);
  EXPECT_FALSE(newest.wants(old));
  EXPECT_TRUE(newest.wants(young));
}

}  // namespace
}  // namespace lb::proxy
