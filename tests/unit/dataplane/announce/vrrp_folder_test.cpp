#include "dataplane/announce/vrrp_folder.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/support/temporary_folder.hpp"

namespace lb::announce {
namespace {

class VrrpFolderTest : public testing::Test {
 protected:
  VrrpFolderTest() { files.folder = base + "/held/vrrp"; }

  static std::string content(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  const test::TemporaryFolder temporary;
  const std::string base = temporary.path();
  VrrpFiles files;
};

TEST_F(VrrpFolderTest, TheFolderIsMadeWithThoseAboveItAndMayBeThere) {
  EXPECT_TRUE(make_folder(files).ok());
  EXPECT_TRUE(make_folder(files).ok());
  EXPECT_TRUE(std::filesystem::is_directory(files.folder));
}

TEST_F(VrrpFolderTest, AFolderThatCannotBeIsAnErrorWithItsName) {
  std::ofstream(base + "/held") << "a file";
  const auto made = make_folder(files);
  ASSERT_FALSE(made.ok());
  EXPECT_NE(made.error().message.find(files.folder), std::string::npos);
}

TEST_F(VrrpFolderTest, AFileIsReplacedAsAWhole) {
  ASSERT_TRUE(make_folder(files).ok());
  ASSERT_TRUE(replace_file(files.config(), "one and more").ok());
  std::ifstream reader(files.config());
  ASSERT_TRUE(replace_file(files.config(), "two").ok());
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(reader), {}), "one and more");
  EXPECT_EQ(content(files.config()), "two");
}

TEST_F(VrrpFolderTest, AFileThatCannotBeWrittenIsAnErrorWithItsName) {
  const auto written = replace_file(files.config(), "text");
  ASSERT_FALSE(written.ok());
  EXPECT_NE(written.error().message.find(files.config()), std::string::npos);
}

TEST_F(VrrpFolderTest, ThePipeTakesThePlaceOfWhatWasThere) {
  ASSERT_TRUE(make_folder(files).ok());
  std::ofstream(files.events()) << "old";
  const auto pipe = make_pipe(files.events());
  ASSERT_TRUE(pipe.ok());
  EXPECT_TRUE(std::filesystem::is_fifo(files.events()));
  struct stat found {};
  ASSERT_EQ(::stat(files.events().c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777, 0600u);
}

TEST_F(VrrpFolderTest, ThePipeDoesNotEndWhileNobodyWrites) {
  ASSERT_TRUE(make_folder(files).ok());
  const auto pipe = make_pipe(files.events());
  ASSERT_TRUE(pipe.ok());
  std::ofstream(files.events()) << "x";
  char byte = 0;
  EXPECT_EQ(::read(pipe->get(), &byte, 1), 1);
  EXPECT_EQ(::read(pipe->get(), &byte, 1), -1);
  EXPECT_EQ(errno, EAGAIN);
}

TEST_F(VrrpFolderTest, APipeThatCannotBeMadeIsAnErrorWithItsName) {
  const auto pipe = make_pipe(files.events());
  ASSERT_FALSE(pipe.ok());
  EXPECT_NE(pipe.error().message.find(files.events()), std::string::npos);
}

}  // namespace
}  // namespace lb::announce
