// Which folders have to be watched for a file, however many links lead to it.
#include "controller/sources/watched_folders.hpp"

#include <gmock/gmock.h>

#include "tests/support/temporary_folder.hpp"

namespace lb::sources {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsSupersetOf;
using testing::SizeIs;
namespace fs = std::filesystem;

class WatchedFoldersTest : public testing::Test {
 protected:
  WatchedFoldersTest() { fs::create_directories(at("a/b")); }
  std::string at(const std::string& path) const { return root + "/" + path; }
  const std::set<std::string>& of(const std::string& path) {
    folders.add(at(path));
    return folders.all();
  }

  test::TemporaryFolder folder;
  const std::string root = fs::canonical(folder.path()).string();
  WatchedFolders folders;
};

TEST_F(WatchedFoldersTest, ThatOfTheFile) {
  EXPECT_THAT(of("a/b/file"), ElementsAre(at("a/b")));
}

TEST_F(WatchedFoldersTest, OneForManyFiles) {
  for (int i = 0; i < 50; ++i) folders.add(at("a/b/" + std::to_string(i)));
  EXPECT_THAT(folders.all(), SizeIs(1));
}

TEST_F(WatchedFoldersTest, ThatOfALinkAndThatOfWhatItLeadsTo) {
  fs::create_symlink("b/file", at("a/link"));
  EXPECT_THAT(of("a/link"), ElementsAre(at("a"), at("a/b")));
}

TEST_F(WatchedFoldersTest, ThoseOfLinksFurtherUp) {
  fs::create_directory_symlink("a", at("current"));
  fs::create_directory_symlink(at("current"), at("other"));
  EXPECT_THAT(of("other/b/file"), IsSupersetOf({root, at("a/b")}));
}

TEST_F(WatchedFoldersTest, TheNearestOfOneThatIsNotThere) {
  EXPECT_THAT(of("a/later/on/file"), ElementsAre(at("a")));
}

TEST_F(WatchedFoldersTest, LinksInACircleEnd) {
  fs::create_symlink("y", at("x"));
  fs::create_symlink("x", at("y"));
  fs::create_directory_symlink("round", at("round"));
  EXPECT_THAT(of("x"), Contains(root));
  EXPECT_THAT(of("round/file"), Contains(root));
}

}  // namespace
}  // namespace lb::sources
