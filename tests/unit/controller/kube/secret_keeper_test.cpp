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

  static bool holds(const std::function<bool()>& condition) {
    for (int i = 0; i < 10'000 && !condition(); ++i) std::this_thread::sleep_for(1ms);
    return condition();
  }

  FakeSecretServer server;
  std::atomic<int64_t> now{kStart};
  Told told;
};

TEST_F(SecretKeeperTest, WhoeverLeadsMakesTheThreeSecrets) {
  const auto leader = keeper(told, true);
  ASSERT_TRUE(told.reaches(1));
  EXPECT_EQ(told.last(), client_text(handed_out(server.data("tls"), server.data("tls-client"))));
  EXPECT_EQ(leader->counters().writes, 3U);
  EXPECT_FALSE(server.data("tls-ca")["ca.key"].empty());
  EXPECT_FALSE(server.data("tls").contains("ca.key"));
  EXPECT_FALSE(server.data("tls").contains("client.key"));
}

TEST_F(SecretKeeperTest, WhatItMakesLetsTwoTalk) {
  const auto leader = keeper(told, true);
  ASSERT_TRUE(told.reaches(1));
  EXPECT_TRUE(net::TlsIdentity::unset(net::TlsRole::kClient, "")->replace(told.last()));
}

TEST_F(SecretKeeperTest, NothingIsWrittenWhileNothingIsDue) {
  const auto leader = keeper(told, true);
  ASSERT_TRUE(reaches(leader->counters().reads, 10));
  EXPECT_EQ(leader->counters().writes, 3U);
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
  EXPECT_EQ(told.last(), client_text(handed_out(server.data("tls"), server.data("tls-client"))));
}

TEST_F(SecretKeeperTest, AControllersKeyThatDataPlanesCouldReadIsReplacedAndTakenAway) {
  {
    const auto before = keeper(told, true);
    ASSERT_TRUE(told.reaches(1));
  }
  auto both = server.data("tls");
  for (const auto& [key, text] : server.data("tls-client")) both[key] = text;
  server.put("tls", both);
  server.remove("tls-client");
  const auto leader = keeper(told, true);
  ASSERT_TRUE(told.reaches(2));
  EXPECT_FALSE(server.data("tls").contains("client.key"));
  EXPECT_NE(told.last().key, both["client.key"]);
  EXPECT_EQ(told.last().authority, both["ca.crt"]);
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

TEST_F(SecretKeeperTest, ALostAuthorityIsNotReplacedWhileWhatItSignedIsInUse) {
  const auto leader = keeper(told, true);
  ASSERT_TRUE(told.reaches(1));
  const auto authority = server.data("tls-ca"), used = server.data("tls");
  const auto shown = server.data("tls-client");
  const SecretData without_key = {{"ca.crt", authority.at("ca.crt")}};
  for (const bool damaged : {false, true}) {
    damaged ? server.put("tls-ca", without_key) : server.remove("tls-ca");
    now = kStart + 60 * kDay;  // and something would be due
    ASSERT_TRUE(holds([&] { return leader->counters().authority_lost.load(); }));
    EXPECT_TRUE(reaches(leader->counters().reads, leader->counters().reads + 9));
    EXPECT_EQ(server.data("tls-ca"), damaged ? without_key : SecretData{});
    EXPECT_EQ(server.data("tls"), used);
    EXPECT_EQ(server.data("tls-client"), shown);
    now = kStart;
    // A turn that began before would renew what the restored authority finds due.
    ASSERT_TRUE(reaches(leader->counters().reads, leader->counters().reads + 6));
    server.put("tls-ca", authority);
    ASSERT_TRUE(holds([&] { return !leader->counters().authority_lost.load(); }));
  }
  EXPECT_EQ(leader->counters().writes, 3U);
  EXPECT_EQ(server.data("tls"), used) << "restored, it goes on as before";
}

TEST_F(SecretKeeperTest, WhoeverLeadsNoMoreTellsOfNoLostAuthority) {
  const auto leader = keeper(told, true);
  ASSERT_TRUE(told.reaches(1));
  server.remove("tls-ca");
  ASSERT_TRUE(holds([&] { return leader->counters().authority_lost.load(); }));
  leader->lead(false);
  EXPECT_TRUE(holds([&] { return !leader->counters().authority_lost.load(); }));
}

TEST_F(SecretKeeperTest, AnAuthorityIsMadeAnewOnceBothSecretsAreDeleted) {
  const auto leader = keeper(told, true);
  ASSERT_TRUE(told.reaches(1));
  const auto before = told.last();
  server.remove("tls-ca");
  ASSERT_TRUE(holds([&] { return leader->counters().authority_lost.load(); }));
  server.remove("tls");
  ASSERT_TRUE(told.reaches(2));
  EXPECT_NE(told.last().authority, before.authority);
  EXPECT_FALSE(leader->counters().authority_lost);
}

TEST_F(SecretKeeperTest, LostCertificatesAreMadeAnewByTheSameAuthority) {
  const auto leader = keeper(told, true);
  ASSERT_TRUE(told.reaches(1));
  const auto before = told.last();
  server.remove("tls-client");
  ASSERT_TRUE(told.reaches(2));
  EXPECT_EQ(told.last().authority, before.authority);
  server.remove("tls");
  EXPECT_TRUE(holds([&] { return server.data("tls").contains("server.key"); }));
  EXPECT_EQ(server.data("tls")["ca.crt"], before.authority);
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
    server.put("tls-client", {{"client.key", "PRIVATE banana"}});
    EXPECT_TRUE(reaches(leader->counters().writes, 6));
  }
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_THAT(log, HasSubstr("made certificates"));
  EXPECT_THAT(log, Not(HasSubstr("PRIVATE")));
  EXPECT_THAT(log, Not(HasSubstr("BEGIN")));
  EXPECT_THAT(log, Not(HasSubstr(server.data("tls-client")["client.key"].substr(30, 30))));
}

TEST_F(SecretKeeperTest, StopsWhileNothingAnswers) {
  server.refuse_with = 500;
  const auto leader = keeper(told, true);
  leader->stop();
  leader->stop();
}

}  // namespace
}  // namespace lb::kube
