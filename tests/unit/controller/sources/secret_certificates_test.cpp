// Certificates in Secrets: judged, replaced, kept while what a Secret says is bad, and followed.
#include "controller/sources/secret_certificates.hpp"

#include <gmock/gmock.h>

#include <ctime>

#include "controller/sources/secret_follower.hpp"
#include "tests/unit/controller/kube/fake_secret_server.hpp"
#include "tests/unit/controller/sources/collector.hpp"

namespace lb::sources {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr char kWeb[] = "kubernetes/lb/web";
constexpr char kStaff[] = "kubernetes/lb/staff/ca.crt";
constexpr int64_t kDay = 86'400;

const net::SignedKey& authority() {
  static const auto made =
      net::make_authority("tests", {std::time(nullptr) - kDay, std::time(nullptr) + 100 * kDay})
          .value();
  return made;
}

kube::SecretData made(const std::string& name, int64_t from = -1, int64_t until = 90) {
  const int64_t now = std::time(nullptr);
  const auto pem = net::issue(authority(), name, net::CertificateUse::kServer,
                              {now + from * kDay, now + until * kDay})
                       .value();
  return {{"tls.crt", pem.certificate}, {"tls.key", pem.key}};
}

kube::SecretData with(kube::SecretData data, const std::string& name, const std::string& text) {
  data[name] = text;
  return data;
}

class SecretCertificatesTest : public testing::Test {
 protected:
  SecretCertificatesTest() { certificates.want({kWeb}); }
  bool take(Result<kube::SecretData> data, const std::string& name = "web", int64_t in_days = 0) {
    return certificates.take({{"lb", name}, std::move(data)}, std::time(nullptr) + in_days * kDay);
  }
  Error trouble(const std::string& name = kWeb) const {
    const auto all = certificates.troubles();
    return all.contains(name) ? all.at(name) : Error{"none", ""};
  }
  std::string chain(const std::string& name = kWeb) const {
    const auto all = certificates.all();
    return all.contains(name) ? all.at(name)->chain() : "none";
  }

