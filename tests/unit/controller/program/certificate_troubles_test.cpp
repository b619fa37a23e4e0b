// What sources and data planes say of certificates reaches the services that name them.
#include <gmock/gmock.h>

#include "common/model/json.hpp"
#include "controller/explain.hpp"
#include "controller/metrics.hpp"
#include "tests/unit/controller/program/reconciler_fixture.hpp"

namespace lb::controller {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class CertificateTroublesTest : public ReconcilerTest {
 protected:
  CertificateTroublesTest() : ReconcilerTest({"file/"}) {
    dataplane.features = R"("protocol=tcp","ports.tls.mode=terminate")";
  }
  void give(const std::string& chain, plan::CertificateTroubles troubles = {}) {
    auto text = std::make_shared<const plan::Certificate>(chain, "topsecret", chain);
    reconciler.certificates("file/", {{{"file/a", std::move(text)}}, std::move(troubles)});
  }
  void serve_tls() {
    serve();
    plan::SourceService web;
    web.key = "file/web";
    web.addresses = {IpAddress::parse("192.0.2.1").value()};
    web.ports = tls_service("file/web", {"file/a"}).ports;
    reconciler.upsert(std::move(web));
    reconciler.synced("file/", {"file/web"});
    ASSERT_TRUE(run_until(io, [&] { return dataplane.held.services.size() == 1; }));
  }
  std::vector<plan::Problem> problems() const { return reconciler.problems_of("file/web"); }
};

TEST_F(CertificateTroublesTest, OneThatADataPlaneRefusesIsAProblemOfTheServiceAlone) {
  dataplane.refusals.emplace(
      "file/a", net::json_response(422, R"({"reason":"CertificateExpired","message":"old"})"));
  give("A");
  serve_tls();
  ASSERT_TRUE(run_until(io, [&] { return !problems().empty(); }));
  EXPECT_EQ(problems()[0], (plan::Problem{"CertificateExpired", "certificate file/a: old"}));
  ASSERT_TRUE(run_until(io, [&] { return fleet.publication("file/web").has_value(); }))
      << "the state is held nevertheless";
  const auto told = json::parse(explain("file/web", reconciler, fleet));
  EXPECT_EQ(told["problems"][0]["reason"], "CertificateExpired");
  EXPECT_EQ(told["ports"][0]["tls"]["certificates"][0], "file/a");
  EXPECT_EQ(reconciler.problems().at("CertificateExpired"), 1u);
  dataplane.refusals.clear();
  give("A2");
  EXPECT_TRUE(run_until(io, [&] { return problems().empty(); }));
}

TEST_F(CertificateTroublesTest, OneThatItsSourceCannotReadIsAProblemToo) {
  give("A");
  serve_tls();
  give("A", {{"file/a", {"KeyDoesNotFit", "a.pem: of another"}}});
  ASSERT_TRUE(run_until(io, [&] { return !problems().empty(); }));
  EXPECT_EQ(problems()[0].reason, "KeyDoesNotFit");
  EXPECT_EQ(dataplane.certificates["file/a"], "A");
  give("A");
  EXPECT_TRUE(run_until(io, [&] { return problems().empty(); }));
}

TEST_F(CertificateTroublesTest, WhereNoDataPlaneEndsTlsThePortIsLeftOutAndNothingIsPushed) {
  dataplane.features = R"("protocol=tcp")";
  serve();
  ASSERT_TRUE(run_until(io, [&] { return !reconciler.world().features.empty(); }));
  give("A");
  serve_tls();
  EXPECT_THAT(dataplane.held.services.at(0).ports, IsEmpty());
  EXPECT_THAT(dataplane.certificates, IsEmpty());
  ASSERT_FALSE(problems().empty());
  EXPECT_THAT(problems()[0].message, HasSubstr("ports.tls.mode=terminate"));
}

TEST_F(CertificateTroublesTest, AKeyIsInNothingThatIsTold) {
  give("A");
  testing::internal::CaptureStderr();
  serve_tls();
  dataplane.refusals.emplace("file/a", net::json_response(422, R"({"reason":"R"})"));
  give("A2");
  ASSERT_TRUE(run_until(io, [&] { return !problems().empty(); }));
  Metrics rows;
  add_fleet_metrics(rows, fleet);
  add_reconciler_metrics(rows, reconciler);
  const std::string logged = testing::internal::GetCapturedStderr();
  const std::string told = explain("file/web", reconciler, fleet) + ops::metrics_text(rows);
  EXPECT_THAT(logged, HasSubstr("file/a"));
  EXPECT_THAT(logged + told, Not(HasSubstr("topsecret")));
  for (const std::string what : {"refused", "pushed"}) {
    EXPECT_THAT(told, HasSubstr("certificates_" + what + "_total{dataplane=\"one\"} 1"));
  }
}

}  // namespace
}  // namespace lb::controller
