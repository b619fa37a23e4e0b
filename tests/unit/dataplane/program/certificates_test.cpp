// The calls by which certificates come and go, as a controller makes them.
#include "dataplane/certificates.hpp"

#include <gmock/gmock.h>

#include <ctime>

#include "common/model/json_writer.hpp"
#include "common/model/state_json.hpp"
#include "dataplane/admin.hpp"
#include "dataplane/metrics.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/unit/dataplane/program/fake_path.hpp"

namespace lb::dataplane {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

net::Validity validity(int64_t from, int64_t until) {
  const int64_t now = std::time(nullptr);
  return {now + from, now + until};
}

net::SignedKey made(const std::string& name, net::Validity how = validity(-60, 3600)) {
  static const auto authority = net::make_authority("tests", validity(-60, 3600)).value();
  return net::issue(authority, name, net::CertificateUse::kServer, how).value();
}

std::string body_of(const net::SignedKey& text) {
  wire::JsonWriter out;
  out.begin_object();
  member(out, "certificate", text.certificate);
  member(out, "key", text.key);
  out.end_object();
  return out.take();
}

class CertificatesTest : public testing::Test {
 protected:
  net::HttpResponse ask(const std::string& method, const std::string& name,
                        const std::string& body = "") {
    net::HttpResponse out;
    const std::string target = std::string(Certificates::kPath) + (name.empty() ? "" : "/" + name);
    certificates().handle({method, target, {}, body}, target, coordinator_,
                          [&out](net::HttpResponse response) { out = std::move(response); });
    return out;
  }
  Certificates& certificates() {
    if (!certificates_) {
      auto folder = tls::KeyFolder::open(std::filesystem::path(here_.path()) / "keys", true);
      certificates_ = std::make_unique<Certificates>(
          std::make_shared<tls::CertificateBook>(), std::move(folder).value(),
          [this](const Error& error) { reports_.push_back(error.code); });
    }
    return *certificates_;
  }
  // A state whose only service ends TLS with that certificate.
  void hold(const std::string& name) {
    Service service{"file/web", {*IpAddress::parse("192.0.2.1")}, {}, {}};
    ServicePort port;
    port.port = 443;
    port.tls.mode = TlsMode::kTerminate;
    port.tls.certificates = {name};
    service.ports.push_back(port);
    coordinator_.put({{1, ++generation_}, {service}}, [](const auto&) {});
  }

