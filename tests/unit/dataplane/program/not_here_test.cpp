#include "dataplane/not_here.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lb::dataplane {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

IpAddress address(const char* text) { return *IpAddress::parse(text); }

std::vector<std::string> codes(const Config& config) {
  std::vector<std::string> out;
  for (const Error& each : not_here(config)) out.push_back(each.code);
  return out;
}

TEST(NotHere, SaysNothingOfWhatIsHere) {
  Config config;
  config.announce = Announce::kInterface;
  config.interface = "lo";
  config.spare_sources = {address("127.0.0.1"), address("127.9.9.9")};
  EXPECT_THAT(not_here(config), IsEmpty());
}

TEST(NotHere, NamesAnInterfaceThatIsNotThere) {
  Config config;
  config.announce = Announce::kInterface;
  config.interface = "none7";
  ASSERT_THAT(codes(config), ElementsAre("NoInterface"));
  EXPECT_THAT(not_here(config)[0].message, testing::HasSubstr("interface:none7"));
}

TEST(NotHere, DoesNotAskForAnInterfaceThatIsNotUsed) {
  Config config;
  config.interface = "none7";
  EXPECT_THAT(not_here(config), IsEmpty());
}

TEST(NotHere, NamesEachAddressThatCannotBeDialledFrom) {
  Config config;
  config.spare_sources = {address("192.0.2.77"), address("127.0.0.1"), address("2001:db8::77")};
  ASSERT_THAT(codes(config), ElementsAre("NoSuchAddress", "NoSuchAddress"));
  EXPECT_THAT(not_here(config)[0].message, testing::HasSubstr("192.0.2.77"));
  EXPECT_THAT(not_here(config)[1].message, testing::HasSubstr("2001:db8::77"));
}

}  // namespace
}  // namespace lb::dataplane
