#include "dataplane/announce/vrrp_peers.hpp"

#include <gmock/gmock.h>

#include <fstream>

#include "tests/support/temporary_folder.hpp"

namespace lb::announce {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

IpAddress ip(const char* text) { return IpAddress::parse(text).value(); }

class VrrpPeersTest : public testing::Test {
 protected:
  VrrpPeersTest() { flags.peers = {ip("192.0.2.1"), ip("192.0.2.2")}; }

  void write(const std::string& text) {
    flags.peers_file = folder + "/peers";
    std::ofstream(flags.peers_file) << text;
  }
  VrrpPeers make() {
    return VrrpPeers(flags, ip("192.0.2.1"),
                     [this](const Error& error) { reports.push_back(error.message); });
  }

  const test::TemporaryFolder temporary;
  const std::string folder = temporary.path();
  VrrpFlags flags;
  std::vector<std::string> reports;
};

TEST_F(VrrpPeersTest, WeAreNoneOfTheOthers) {
  EXPECT_THAT(make().others(), ElementsAre(ip("192.0.2.2")));
}

TEST_F(VrrpPeersTest, TheFileAddsToTheFlags) {
  write("192.0.2.3");
  EXPECT_THAT(make().others(), ElementsAre(ip("192.0.2.2"), ip("192.0.2.3")));
}

TEST_F(VrrpPeersTest, OnlyAnotherSetIsAChange) {
  write("192.0.2.3");
  auto peers = make();
  EXPECT_FALSE(peers.read());
  write("192.0.2.3 # the third");
  EXPECT_FALSE(peers.read());
  write("192.0.2.4");
  EXPECT_TRUE(peers.read());
  EXPECT_THAT(peers.others(), ElementsAre(ip("192.0.2.2"), ip("192.0.2.4")));
}

TEST_F(VrrpPeersTest, ABadFileKeepsTheLastGoodOnesAndIsToldOnceAndCountedEachTime) {
  write("192.0.2.3");
  auto peers = make();
  write("nobody");
  EXPECT_FALSE(peers.read());
  EXPECT_FALSE(peers.read());
  EXPECT_THAT(peers.others(), ElementsAre(ip("192.0.2.2"), ip("192.0.2.3")));
  EXPECT_THAT(reports, SizeIs(1));
  EXPECT_EQ(peers.errors(), 2u);
}

TEST_F(VrrpPeersTest, AFileThatIsBadAgainIsToldAgain) {
  write("nobody");
  auto peers = make();
  write("192.0.2.3");
  EXPECT_TRUE(peers.read());
  write("nobody");
  EXPECT_FALSE(peers.read());
  EXPECT_THAT(reports, SizeIs(2));
}

TEST_F(VrrpPeersTest, AFileThatIsMissingIsToldWithItsName) {
  flags.peers_file = folder + "/none";
  EXPECT_THAT(make().others(), IsEmpty());
  EXPECT_THAT(reports, ElementsAre(testing::HasSubstr(folder + "/none")));
}

TEST_F(VrrpPeersTest, PeersOfAnotherFamilyAreRefused) {
  write("2001:db8::2");
  EXPECT_EQ(make().errors(), 1u);
}

}  // namespace
}  // namespace lb::announce
