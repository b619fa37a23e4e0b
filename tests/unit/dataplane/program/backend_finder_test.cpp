// One backend after the other is found among thousands without going through them.
#include "dataplane/backend_finder.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace lb::dataplane {
namespace {

proxy::BackendStatus at(uint32_t address, uint64_t connections = 0) {
  return {{IpAddress::v4(0x0a000000 + address), 80}, false, "up", "", connections};
}

TEST(BackendFinder, FindsThoseThatAreThere) {
  const std::vector<proxy::BackendStatus> all{at(1), at(3), at(5)};
  BackendFinder finder(all);
  EXPECT_EQ(finder.find(all[0].backend), all.data());
  EXPECT_EQ(finder.find(all[2].backend), &all[2]);
  for (const uint32_t missing : {0, 2, 6}) EXPECT_EQ(finder.find(at(missing).backend), nullptr);
}

TEST(BackendFinder, FindsNobodyAmongNone) {
  EXPECT_EQ(BackendFinder({}).find(at(1).backend), nullptr);
}

TEST(BackendFinder, NeedsNoOrder) {
  const std::vector<proxy::BackendStatus> all{at(5), at(1), at(3)};
  BackendFinder finder(all);
  for (const auto& each : all) EXPECT_EQ(finder.find(each.backend), &each);
}

TEST(BackendFinder, OfTwoOfOneEndpointTheLastCounts) {
  const std::vector<proxy::BackendStatus> all{at(1, 7), at(2), at(1, 9)};
  const auto* found = BackendFinder(all).find(at(1).backend);
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->connections, 9u);
}

TEST(BackendFinder, ComparesFewForEach) {
  constexpr uint32_t kMany = 4096;
  std::vector<proxy::BackendStatus> all;
  for (uint32_t i = 0; i < kMany; ++i) all.push_back(at(i));
  std::reverse(all.begin(), all.end());
  BackendFinder finder(all);
  for (const auto& each : all) ASSERT_EQ(finder.find(each.backend), &each);
  EXPECT_LE(finder.compared(), size_t{kMany} * 13);
}

}  // namespace
}  // namespace lb::dataplane
