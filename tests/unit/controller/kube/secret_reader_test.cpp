// Secrets read by name, again and again, from an API server that refuses, fails and changes.
#include "controller/kube/secret_reader.hpp"

#include <gmock/gmock.h>

#include <atomic>

#include "tests/unit/controller/kube/fake_secret_server.hpp"

namespace lb::kube {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

class SecretReaderTest : public testing::Test {
 protected:
  ~SecretReaderTest() override { reader.reset(); }  // it tells us what it hears

  void start(std::chrono::milliseconds period = 1ms) {
    SecretReader::Options options;
    options.make_client = [this] { return std::make_unique<FakeSecretClient>(server); };
    options.on_unauthorized = [this] { ++unauthorized; };
    options.on_answers = [this](SecretReader::Answers answers) { hear(std::move(answers)); };
    options.period = period;
    options.retry = 1ms;
    reader = std::make_unique<SecretReader>(std::move(options));
    reader->start();
  }
  void hear(SecretReader::Answers answers) {
    const std::lock_guard lock(mutex_);
    for (auto& each : answers) {
      ++heard_[each.name.name];
      last_.insert_or_assign(each.name.name, std::move(each.data));
    }
    changed_.notify_all();
  }
  // Whether what was heard last of it is so, within ten seconds.
  bool until(const std::string& name, const std::function<bool(const Result<SecretData>&)>& so) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, 10s, [&] { return last_.contains(name) && so(last_.at(name)); });
  }
  bool says(const std::string& name, const std::string& value) {
    return until(name, [&](const auto& data) { return data && data->at("k") == value; });
  }
  bool fails(const std::string& name, const std::string& code) {
    return until(name, [&](const auto& data) { return !data && data.error().code == code; });
  }
  std::string message(const std::string& name) {
    const std::lock_guard lock(mutex_);
    return last_.at(name) ? "" : last_.at(name).error().message;
  }
  int heard(const std::string& name) {
    const std::lock_guard lock(mutex_);
    return heard_[name];
  }

  FakeSecretServer server;
  std::atomic<int> unauthorized{0};
  std::unique_ptr<SecretReader> reader;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, Result<SecretData>> last_;
  std::map<std::string, int> heard_;
};

TEST_F(SecretReaderTest, ReadsWhatItIsToldOfAndNothingElse) {
  server.put("web", {{"k", "1"}});
  server.put("other", {{"k", "2"}});
  start();
  reader->follow({{"lb", "web"}});
  EXPECT_TRUE(says("web", "1"));
  EXPECT_EQ(server.reads("other"), 0);
  EXPECT_EQ(reader->counters().failures, 0u);
}

TEST_F(SecretReaderTest, TellsOfAChange) {
  server.put("web", {{"k", "1"}});
  start();
  reader->follow({{"lb", "web"}});
  ASSERT_TRUE(says("web", "1"));
  server.put("web", {{"k", "2"}});
  EXPECT_TRUE(says("web", "2"));
}

TEST_F(SecretReaderTest, SaysWhichSecretIsNotThere) {
  start();
  reader->follow({{"lb", "web"}});
  ASSERT_TRUE(fails("web", "SecretNotFound"));
  EXPECT_THAT(message("web"), HasSubstr("lb/web"));
  EXPECT_GE(reader->counters().failures, 1u);
  server.put("web", {{"k", "1"}});
  EXPECT_TRUE(says("web", "1")) << "once it is";
}

TEST_F(SecretReaderTest, SaysWhatIsMissingWhereItMayNotRead) {
  server.refuse_with = 403;
  start();
  reader->follow({{"lb", "web"}});
  ASSERT_TRUE(fails("web", "SecretForbidden"));
  EXPECT_THAT(message("web"), HasSubstr("a Role of its namespace"));
}

TEST_F(SecretReaderTest, SaysSoWhereTheServerIsInTrouble) {
  server.refuse_with = 500;
  start();
  reader->follow({{"lb", "web"}});
  EXPECT_TRUE(fails("web", "SecretUnreadable"));
}

TEST_F(SecretReaderTest, TellsWhoeverKeepsTheTokenOfARefusal) {
  server.refuse_with = 401;
  start();
  reader->follow({{"lb", "web"}});
  ASSERT_TRUE(fails("web", "SecretUnreadable"));
  EXPECT_GE(unauthorized, 1);
}

TEST_F(SecretReaderTest, ReadsANewNameWithoutWaitingForTheOthersTurn) {
  server.put("web", {{"k", "1"}});
  server.put("shop", {{"k", "2"}});
  start(1h);
  reader->follow({{"lb", "web"}});
  ASSERT_TRUE(says("web", "1"));
  reader->follow({{"lb", "web"}, {"lb", "shop"}});
  EXPECT_TRUE(says("shop", "2"));
  EXPECT_EQ(heard("web"), 1);
}

TEST_F(SecretReaderTest, ForgetsWhatNobodyAsksForAnyMore) {
  server.put("web", {{"k", "1"}});
  server.put("shop", {{"k", "2"}});
  start();
  reader->follow({{"lb", "web"}});
  ASSERT_TRUE(says("web", "1"));
  reader->follow({{"lb", "shop"}});
  ASSERT_TRUE(says("shop", "2"));
  const int before = server.reads("web");
  server.put("shop", {{"k", "3"}});
  ASSERT_TRUE(says("shop", "3"));
  EXPECT_LE(server.reads("web"), before + 1) << "one read may have been under way";
}

TEST_F(SecretReaderTest, LetsNoNameWaitBehindHundredsOfOthers) {
  std::set<SecretName> names;
  for (int i = 0; i < 300; ++i) names.insert({"lb", "missing-" + std::to_string(i)});
  server.put("zzz", {{"k", "1"}});
  names.insert({"lb", "zzz"});
  start();
  reader->follow(names);
  EXPECT_TRUE(says("zzz", "1"));
}

TEST_F(SecretReaderTest, GivesEachNamespaceItsTurn) {
  std::set<SecretName> names;
  for (int i = 0; i < 1000; ++i) names.insert({"aaa", "missing-" + std::to_string(i)});
  server.put("web", {{"k", "1"}});
  names.insert({"lb", "web"});
  start();
  reader->follow(names);
  ASSERT_TRUE(says("web", "1"));
  EXPECT_LE(reader->counters().reads, 128u) << "it is in the first batch";
}

TEST_F(SecretReaderTest, StopsWithNamesThatWait) {
  start(1h);
  reader->follow({{"lb", "web"}});
  reader->stop();
  reader->stop();
}

}  // namespace
}  // namespace lb::kube
