// Changes of this host's addresses, in a network of the test's own.
#include "dataplane/address_watch.hpp"

#include <gtest/gtest.h>
#include <net/if.h>

#include "dataplane/announce/rtnetlink.hpp"
#include "tests/unit/dataplane/proxy/own_network.hpp"

namespace lb::dataplane {
namespace {

using namespace std::chrono_literals;

class AddressWatchTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!network.made()) GTEST_SKIP() << "needs CAP_SYS_ADMIN for a network of its own";
    auto opened = AddressWatch::open(io, [this] { ++told; });
    ASSERT_TRUE(opened.ok());
    watch = std::move(opened).value();
    auto link = announce::Rtnetlink::open();
    ASSERT_TRUE(link.ok());
    netlink.emplace(std::move(link).value());
  }
  void put(const char* address) {
    const auto where = static_cast<int>(if_nametoindex("lo"));
    EXPECT_TRUE(netlink->put(where, *IpAddress::parse(address), 60).ok());
  }
  bool run_until_told(int times) {
    const auto end = std::chrono::steady_clock::now() + 5s;
    while (told < times && std::chrono::steady_clock::now() < end) io.run_one_for(20ms);
    return told == times;
  }

  const proxy::OwnNetwork network;
  asio::io_context io;
  int told = 0;
  std::unique_ptr<AddressWatch> watch;
  std::optional<announce::Rtnetlink> netlink;
};

TEST_F(AddressWatchTest, AnAddressThatIsAddedIsTold) {
  put("192.0.2.9");
  EXPECT_TRUE(run_until_told(1));
  put("2001:db8::9");
  EXPECT_TRUE(run_until_told(2));
}

TEST_F(AddressWatchTest, OneThatIsRemovedIsTold) {
  put("192.0.2.9");
  ASSERT_TRUE(run_until_told(1));
  EXPECT_TRUE(
      netlink->remove(static_cast<int>(if_nametoindex("lo")), *IpAddress::parse("192.0.2.9")).ok());
  EXPECT_TRUE(run_until_told(2));
}

TEST_F(AddressWatchTest, ManyThatComeTogetherAreToldOnce) {
  for (const char* each : {"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"}) put(each);
  ASSERT_TRUE(run_until_told(1));
  io.run_for(100ms);
  EXPECT_EQ(told, 1);
}

TEST_F(AddressWatchTest, NothingIsToldAfterItsEnd) {
  put("192.0.2.9");
  watch.reset();
  io.run_for(100ms);
  EXPECT_EQ(told, 0);
}

}  // namespace
}  // namespace lb::dataplane
