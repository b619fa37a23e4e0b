// An operator's overlay: what it takes, what it keeps, what it shows.
#include "dataplane/drains.hpp"

#include <gmock/gmock.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace lb::dataplane {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Endpoint at(const char* text) { return parse_endpoint(text).value(); }

class DrainsTest : public testing::Test {
 protected:
  DrainsTest() { std::filesystem::create_directories(folder); }
  ~DrainsTest() override { std::filesystem::remove_all(folder); }

  Drains open() {
    return {folder, [this](const Error& error) { reports.push_back(error.code); }};
  }

  const std::string folder =
      std::filesystem::temp_directory_path() / ("empalme-drains-" + std::to_string(getpid()));
  std::vector<std::string> reports;
};

TEST_F(DrainsTest, OutliveARestart) {
  {
    Drains drains = open();
    drains.add({"file/web", at("10.0.0.1:80")});
    drains.add({"", std::nullopt});
  }
  EXPECT_THAT(open().all(), ElementsAre(proxy::Drain{"", std::nullopt},
                                        proxy::Drain{"file/web", at("10.0.0.1:80")}));
}

TEST_F(DrainsTest, OnlyExactlyThatPairIsLifted) {
  Drains drains = open();
  drains.add({"file/web", std::nullopt});
  drains.lift({"", std::nullopt});
  EXPECT_EQ(drains.all().size(), 1u);
  drains.lift({"file/web", std::nullopt});
  EXPECT_THAT(drains.all(), IsEmpty());
  EXPECT_THAT(open().all(), IsEmpty());
}

TEST_F(DrainsTest, ABrokenFileIsReportedAndDrainsNothing) {
  std::ofstream(folder + "/drains.json") << R"({"drains":[{"service":"a"})";
  EXPECT_THAT(open().all(), IsEmpty());
  EXPECT_THAT(reports, ElementsAre("DrainsUnreadable"));
}

TEST_F(DrainsTest, OneThatCannotBeReadIsReportedAndLeavesTheOthersAlone) {
  std::ofstream(folder + "/drains.json") << R"({"drains":[{"service":1},{"service":"c"}]})";
  EXPECT_THAT(open().all(), ElementsAre(proxy::Drain{"c", std::nullopt}));
  EXPECT_THAT(reports, ElementsAre("DrainsUnreadable"));
}

TEST_F(DrainsTest, OneThatALaterVersionWroteDrainsWhatIsKnownOfIt) {
  const std::string text = R"({"since":"v9","drains":[{"service":"a","zone":"b"}]})";
  std::ofstream(folder + "/drains.json") << text;
  Drains drains = open();
  EXPECT_THAT(drains.all(), ElementsAre(proxy::Drain{"a", std::nullopt}));
  EXPECT_THAT(reports, ElementsAre("DrainsUnreadable"));
  drains.add({"c", std::nullopt});
  std::ifstream aside(folder + "/drains.json.bad");
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(aside), {}), text);
}

TEST_F(DrainsTest, ThousandsOutliveARestart) {
  constexpr size_t kMany = 20'000;
  std::string text;
  for (size_t i = 0; i < kMany; ++i) {
    text += (i == 0 ? "" : ",") + (R"({"service":"kubernetes/a-namespace/the-service-of-number-)" +
                                   std::to_string(i) + R"("})");
  }
  ASSERT_GT(text.size(), size_t{1} << 20) << "more than one request may have";
  std::ofstream(folder + "/drains.json") << R"({"drains":[)" << text << "]}";
  EXPECT_EQ(open().all().size(), kMany);
  EXPECT_THAT(reports, IsEmpty());
}

TEST_F(DrainsTest, ADiskThatFailsKeepsNobodyFromDraining) {
  Drains drains("/nonexistent/folder", [this](const Error& e) { reports.push_back(e.code); });
  drains.add({"file/web", std::nullopt});
  EXPECT_EQ(drains.all().size(), 1u);
  EXPECT_THAT(reports, ElementsAre("DrainsNotSaved"));
}

TEST(DecodeDrain, TakesBothFieldsOneOrNone) {
  EXPECT_EQ(decode_drain("{}").value(), (proxy::Drain{}));
  EXPECT_EQ(decode_drain(R"({"service":"a","backend":"[2001:db8::1]:80"})").value(),
            (proxy::Drain{"a", at("[2001:db8::1]:80")}));
}

TEST(DecodeDrain, AnEmptyTextIsAMistakeAndNotEverything) {
  EXPECT_EQ(decode_drain(R"({"backend":""})").error().pointer, "/backend");
  EXPECT_EQ(decode_drain(R"({"service":"","backend":"10.0.0.1:80"})").error().pointer, "/service");
}

TEST(DecodeDrain, SaysWhereItIsWrong) {
  EXPECT_EQ(decode_drain(R"({"backend":"somewhere"})").error().pointer, "/backend");
  EXPECT_EQ(decode_drain(R"({"servce":"a"})").error().pointer, "/servce");
  EXPECT_EQ(decode_drain("[").error().code, "Syntax");
}

TEST(DrainMatches, EmptyFieldsStandForEverything) {
  const Endpoint one = at("10.0.0.1:80"), two = at("10.0.0.2:80");
  EXPECT_TRUE(proxy::drained({{"", std::nullopt}}, "any", one));
  EXPECT_TRUE(proxy::drained({{"a", std::nullopt}}, "a", two));
  EXPECT_FALSE(proxy::drained({{"a", std::nullopt}}, "b", two));
  EXPECT_TRUE(proxy::drained({{"", one}}, "b", one));
  EXPECT_FALSE(proxy::drained({{"a", one}}, "a", two));
  EXPECT_FALSE(proxy::drained({}, "a", one));
}

TEST(EncodeDrains, CountsWhatIsStillConnectedThere) {
  proxy::PortStatus port;
  port.connections = 5;
  port.backends.push_back({at("10.0.0.1:80"), false, "up", "", 3});
  const std::vector<proxy::ServiceStatus> live{{"a", {port}}};
  EXPECT_THAT(encode_drains({{"a", at("10.0.0.1:80")}}, live), HasSubstr("\"connections\":3"));
  EXPECT_THAT(encode_drains({{"a", std::nullopt}}, live), HasSubstr("\"connections\":5"));
  EXPECT_EQ(encode_drains({}, live), R"({"drains":[]})");
}

}  // namespace
}  // namespace lb::dataplane
