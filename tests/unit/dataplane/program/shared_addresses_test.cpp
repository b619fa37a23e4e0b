// Which address a data plane that shares addresses calls its own.
#include "dataplane/shared_addresses.hpp"

#include <gmock/gmock.h>

namespace lb::dataplane {
namespace {

announce::VrrpFlags flags() {
  announce::VrrpFlags out;
  out.interface = "lo";
  return out;
}

TEST(SharedAddresses, OurOwnAddressIsThePeerThatTheInterfaceHas) {
  auto with_peers = flags();
  with_peers.peers = {IpAddress::parse("192.0.2.77").value(),
                      IpAddress::parse("127.0.0.1").value()};
  const auto own = own_address(with_peers);
  ASSERT_TRUE(own.ok());
  EXPECT_EQ(own->to_string(), "127.0.0.1");
}

TEST(SharedAddresses, AnInterfaceWithoutAnAddressIsRefusedByName) {
  auto nowhere = flags();
  nowhere.interface = "no-such-link";
  EXPECT_THAT(own_address(nowhere).error().message, testing::HasSubstr("no-such-link"));
}

}  // namespace
}  // namespace lb::dataplane
