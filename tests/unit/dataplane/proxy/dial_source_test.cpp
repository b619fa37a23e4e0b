// When the kernel might send from an address that we announce, and what to take instead.
#include "dataplane/proxy/dial_source.hpp"

#include <gtest/gtest.h>

namespace lb::proxy {
namespace {

IpAddress ip(const char* text) { return IpAddress::parse(text).value(); }
net::InterfaceAddress on(const char* interface, const char* address, unsigned length) {
  return {interface, ip(address), length, false, true};
}

TEST(DialSource, AnAddressThatComesAfterTheNodesOwnIsNeverChosen) {
  const std::vector local{on("eth0", "192.0.2.1", 24), on("eth0", "192.0.2.10", 32)};
  EXPECT_FALSE(may_be_chosen(local, {ip("192.0.2.10")}));
}

TEST(DialSource, AnAddressThatIsFirstMayBeChosen) {
  const std::vector local{on("eth0", "192.0.2.10", 32), on("eth0", "192.0.2.1", 24)};
  EXPECT_TRUE(may_be_chosen(local, {ip("192.0.2.10")}));
}

TEST(DialSource, EachInterfaceHasAFirstOfItsOwn) {
  const std::vector local{on("eth0", "192.0.2.1", 24), on("eth1", "198.51.100.9", 32)};
  EXPECT_TRUE(may_be_chosen(local, {ip("198.51.100.9")}));
}

TEST(DialSource, VersionSixIsLeftToTheKernel) {
  const std::vector local{on("eth0", "2001:db8::10", 128)};
  EXPECT_FALSE(may_be_chosen(local, {ip("2001:db8::10")}));
}

TEST(DialSource, TakesTheNodesAddressOnTheSameInterface) {
  const std::vector local{on("eth1", "198.51.100.1", 24), on("eth0", "192.0.2.10", 32),
                          on("eth0", "192.0.2.11", 32), on("eth0", "192.0.2.1", 24)};
  EXPECT_EQ(source_instead_of(ip("192.0.2.10"), local, {ip("192.0.2.10"), ip("192.0.2.11")}),
            ip("192.0.2.1"));
}

TEST(DialSource, AnInterfaceWithNothingElseLeavesItToTheKernel) {
  const std::vector local{on("eth0", "192.0.2.10", 32)};
  EXPECT_EQ(source_instead_of(ip("192.0.2.10"), local, {ip("192.0.2.10")}), std::nullopt);
}

TEST(DialSource, TheRouteToLoopbackLeavesFromIt) {
  EXPECT_EQ(net::route_source(ip("127.0.0.9")), ip("127.0.0.1"));
}

}  // namespace
}  // namespace lb::proxy
