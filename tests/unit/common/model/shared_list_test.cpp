// A shared list against a plain vector, and what copies share.
#include "common/model/shared_list.hpp"
#include "tests/support/seed.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace lb {
namespace {

using List = SharedList<std::string>;
using Random = std::mt19937;

using test::seed;

List numbers(size_t count) {
  List out;
  for (size_t i = 0; i < count; ++i) out.push_back(std::to_string(i));
  return out;
}

std::vector<std::string> values(const List& list) { return {list.begin(), list.end()}; }

// A list, the vector that it has to equal, and one way to change both.
struct Pair {
  List list;
  std::vector<std::string> plain;

  void change(Random& random) {
    const std::string value = std::to_string(random() % 1000);
    const size_t at = plain.empty() ? 0 : random() % plain.size();
    switch (plain.empty() ? 0 : random() % 8) {
      case 1:
        list.pop_back();
        return plain.pop_back();
      case 2:
        list.replace(at, std::make_shared<std::string>(value));
        plain[at] = value;
        return;
      case 3:
        plain[at] = list.edit(at) = value;
        return;
      case 4:
        if (random() % 16 != 0) return;
        list.sort(std::less<>());
        return std::stable_sort(plain.begin(), plain.end());
      case 5:
        if (random() % 64 != 0) return;
        list.clear();
        return plain.clear();
      default:
        list.push_back(value);
        plain.push_back(value);
    }
  }
};

TEST(SharedList, IsWhatAVectorIsWhateverIsDoneToItAndItsCopies) {
  const uint32_t start = seed();
  SCOPED_TRACE("EMPALME_SEED=" + std::to_string(start));
  Random random(start);
  std::vector<Pair> all(3);
  for (int i = 0; i < 20'000; ++i) {
    Pair& one = all[random() % all.size()];
    one.change(random);
    if (random() % 50 == 0) all[random() % all.size()] = one;
    if (random() % 50 != 0) continue;
    for (const Pair& each : all) {
      ASSERT_EQ(values(each.list), each.plain);
      ASSERT_EQ(each.list.empty(), each.plain.empty());
      for (const Pair& other : all) {
        ASSERT_EQ(each.list == other.list, each.plain == other.plain);
      }
    }
  }
}

TEST(SharedList, FindsByBisectionAcrossChunks) {
  List list;
  for (int i = 1000; i < 2000; i += 2) list.push_back(std::to_string(i));
  const auto found = std::lower_bound(list.begin(), list.end(), std::string("1501"));
  ASSERT_NE(found, list.end());
  EXPECT_EQ(*found, "1502");
  EXPECT_EQ(found - list.begin(), 251);
}

TEST(SharedList, SharesAllChunksWithACopyButTheOneThatWasChanged) {
  const List before = numbers(10 * List::kChunk);
  List after = before;
  after.replace(3 * List::kChunk + 5, std::make_shared<std::string>("new"));
  EXPECT_EQ(before[3 * List::kChunk + 5], std::to_string(3 * List::kChunk + 5));
  size_t looks = 0, same = 0;
  for (size_t i = 0; i < after.size(); ++looks) {
    const size_t run = after.shared_run(i, before, i);
    same += run;
    i += std::max<size_t>(run, 1);
  }
  EXPECT_EQ(same, after.size() - 1);
  EXPECT_EQ(looks, 9 + List::kChunk);
}

TEST(SharedList, TellsSharedElementsApartFromEqualOnes) {
  const List list = numbers(List::kChunk * 2);
  const List equal = numbers(List::kChunk * 2);
  EXPECT_EQ(list, equal);
  EXPECT_EQ(list.shared_run(0, equal, 0), 0U);
  EXPECT_EQ(list.shared_run(0, list, 0), List::kChunk);
  EXPECT_EQ(list.shared_run(5, list, 5), List::kChunk - 5);
  EXPECT_EQ(list.shared_run(1, list, 2), 0U) << "two places of one chunk are not the same";
}

TEST(SharedList, SharesElementsThatHaveMoved) {
  const List before = numbers(200);
  List after;
  for (size_t i = 1; i < before.size(); ++i) after.share_back(before.element(i));
  for (size_t i = 0; i < after.size(); ++i) EXPECT_EQ(after.shared_run(i, before, i + 1), 1U);
}

TEST(SharedList, IsEmptyOnceMovedFrom) {
  List list = numbers(100);
  const List taken = std::move(list);
  EXPECT_EQ(taken.size(), 100U);
  EXPECT_TRUE(list.empty());  // NOLINT(bugprone-use-after-move): that is the point
  EXPECT_EQ(list.size(), 0U);
}

TEST(SharedList, RefusesAnIndexThatItHasNot) {
  const List list = numbers(List::kChunk);
  EXPECT_EQ(list.at(List::kChunk - 1), std::to_string(List::kChunk - 1));
  EXPECT_THROW((void)list.at(List::kChunk), std::out_of_range);
}

}  // namespace
}  // namespace lb
