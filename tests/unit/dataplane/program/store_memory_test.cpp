// The thread that saves the state when memory runs out: what was to be saved is saved later.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <atomic>
#include <optional>
#include <thread>

#include "dataplane/state_store.hpp"
#include "tests/unit/dataplane/proxy/counting_new.hpp"

namespace lb::dataplane {
namespace {

namespace fs = std::filesystem;
using proxy::FailingThreads;

class StoreMemoryTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "empalme-store-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    open();
    choose_its_thread();
  }
  void TearDown() override {
    store_.reset();
    fs::remove_all(folder_);
  }
  void open() {
    auto opened =
        StateStore::open({folder_, [this](const Error&) { told_ = FailingThreads::choose(); },
                          std::chrono::milliseconds(1)});
    ASSERT_TRUE(opened.ok());
    store_ = std::move(opened).value();
  }
  // The one that tells of a save that fails: a folder is in its way.
  void choose_its_thread() {
    fs::create_directories(folder_ / "state.json");
    store_->save(state(1));
    ASSERT_TRUE(eventually([&] { return told_.load(); }));
    fs::remove_all(folder_ / "state.json");
    failures_before_ = store_->save_failures();
  }
  static std::shared_ptr<const DesiredState> state(uint64_t generation) {
    DesiredState out;
    out.version = {1, generation};
    return std::make_shared<const DesiredState>(std::move(out));
  }
  uint64_t wants() const { return store_->save_failures() - failures_before_; }
  static bool eventually(const std::function<bool()>& holds) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!holds()) {
      if (std::chrono::steady_clock::now() > end) return false;
      std::this_thread::yield();
    }
    return true;
  }

  fs::path folder_;
  std::atomic<bool> told_{false};
  uint64_t failures_before_ = 0;
  std::unique_ptr<StateStore> store_;
};

TEST_F(StoreMemoryTest, WhatCouldNotBeSavedIsSavedWhenThereIsMemory) {
  {
    const FailingThreads failing;
    store_->save(state(2));
    ASSERT_TRUE(eventually([&] { return wants() >= 3; })) << "each try is counted";
    EXPECT_EQ(store_->saves(), 0u);
  }
  ASSERT_TRUE(eventually([&] { return store_->saves() == 1; }));
  EXPECT_EQ(store_->load(), *state(2));
}

TEST_F(StoreMemoryTest, AStateThatCameMeanwhileIsSavedInItsPlace) {
  {
    const FailingThreads failing;
    store_->save(state(2));
    ASSERT_TRUE(eventually([&] { return wants() >= 1; }));
    store_->save(state(3));
    ASSERT_TRUE(eventually([&] { return wants() >= 3; }));
  }
  ASSERT_TRUE(eventually([&] { return store_->saves() == 1; }));
  EXPECT_EQ(store_->load(), *state(3));
}

TEST_F(StoreMemoryTest, AtTheEndItIsTriedAgainForAWhile) {
  std::optional<FailingThreads> failing(std::in_place);
  store_->save(state(2));
  ASSERT_TRUE(eventually([&] { return wants() >= 1; }));
  std::thread stopping([&] { store_->stop(); });
  const uint64_t before = wants();
  ASSERT_TRUE(eventually([&] { return wants() > before + 1; }));
  failing.reset();
  stopping.join();
  EXPECT_EQ(store_->saves(), 1u);
}

TEST_F(StoreMemoryTest, TheEndComesAlthoughThereIsNoMemory) {
  const FailingThreads failing;
  store_->save(state(2));
  store_->stop();
  EXPECT_EQ(store_->saves(), 0u);
  EXPECT_GT(wants(), 5u) << "it has tried";
}

TEST_F(StoreMemoryTest, WhatIsAnotherProcesssNowIsNotSavedAnyMore) {
  {
    const FailingThreads failing;
    store_->save(state(2));
    ASSERT_TRUE(eventually([&] { return wants() >= 1; }));
    store_->abandon();
  }
  EXPECT_EQ(store_->saves(), 0u);
  EXPECT_FALSE(fs::exists(folder_ / "state.json"));
}

}  // namespace
}  // namespace lb::dataplane
