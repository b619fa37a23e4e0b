// The kernel's table of counters: names above values, columns that differ between kernels.
#include "dataplane/listen_queue.hpp"

#include <gtest/gtest.h>

#include <sstream>

namespace lb::dataplane {
namespace {

std::optional<uint64_t> read(const char* text) {
  std::istringstream file(text);
  return read_listen_overflows(file);
}

TEST(ListenQueue, FindsTheColumnWhereverItStands) {
  EXPECT_EQ(read("TcpExt: SyncookiesSent ListenOverflows ListenDrops\nTcpExt: 1 22 333\n"), 22u);
  EXPECT_EQ(read("IpExt: InNoRoutes\nIpExt: 7\nTcpExt: ListenOverflows\nTcpExt: 5\n"), 5u);
}

TEST(ListenQueue, SaysNothingWhereThereIsNoSuchColumn) {
  EXPECT_EQ(read(""), std::nullopt);
  EXPECT_EQ(read("TcpExt: SyncookiesSent\nTcpExt: 1\n"), std::nullopt);
  EXPECT_EQ(read("TcpExt: SyncookiesSent ListenOverflows\nTcpExt: 1\n"), std::nullopt);
  EXPECT_EQ(read("TcpExt: ListenOverflows\nTcpExt: none\n"), std::nullopt);
  EXPECT_EQ(read("MPTcpExt: ListenOverflows\nMPTcpExt: 4\n"), std::nullopt);
}

TEST(ListenQueue, ThisKernelTells) { EXPECT_TRUE(listen_overflows().has_value()); }

}  // namespace
}  // namespace lb::dataplane
