// Queries of request targets, and files that are replaced whole.
#include "common/net/query.hpp"

#include <gmock/gmock.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "common/net/write_file.hpp"

namespace lb::net {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

TEST(Query, IsSplitAndDecoded) {
  EXPECT_THAT(parse_query("a=1&b=x%2Fy&c"),
              ElementsAre(Pair("a", "1"), Pair("b", "x/y"), Pair("c", "")));
  EXPECT_THAT(parse_query(""), IsEmpty());
  EXPECT_THAT(parse_query("&&a=&"), ElementsAre(Pair("a", "")));
}

TEST(Query, ABrokenEscapeStaysAsItStands) {
  EXPECT_THAT(parse_query("a=%zz%4"), ElementsAre(Pair("a", "%zz%4")));
}

TEST(Query, WhatIsEncodedComesBack) {
  const std::string text = "file/we b&=%\xff";
  EXPECT_THAT(parse_query("x=" + percent_encode(text)), ElementsAre(Pair("x", text)));
}

TEST(WriteFile, ReplacesTheWholeFile) {
  const auto path =
      std::filesystem::temp_directory_path() / ("empalme-file-" + std::to_string(getpid()));
  ASSERT_TRUE(write_file(path, "long text").ok());
  ASSERT_TRUE(write_file(path, "short").ok());
  std::ifstream file(path);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), "short");
  EXPECT_EQ(std::filesystem::status(path).permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  EXPECT_FALSE(std::filesystem::exists(path.string() + ".tmp"));
  std::filesystem::remove(path);
}

TEST(WriteFile, NamesTheFileThatCannotBeWritten) {
  const auto failed = write_file("/nonexistent/folder/file", "x");
  ASSERT_FALSE(failed.ok());
  EXPECT_NE(failed.error().message.find("/nonexistent/folder/file"), std::string::npos);
}

}  // namespace
}  // namespace lb::net
