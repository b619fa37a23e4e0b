// What operators type and read about connections and drains.
#include "empalme/flow_table.hpp"

#include <gmock/gmock.h>

namespace lb::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(FlowTable, ShowsAConnectionInOneLine) {
  const auto table = flow_table(
      R"({"flows":[{"id":"7","service":"file/web","protocol":"udp","client":"192.0.2.9:4",
          "backend":"","age_ms":90000,"idle_ms":3,"bytes_in":1,"bytes_out":2}]})");
  ASSERT_TRUE(table.ok());
  EXPECT_THAT(*table, HasSubstr("7   file/web  udp       192.0.2.9:4  -        90s  3ms   1   2\n"));
}

TEST(FlowTable, SaysThatThereIsNothing) {
  EXPECT_EQ(*flow_table(R"({"flows":[]})"), "No connections.\n");
  EXPECT_EQ(*drain_table(R"({"drains":[]})"), "Nothing is drained.\n");
  EXPECT_FALSE(flow_table("<html>").ok());
}

TEST(FlowTable, ShowsNoControlCharacters) {
  EXPECT_THAT(*flow_table("{\"flows\":[{\"service\":\"a\\u001b[2J\"}]}"), Not(HasSubstr("\x1b")));
}

TEST(FlowTable, ShowsNoControlCharactersOfTwoBytes) {
  EXPECT_THAT(*flow_table("{\"flows\":[{\"service\":\"a\u009b2J\u00a9\"}]}"),
              testing::AllOf(Not(HasSubstr("\u009b")), HasSubstr("\u00a9")));
}

TEST(DrainTable, NamesWhatIsMeant) {
  EXPECT_THAT(*drain_table(R"({"drains":[{"backend":"10.0.0.1:80","connections":3}]})"),
              HasSubstr("(any)            10.0.0.1:80  3\n"));
}

TEST(FlowWishes, BecomeAQueryAndABody) {
  FlowWish wish;
  wish.service = "file/web";
  wish.backend = "[::1]:80";
  EXPECT_EQ(flow_query(wish), "limit=50&service=file/web&backend=%5B%3A%3A1%5D%3A80");
  EXPECT_EQ(drain_body(wish), R"({"backend":"[::1]:80","service":"file/web"})");
  EXPECT_EQ(drain_body({}), "{}");
}

TEST(RefusalText, IsASentence) {
  EXPECT_EQ(refusal_text(R"({"reason":"Schema","message":"is wrong","pointer":"/backend"})"),
            "Schema: is wrong (/backend)");
}

}  // namespace
}  // namespace lb::cli
