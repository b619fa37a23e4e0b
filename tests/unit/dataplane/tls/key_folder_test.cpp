// Keys on disk: kept apart, readable by nobody else, and only in memory unless that is allowed.
#include "dataplane/tls/key_folder.hpp"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "tests/support/temporary_folder.hpp"

namespace lb::tls {
namespace {

using testing::HasSubstr;

constexpr char kChain[] = "-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n";
constexpr char kKey[] = "-----BEGIN PRIVATE KEY-----\nBB\n-----END PRIVATE KEY-----\n";

class KeyFolderTest : public testing::Test {
 protected:
  static mode_t mode_of(const std::filesystem::path& path) {
    struct stat about {};
    EXPECT_EQ(stat(path.c_str(), &about), 0) << path;
    return about.st_mode & 0777;
  }
  std::map<std::string, net::SignedKey> load(const KeyFolder& folder) {
    return folder.load([this](const Error& error) { reports_.push_back(error.message); });
  }

  test::TemporaryFolder here_;
  std::filesystem::path path_ = std::filesystem::path(here_.path()) / "keys";
  std::vector<std::string> reports_;
};

TEST_F(KeyFolderTest, GivesBackWhatWasSaved) {
  const KeyFolder folder = KeyFolder::open(path_, true).value();
  ASSERT_TRUE(folder.save("kubernetes/default/web", {kChain, kKey}).ok());
  ASSERT_TRUE(folder.save("authority", {kChain, ""}).ok());
  const auto loaded = load(KeyFolder::open(path_, true).value());
  ASSERT_EQ(loaded.size(), 2u);
  EXPECT_THAT(loaded.at("kubernetes/default/web").certificate, HasSubstr(kChain));
  EXPECT_THAT(loaded.at("kubernetes/default/web").key, HasSubstr(kKey));
  EXPECT_TRUE(loaded.at("authority").key.empty());
  EXPECT_TRUE(reports_.empty());
}

TEST_F(KeyFolderTest, IsOursAlone) {
  const KeyFolder folder = KeyFolder::open(path_, true).value();
  ASSERT_TRUE(folder.save("a/b", {kChain, kKey}).ok());
  EXPECT_EQ(mode_of(path_), 0700u);
  EXPECT_EQ(mode_of(path_ / "a%b.pem"), 0600u);
}

TEST_F(KeyFolderTest, ForgetsWhatIsRemoved) {
  const KeyFolder folder = KeyFolder::open(path_, true).value();
  ASSERT_TRUE(folder.save("a", {kChain, kKey}).ok());
  EXPECT_TRUE(folder.remove("a").ok());
  EXPECT_TRUE(folder.remove("a").ok()) << "which is gone already";
  EXPECT_TRUE(load(folder).empty());
}

TEST_F(KeyFolderTest, ReportsWhatIsNoneOfOurs) {
  const KeyFolder folder = KeyFolder::open(path_, true).value();
  std::ofstream(path_ / "a b.pem") << kChain;
  std::ofstream(path_ / "readme.txt") << "hello";
  EXPECT_TRUE(load(folder).empty());
  ASSERT_EQ(reports_.size(), 1u);
  EXPECT_THAT(reports_[0], HasSubstr("a b.pem"));
}

TEST_F(KeyFolderTest, IsRefusedWhereItIsAFile) {
  std::ofstream(path_) << "x";
  const auto refused = KeyFolder::open(path_, true);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, "KeysDir");
}

TEST(KeyFolderInMemory, IsTakenWithoutLeaveToPersist) {
  struct stat about {};
  if (stat("/dev/shm", &about) != 0) GTEST_SKIP() << "this host has no /dev/shm";
  const auto path =
      std::filesystem::path("/dev/shm") / ("empalme-keys-" + std::to_string(getpid()));
  EXPECT_TRUE(KeyFolder::open(path, false).ok());
  std::filesystem::remove_all(path);
}

TEST(KeyFolderOnADisk, IsRefusedWithoutLeaveToPersist) {
  const auto refused = KeyFolder::open("/proc/self/keys", false);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, "KeysDir");
}

}  // namespace
}  // namespace lb::tls