  test::TemporaryFolder here_;
  FakePath path_;
  Coordinator coordinator_{path_, {}};
  std::unique_ptr<Certificates> certificates_;
  std::vector<std::string> reports_;
  uint64_t generation_ = 0;
};

TEST_F(CertificatesTest, APutSaysWhatWasTakenAndNothingOfTheKey) {
  const auto text = made("web.test");
  const auto answer = ask("PUT", "kubernetes/default/web", body_of(text));
  EXPECT_EQ(answer.status, 200) << answer.body;
  EXPECT_THAT(answer.body, AllOf(HasSubstr(R"("name":"kubernetes/default/web")"),
                                 HasSubstr(R"("names":["web.test"])"), HasSubstr("sha256:"),
                                 HasSubstr("not_after"), Not(HasSubstr("KEY"))));
  const auto list = ask("GET", "");
  EXPECT_THAT(list.body, AllOf(HasSubstr("kubernetes/default/web"), Not(HasSubstr("PRIVATE"))));
}

TEST_F(CertificatesTest, WhatIsRefusedIsToldCountedAndChangesNothing) {
  ask("PUT", "a", body_of(made("a.test")));
  const std::string before = ask("GET", "").body;
  const auto old = ask("PUT", "a", body_of(made("a.test", validity(-60, -1))));
  EXPECT_EQ(old.status, 422);
  EXPECT_THAT(old.body, HasSubstr("CertificateExpired"));
  EXPECT_EQ(ask("PUT", "a", "{").status, 400);
  EXPECT_EQ(ask("PUT", "a", R"({"certificate":1})").status, 422);
  EXPECT_EQ(ask("PUT", "a", R"({"key":"x"})").status, 422);
  EXPECT_EQ(ask("PUT", "../a", body_of(made("a.test"))).status, 422);
  EXPECT_EQ(ask("GET", "").body, before);
  EXPECT_EQ(certificates().refused(), 4u) << "a name that none can have was not looked at";
  EXPECT_EQ(reports_.size(), 4u);
}

TEST_F(CertificatesTest, WhatServesIsAppliedAgainBeforeThePutIsAnswered) {
  hold("a");
  const size_t before = path_.applied.size();
  EXPECT_EQ(ask("PUT", "a", body_of(made("a.test"))).status, 200);
  EXPECT_EQ(path_.applied.size(), before + 1);
}

// Otherwise a data plane without any state would call itself ready.
TEST_F(CertificatesTest, WithoutAStateNothingIsApplied) {
  EXPECT_EQ(ask("PUT", "a", body_of(made("a.test"))).status, 200);
  EXPECT_TRUE(path_.applied.empty());
  EXPECT_FALSE(coordinator_.applied());
}

TEST_F(CertificatesTest, OneThatIsNamedStays) {
  ask("PUT", "a", body_of(made("a.test")));
  hold("a");
  const auto refused = ask("DELETE", "a");
  EXPECT_EQ(refused.status, 409);
  EXPECT_THAT(refused.body, HasSubstr("CertificateInUse"));
  hold("b");
  EXPECT_EQ(ask("DELETE", "a").status, 200);
  EXPECT_EQ(ask("DELETE", "a").status, 200) << "which is gone already";
  EXPECT_EQ(ask("GET", "").body, "{\"certificates\":[]}\n");
}

TEST_F(CertificatesTest, ARestartHasThemWithoutBeingTold) {
  ask("PUT", "a/b", body_of(made("a.test")));
  const std::string before = ask("GET", "").body;
  certificates_.reset();
  EXPECT_EQ(ask("GET", "").body, before);
  ask("DELETE", "a/b");
  certificates_.reset();
  EXPECT_EQ(ask("GET", "").body, "{\"certificates\":[]}\n");
}

// As a process that was not restarted would.
TEST_F(CertificatesTest, OneThatHasRunOutMeanwhileIsStillServedAfterARestart) {
  const auto folder = tls::KeyFolder::open(std::filesystem::path(here_.path()) / "keys", true);
  ASSERT_TRUE(folder->save("a", made("a.test", validity(-60, -1))).ok());
  EXPECT_THAT(ask("GET", "").body, HasSubstr("a.test"));
  EXPECT_THAT(reports_, testing::ElementsAre("CertificateExpired"));
}

TEST_F(CertificatesTest, OneThatNobodyNamesTouchesNothing) {
  hold("a");
  const size_t before = path_.applied.size();
  EXPECT_EQ(ask("PUT", "b", body_of(made("b.test"))).status, 200);
  EXPECT_EQ(path_.applied.size(), before);
}

TEST_F(CertificatesTest, SeriesAreOfThoseThatRunOutFirst) {
  ask("PUT", "a", body_of(made("a.test", validity(-60, 900))));
  ask("PUT", "b", body_of(made("b.test", validity(-60, 300))));
  ask("PUT", "c", body_of(made("c.test", validity(-60, 600))));
  Metrics out;
  add_certificate_metrics(out, certificates(), 2);
  const std::string shown = ops::metrics_text(out);
  const std::string of = "empalme_dataplane_certificate_not_after_seconds{certificate=";
  EXPECT_THAT(shown, AllOf(HasSubstr(of + "\"b\"}"), HasSubstr(of + "\"c\"}"),
                           Not(HasSubstr(of + "\"a\"}"))));
  EXPECT_THAT(shown, HasSubstr("empalme_dataplane_certificates_without_series 1\n"));
}

TEST_F(CertificatesTest, OtherMethodsAreRefused) {
  EXPECT_EQ(ask("POST", "a", "{}").status, 405);
  EXPECT_EQ(ask("PUT", "", "{}").status, 405);
}

TEST(CertificatePaths, AreOnesOwn) {
  EXPECT_TRUE(Certificates::owns("/v1/certificates"));
  EXPECT_TRUE(Certificates::owns("/v1/certificates/a/b"));
  EXPECT_FALSE(Certificates::owns("/v1/certificatesx"));
}

TEST(CertificateBodies, MayBeLargerThanOthers) {
  EXPECT_EQ(Admin::body_limit("PUT", "/v1/certificates/a"), size_t{1} << 20);
  EXPECT_LT(Admin::body_limit("DELETE", "/v1/certificates/a"), size_t{1} << 20);
}

}  // namespace
}  // namespace lb::dataplane
