// Which spare sources are passed over, and who hears of it.
#include "dataplane/proxy/spare_sources.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace lb::proxy {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const IpAddress kOne = IpAddress::parse("192.0.2.1").value();
const IpAddress kTwo = IpAddress::parse("2001:db8::2").value();
const IpAddress kOther = IpAddress::parse("192.0.2.9").value();

class SpareSourcesTest : public testing::Test {
 protected:
  void avoid(const std::set<IpAddress>& ours) {
    heard.clear();
    sources.avoid(ours, [this](const IpAddress& address, bool avoided) {
      heard.push_back((avoided ? "not " : "") + address.to_string());
    });
  }

  SpareSources sources{{kOne, kTwo}};
  std::vector<std::string> heard;
};

TEST_F(SpareSourcesTest, AllAreUsedInTheOrderGiven) {
  ASSERT_EQ(sources.size(), 2u);
  EXPECT_EQ(sources.address(0), kOne);
  EXPECT_EQ(sources.address(1), kTwo);
  EXPECT_TRUE(sources.usable(0) && sources.usable(1));
  EXPECT_EQ(sources.avoided(), 0u);
}

TEST_F(SpareSourcesTest, OneThatIsAnnouncedIsPassedOver) {
  avoid({kTwo, kOther});
  EXPECT_TRUE(sources.usable(0));
  EXPECT_FALSE(sources.usable(1));
  EXPECT_EQ(sources.avoided(), 1u);
  EXPECT_THAT(heard, ElementsAre("not 2001:db8::2"));
}

TEST_F(SpareSourcesTest, OneThatIsNoLongerAnnouncedIsUsedAgain) {
  avoid({kOne});
  avoid({});
  EXPECT_TRUE(sources.usable(0));
  EXPECT_THAT(heard, ElementsAre("192.0.2.1"));
}

TEST_F(SpareSourcesTest, IsToldOnce) {
  avoid({kOne});
  avoid({kOne, kOther});
  EXPECT_THAT(heard, IsEmpty());
  EXPECT_FALSE(sources.usable(0));
}

TEST_F(SpareSourcesTest, NobodyNeedListen) {
  sources.avoid({kOne}, {});
  EXPECT_EQ(sources.avoided(), 1u);
}

}  // namespace
}  // namespace lb::proxy
