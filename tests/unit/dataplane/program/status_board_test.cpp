// Revisions: what is new since when, and what happens to a reader that cannot be known.
#include "dataplane/status_board.hpp"

#include <gmock/gmock.h>

#include "dataplane/status_json.hpp"

namespace lb::dataplane {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

ServiceReport one(const std::string& key, bool programmed = true) {
  PortReport port;
  port.port = 80;
  port.programmed = programmed;
  return {key, {port}};
}

TEST(StatusBoard, GivesEverythingWithoutARevision) {
  StatusBoard board("i");
  board.update({1, 1}, {}, {one("a"), one("b")});
  EXPECT_THAT(board.view(std::nullopt).services, SizeIs(2));
}

TEST(StatusBoard, GivesOnlyWhatChangedSince) {
  StatusBoard board("i");
  board.update({1, 1}, {}, {one("a"), one("b")});
  const auto rev = board.view(std::nullopt).rev;
  board.update({1, 1}, {}, {one("a"), one("b", false)});
  const auto view = board.view(rev);
  EXPECT_THAT(view.services, ElementsAre(one("b", false)));
  EXPECT_TRUE(view.news);
}

TEST(StatusBoard, HasNoNewsWhenNothingChanged) {
  StatusBoard board("i");
  board.update({1, 1}, {}, {one("a")});
  const auto rev = board.view(std::nullopt).rev;
  board.update({1, 1}, {}, {one("a")});
  EXPECT_FALSE(board.view(rev).news);
  EXPECT_THAT(board.view(rev).services, IsEmpty());
  EXPECT_EQ(board.view(rev).rev, rev);
}

TEST(StatusBoard, AnUpdateOfSomeLeavesTheOthersAsTheyAre) {
  StatusBoard board("i");
  board.update({1, 1}, {}, {one("a"), one("b"), one("c")});
  const auto rev = board.view(std::nullopt).rev;
  board.update_some({1, 2}, {}, {one("b", false)}, {"c"});
  EXPECT_THAT(board.view(rev).services, ElementsAre(one("b", false)));
  EXPECT_THAT(board.view(rev).removed, ElementsAre("c"));
  EXPECT_THAT(board.view(std::nullopt).services, ElementsAre(one("a"), one("b", false)));
}

TEST(StatusBoard, ToldOfTheSameAgainItHasNoNews) {
  StatusBoard board("i");
  board.update({1, 1}, {}, {one("a"), one("b")});
  const auto rev = board.view(std::nullopt).rev;
  board.update_some({1, 1}, {}, {one("b")}, {"unknown"});
  EXPECT_FALSE(board.has_news(rev));
  EXPECT_EQ(board.view(rev).rev, rev);
}

TEST(StatusBoard, GivesAServiceOnceHoweverOftenItChanged) {
  StatusBoard board("i");
  board.update({1, 1}, {}, {one("a"), one("b")});
  const auto rev = board.view(std::nullopt).rev;
  board.update_some({1, 1}, {}, {one("b", false)}, {});
  board.update_some({1, 1}, {}, {one("a", false)}, {});
  board.update_some({1, 1}, {}, {one("b")}, {});
  EXPECT_THAT(board.view(rev).services, ElementsAre(one("a", false), one("b")));
}

TEST(StatusBoard, KnowsItsOwnRevisionsOnly) {
  StatusBoard board("i");
  board.update({1, 1}, {}, {one("a")});
  EXPECT_TRUE(board.knows("i.0"));
  EXPECT_FALSE(board.knows("i.2"));
  EXPECT_FALSE(board.knows("other.1"));
  EXPECT_TRUE(board.has_news("other.1")) << "everything is new to it";
}

TEST(StatusBoard, NamesWhatIsGone) {
  StatusBoard board("i");
  board.update({1, 1}, {}, {one("a"), one("b")});
  const auto rev = board.view(std::nullopt).rev;
  board.update({1, 2}, {}, {one("b")});
  EXPECT_THAT(board.view(rev).removed, ElementsAre("a"));
  board.update({1, 3}, {}, {one("a"), one("b")});
  EXPECT_THAT(board.view(rev).removed, IsEmpty()) << "it is back";
}

TEST(StatusBoard, ANewVersionIsNews) {
  StatusBoard board("i");
  board.update({1, 1}, {}, {});
  const auto rev = board.view(std::nullopt).rev;
  board.update({1, 2}, {}, {});
  EXPECT_TRUE(board.view(rev).news);
  EXPECT_EQ(board.view(rev).version, (Version{1, 2}));
}

TEST(StatusBoard, GivesEverythingForARevisionItDoesNotKnow) {
  StatusBoard board("i");
  board.update({1, 1}, {}, {one("a")});
  for (const char* unknown : {"other.1", "i.", "i.99", "i.1x", "", "i"}) {
    EXPECT_THAT(board.view(unknown).services, SizeIs(1)) << unknown;
    EXPECT_TRUE(board.view(unknown).news) << unknown;
  }
}

TEST(StatusBoard, AReaderThatLagsByTooManyRemovalsStartsAfresh) {
  StatusBoard board("i");
  std::vector<ServiceReport> many{one("kept")};
  for (int i = 0; i < 5000; ++i) many.push_back(one("s" + std::to_string(i)));
  board.update({1, 1}, {}, many);
  const auto rev = board.view(std::nullopt).rev;
  board.update({1, 2}, {}, {one("kept")});
  board.update({1, 3}, {}, {one("kept")});
  const auto view = board.view(rev);
  EXPECT_THAT(view.services, ElementsAre(one("kept")));
  EXPECT_THAT(view.removed, IsEmpty());
}

TEST(StatusJson, WritesTheContractsNames) {
  StatusBoard board("i");
  board.update({3, 17}, {{"a", {}, 80, Protocol::kTcp, "10.0.0.1:80", "AddressRefused", "why"}},
               {one("a")});
  const auto text = encode_status(board.view(std::nullopt), "i", {"protocol=tcp"});
  EXPECT_THAT(text, HasSubstr("\"schema\":\"empalme.io/v1\",\"features\":[\"protocol=tcp\"],"
                              "\"instance\":\"i\",\"rev\":\"i.1\",\"epoch\":3,\"generation\":17"));
  EXPECT_THAT(text, HasSubstr("\"backend\":\"10.0.0.1:80\",\"reason\":\"AddressRefused\""));
  EXPECT_THAT(text, HasSubstr("\"programmed\":true,\"reason\":\"\",\"connections\":0"));
}

TEST(StatusJson, SaysThatAListenerIsInPanicOnlyWhereItIs) {
  StatusBoard board("i");
  ServiceReport calm = one("a"), panicking = one("b");
  panicking.ports.at(0).panic = true;
  board.update({3, 17}, {}, {calm});
  EXPECT_THAT(encode_status(board.view(std::nullopt), "i", {}), Not(HasSubstr("panic")));
  board.update({3, 18}, {}, {panicking});
  EXPECT_THAT(encode_status(board.view(std::nullopt), "i", {}), HasSubstr("\"panic\":true"));
}

}  // namespace
}  // namespace lb::dataplane