  SecretCertificates certificates;
};

TEST_F(SecretCertificatesTest, AreTakenIntoUse) {
  const auto data = made("web.example");
  EXPECT_TRUE(take(data));
  EXPECT_EQ(chain(), data.at("tls.crt"));
  EXPECT_THAT(certificates.troubles(), IsEmpty());
  EXPECT_FALSE(take(data)) << "nothing has changed";
}

TEST_F(SecretCertificatesTest, AreReplaced) {
  take(made("web.example"));
  const auto next = made("web.example");
  EXPECT_TRUE(take(next));
  EXPECT_EQ(chain(), next.at("tls.crt"));
}

TEST_F(SecretCertificatesTest, StayWhileTheSecretIsBad) {
  const auto good = made("web.example");
  take(good);
  const auto other = made("web.example");
  const std::pair<kube::SecretData, std::string> cases[] = {
      {with(good, "tls.key", other.at("tls.key")), "KeyDoesNotFit"},
      {with(good, "tls.crt", "no certificate"), "CertificateUnreadable"},
      {with(good, "tls.crt", ""), "CertificateUnreadable"},
      {with(good, "tls.key", ""), "KeyUnreadable"},
      {made("web.example", -9, -1), "CertificateExpired"},
      {made("web.example", 1, 9), "CertificateNotYetValid"},
  };
  for (const auto& [bad, code] : cases) {
    EXPECT_TRUE(take(bad)) << code;
    EXPECT_EQ(trouble().code, code);
    EXPECT_THAT(trouble().message, HasSubstr("Secret lb/web: "));
    EXPECT_THAT(trouble().message, Not(HasSubstr("PRIVATE")));
    EXPECT_EQ(chain(), good.at("tls.crt"));
  }
  EXPECT_TRUE(take(good));
  EXPECT_EQ(trouble().code, "none");
}

TEST_F(SecretCertificatesTest, StayWhenTheSecretIsGoneOrForbidden) {
  take(made("web.example"));
  const std::string before = chain();
  for (const char* code : {"SecretNotFound", "SecretForbidden"}) {
    EXPECT_TRUE(take(Error{code, "as told"}));
    EXPECT_EQ(trouble().code, code);
    EXPECT_EQ(chain(), before);
  }
}

TEST_F(SecretCertificatesTest, AreInNoTroubleWhileTheApiServerIsAway) {
  take(made("web.example"));
  EXPECT_FALSE(take(Error{"SecretUnreadable", "nobody answers"}));
  EXPECT_EQ(trouble().code, "none");
}

TEST_F(SecretCertificatesTest, ThatWereNeverReadAreWhoeverIsToBlame) {
  EXPECT_TRUE(take(Error{"SecretUnreadable", "nobody answers"}));
  EXPECT_EQ(trouble().code, "SecretUnreadable");
  EXPECT_EQ(chain(), "none");
}

TEST_F(SecretCertificatesTest, ThatExpireInTheirSecretAreSaidToAndServedStill) {
  const auto data = made("web.example", -1, 10);
  take(data);
  EXPECT_TRUE(take(data, "web", 11));
  EXPECT_EQ(trouble().code, "CertificateExpired");
  EXPECT_EQ(chain(), data.at("tls.crt"));
}

TEST_F(SecretCertificatesTest, OfAuthoritiesNeedNoKey) {
  certificates.want({kStaff});
  EXPECT_TRUE(take({{{"ca.crt", authority().certificate}}}, "staff"));
  EXPECT_EQ(chain(kStaff), authority().certificate);
  EXPECT_EQ(certificates.all().at(kStaff)->key(), "");
}

TEST_F(SecretCertificatesTest, OneSecretMayBeBoth) {
  certificates.want({kWeb, "kubernetes/lb/web/ca.crt"});
  EXPECT_EQ(certificates.secrets().size(), 1u);
  EXPECT_TRUE(take(with(made("web.example"), "ca.crt", authority().certificate)));
  EXPECT_EQ(certificates.all().size(), 2u);
}

TEST_F(SecretCertificatesTest, OfOtherSourcesAndSecretsArePassedOver) {
  certificates.want({"file/etc/web.pem", kWeb});
  EXPECT_THAT(certificates.secrets(), ElementsAre(kube::SecretName{"lb", "web"}));
  EXPECT_FALSE(take(made("web.example"), "another"));
}

TEST_F(SecretCertificatesTest, AreForgottenOnceNobodyNamesThem) {
  take(made("web.example"));
  certificates.want({});
  EXPECT_THAT(certificates.all(), IsEmpty());
}

class Sink : public test_rig::Collector {
 public:
  Sink() : Collector("kubernetes/") {}
  void certificates(const std::string&, CertificateNews now) override { news = std::move(now); }

  CertificateNews news;
};

class SecretFollowerTest : public testing::Test {
 protected:
  SecretFollowerTest() { follower.start(); }
  kube::SecretReader::Options options() {
    kube::SecretReader::Options out;
    out.make_client = [this] { return std::make_unique<kube::FakeSecretClient>(server); };
    out.period = out.retry = 1ms;
    return out;
  }
  bool until(const std::function<bool()>& holds) {
    const auto end = std::chrono::steady_clock::now() + 10s;
    while (!holds() && std::chrono::steady_clock::now() < end) {
      io.restart();
      io.run_one_for(5ms);
    }
    return holds();
  }

  asio::io_context io;
  kube::FakeSecretServer server;
  Sink sink;
  SecretFollower follower{io, options(), sink};
};

TEST_F(SecretFollowerTest, GivesWhatIsWantedAndEachChangeOfIt) {
  server.put("web", made("web.example"));
  follower.want({kWeb});
  ASSERT_TRUE(until([&] { return sink.news.all.contains(kWeb); }));
  const auto next = made("web.example");
  server.put("web", next);
  EXPECT_TRUE(until([&] { return sink.news.all.at(kWeb)->chain() == next.at("tls.crt"); }));
}

TEST_F(SecretFollowerTest, TellsOfTrouble) {
  follower.want({kWeb});
  ASSERT_TRUE(until([&] { return sink.news.troubles.contains(kWeb); }));
  EXPECT_EQ(sink.news.troubles.at(kWeb).code, "SecretNotFound");
}

TEST_F(SecretFollowerTest, SaysNothingOnceItIsStopped) {
  server.put("web", made("web.example"));
  follower.want({kWeb});
  follower.stop();
  io.restart();
  io.poll();
  EXPECT_THAT(sink.news.all, IsEmpty());
}

}  // namespace
}  // namespace lb::sources
