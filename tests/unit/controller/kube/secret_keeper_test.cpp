#include "controller/kube/secret_keeper.hpp"

#include <gmock/gmock.h>

#include "common/net/certificates.hpp"
#include "tests/unit/controller/kube/fake_secret_server.hpp"

namespace lb::kube {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr int64_t kStart = 1'800'000'000;
constexpr int64_t kDay = 86'400;

// What a keeper says, waited for.
class Told {
 public:
  void say(net::TlsText text) {
    const std::lock_guard lock(mutex_);
    texts_.push_back(std::move(text));
    changed_.notify_all();
  }
  bool reaches(size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, 10s, [&] { return texts_.size() >= count; });
  }
  net::TlsText last() {
    const std::lock_guard lock(mutex_);
    return texts_.empty() ? net::TlsText{} : texts_.back();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<net::TlsText> texts_;
};

class SecretKeeperTest : public testing::Test {
 protected:
  std::unique_ptr<SecretKeeper> keeper(Told& to, bool leads) {
    SecretKeeper::Options options;
    options.make_client = [this] { return std::make_unique<FakeSecretClient>(server); };
    options.ns = "lb";
    options.name = "tls";
    options.on_text = [&to](net::TlsText text) { to.say(std::move(text)); };
    options.now = [this] { return now.load(); };
    options.period = options.retry = 1ms;
    auto out = std::make_unique<SecretKeeper>(std::move(options));
    out->lead(leads);
    out->start();
    return out;
  }
  static bool reaches(const std::atomic<uint64_t>& counter, uint64_t value) {
    for (int i = 0; i < 10'000 && counter < value; ++i) std::this_thread::sleep_for(1ms);
    return counter >= value;
  }

  FakeSecretServer server;
  std::atomic<int64_t> now{kStart};
  Told told;
};

TEST_F(SecretKeeperTest, WhoeverLeadsMakesBothSecrets) {
  const auto leader = keeper(told, true);
  ASSERT_TRUE(told.reaches(1));
  EXPECT_EQ(told.last(), client_text(server.data("tls")));
  EXPECT_EQ(leader->counters().writes, 2U);
  EXPECT_FALSE(server.data("tls-ca")["ca.key"].empty());
  EXPECT_FALSE(server.data("tls").contains("ca.key"));
}

TEST_F(SecretKeeperTest, WhatItMakesLetsTwoTalk) {
  const auto leader = keeper(told, true);
  ASSERT_TRUE(told.reaches(1));
  EXPECT_TRUE(net::TlsIdentity::unset(net::TlsRole::kClient, "")->replace(told.last()));
}

TEST_F(SecretKeeperTest, NothingIsWrittenWhileNothingIsDue) {
  const auto leader = keeper(told, true);
  ASSERT_TRUE(reaches(leader->counters().reads, 10));
  EXPECT_EQ(leader->counters().writes, 2U);
}

TEST_F(SecretKeeperTest, WhoeverStandsByOnlyReadsAndNeverTheAuthority) {
  const auto standby = keeper(told, false);
  for (int i = 0; i < 10'000 && server.requests("GET") < 3; ++i) std::this_thread::sleep_for(1ms);
  EXPECT_THAT(server.data("tls"), IsEmpty());
  EXPECT_EQ(server.reads("tls-ca"), 0);
  Told others;
  const auto leader = keeper(others, true);
  ASSERT_TRUE(told.reaches(1));
  EXPECT_EQ(standby->counters().writes, 0U);
  EXPECT_EQ(told.last(), client_text(server.data("tls")));
}

TEST_F(SecretKeeperTest, WhoeverBeginsToLeadMakesThem) {
  const auto heir = keeper(told, false);
  heir->lead(true);
  EXPECT_TRUE(told.reaches(1));
}

TEST_F(SecretKeeperTest, RenewsInTimeAndTellsOfIt) {
  const auto leader = keeper(told, true);
  ASSERT_TRUE(told.reaches(1));
  const auto before = told.last();
  now = kStart + 60 * kDay;
  ASSERT_TRUE(told.reaches(2));
  EXPECT_NE(told.last().certificate, before.certificate);
  EXPECT_EQ(told.last().authority, before.authority);
}

TEST_F(SecretKeeperTest, WhoeverIsSlowerTakesWhatTheOtherMade) {
  const auto made = next_authorities({}, {}, {}, kStart).value();
  server.before_write = [&] { server.put("tls-ca", made); };
  const auto leader = keeper(told, true);
  ASSERT_TRUE(told.reaches(1));
  EXPECT_EQ(leader->counters().conflicts, 1U);
  EXPECT_EQ(server.data("tls-ca"), made);
  EXPECT_EQ(told.last().authority, made.at("ca.crt"));
}

TEST_F(SecretKeeperTest, ARefusalIsCountedAndTriedAgain) {
  server.refuse_with = 403;
  const auto leader = keeper(told, true);
  EXPECT_TRUE(reaches(leader->counters().failures, 2));
  EXPECT_EQ(leader->counters().writes, 0U);
}

TEST_F(SecretKeeperTest, NoKeyIsEverLogged) {
  testing::internal::CaptureStderr();
  {
    const auto leader = keeper(told, true);
    ASSERT_TRUE(told.reaches(1));
    now = kStart + 60 * kDay;
    ASSERT_TRUE(told.reaches(2));
    server.put("tls", {{"client.key", "PRIVATE banana"}});
    EXPECT_TRUE(reaches(leader->counters().writes, 4));
  }
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_THAT(log, HasSubstr("made certificates"));
  EXPECT_THAT(log, Not(HasSubstr("PRIVATE")));
  EXPECT_THAT(log, Not(HasSubstr("BEGIN")));
  EXPECT_THAT(log, Not(HasSubstr(server.data("tls")["client.key"].substr(30, 30))));
}

TEST_F(SecretKeeperTest, StopsWhileNothingAnswers) {
  server.refuse_with = 500;
  const auto leader = keeper(told, true);
  leader->stop();
  leader->stop();
}

}  // namespace
}  // namespace lb::kube
