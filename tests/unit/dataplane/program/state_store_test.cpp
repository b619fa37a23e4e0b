// The copy on disk: saved and loaded, corrupt, locked, and a folder that cannot be written.
#include "dataplane/state_store.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>

#include <cstdlib>
#include <fstream>

#include "common/model/state_json.hpp"

namespace lb::dataplane {
namespace {

namespace fs = std::filesystem;
using testing::IsEmpty;
using testing::SizeIs;

class StateStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "empalme-store-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder = name;
  }
  void TearDown() override { fs::remove_all(folder); }

  auto open() {
    return StateStore::open({folder / "state",
                             [this](const Error& error) {
                               const std::lock_guard lock(mutex);
                               errors.push_back(error.code);
                             },
                             std::chrono::milliseconds(1)});
  }
  std::unique_ptr<StateStore> must_open() { return std::move(open()).value(); }

  static std::shared_ptr<const DesiredState> state(uint64_t generation) {
    DesiredState out;
    out.version = {1, generation};
    Service service;
    service.key = "file/a";
    out.services.push_back(service);
    return std::make_shared<const DesiredState>(std::move(out));
  }

  fs::path folder;
  std::mutex mutex;
  std::vector<std::string> errors;
};

TEST_F(StateStoreTest, NothingSavedIsNotAnError) {
  EXPECT_EQ(must_open()->load(), std::nullopt);
  EXPECT_THAT(errors, IsEmpty());
}

TEST_F(StateStoreTest, StopSavesTheLastState) {
  auto store = must_open();
  for (uint64_t generation = 1; generation <= 100; ++generation) store->save(state(generation));
  store.reset();
  EXPECT_EQ(must_open()->load(), *state(100));
  EXPECT_FALSE(fs::exists(folder / "state/state.json.tmp"));
}

TEST(StateStorePause, IsTheIntervalWhereSavingIsCheap) {
  using namespace std::chrono_literals;
  EXPECT_EQ(StateStore::pause_after(1ms, 1s), 1s);
  EXPECT_EQ(StateStore::pause_after(0ms, 1s), 1s);
}

TEST(StateStorePause, GrowsWithTheCostUpToAMinute) {
  using namespace std::chrono_literals;
  EXPECT_EQ(StateStore::pause_after(50ms, 1s), 10s);
  EXPECT_EQ(StateStore::pause_after(10s, 1s), 60s);
  EXPECT_EQ(StateStore::pause_after(10s, 90s), 90s) << "an interval that was asked for stands";
}

TEST_F(StateStoreTest, CorruptFileIsKeptAside) {
  fs::create_directories(folder / "state");
  std::ofstream(folder / "state/state.json") << "{\"schema\": ";
  auto store = must_open();
  EXPECT_EQ(store->load(), std::nullopt);
  EXPECT_EQ(store->load_failures(), 1u);
  EXPECT_THAT(errors, testing::ElementsAre("StateCorrupt"));
  EXPECT_TRUE(fs::exists(folder / "state/state.json.bad"));
  EXPECT_FALSE(fs::exists(folder / "state/state.json"));
}

TEST_F(StateStoreTest, AFileOfALaterVersionServesButForWhatIsNewInIt) {
  fs::create_directories(folder / "state");
  const std::string text =
      R"({"schema":"empalme.io/v1","epoch":1,"generation":4,"services":[{"key":"file/a","later":1}]})";
  std::ofstream(folder / "state/state.json") << text;
  auto store = must_open();
  EXPECT_EQ(store->load(), *state(3)) << "an earlier generation, so that it is sent again";
  EXPECT_EQ(store->load_failures(), 1u);
  EXPECT_THAT(errors, testing::ElementsAre("StatePartlyUsed"));
  std::ifstream aside(folder / "state/state.json.bad");
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(aside), {}), text);
}

TEST_F(StateStoreTest, SecondLockIsRefusedUntilTheFirstGoes) {
  auto first = must_open();
  const auto second = open();
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, "StateDirLocked");
  first.reset();
  EXPECT_TRUE(open().ok());
}

// As after a handoff: two descriptors of one lock, and the folder is free with the last of them.
TEST_F(StateStoreTest, ALockThatAnotherProcessHandedOverServesAndOutlivesIt) {
  auto leaving = must_open();
  net::Fd lock(::fcntl(leaving->lock(), F_DUPFD_CLOEXEC, 0));
  auto coming =
      StateStore::open({.folder = folder / "state", .report = {}, .lock = std::move(lock)});
  ASSERT_TRUE(coming.ok());
  leaving.reset();
  EXPECT_EQ(open().error().code, "StateDirLocked");
  coming.value().reset();
  EXPECT_TRUE(open().ok());
}

TEST_F(StateStoreTest, OneThatIsAbandonedWritesNothingMore) {
  auto store = StateStore::open({folder / "state", {}, std::chrono::hours(1)});
  ASSERT_TRUE(store.ok());
  (*store)->save(state(1));
  while ((*store)->saves() == 0) std::this_thread::yield();
  (*store)->save(state(2));
  (*store)->abandon();
  store.value().reset();
  EXPECT_EQ(must_open()->load(), *state(1));
}

TEST_F(StateStoreTest, UnusableFolderIsSaid) {
  std::ofstream(folder / "state") << "a file";
  const auto store = open();
  ASSERT_FALSE(store.ok());
  EXPECT_EQ(store.error().code, "StateDir");
}

TEST_F(StateStoreTest, FailedSaveIsCountedAndNotFatal) {
  auto store = must_open();
  fs::create_directories(folder / "state/state.json.tmp");  // in the way of the temporary file
  store->save(state(1));
  store->stop();
  EXPECT_EQ(store->save_failures(), 1u);
  EXPECT_THAT(errors, testing::ElementsAre("StateNotSaved"));
}

}  // namespace
}  // namespace lb::dataplane
