// Certificates go to every data plane ahead of the state that names them, over real sockets.
#include <gmock/gmock.h>

#include "controller/fleet.hpp"
#include "tests/unit/controller/program/fake_dataplane.hpp"

namespace lb::controller {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

plan::CertificatePtr certificate(const std::string& chain) {
  return std::make_shared<const plan::Certificate>(chain, "secret", chain);
}

class Observer : public FleetObserver {
 public:
  void held(const DesiredState&) override {}
  void published(const std::set<std::string>&) override {}
  void features(std::set<std::string>) override {}
  void failed(std::vector<Failure>) override {}
  void health(const std::set<std::string>&) override {}
  void unheard(bool) override {}
  void some_lost(bool) override {}
  void lost(bool) override {}
  void certificates_refused(plan::CertificateTroubles all) override { refused = std::move(all); }

  plan::CertificateTroubles refused;
};

class CertificatesTest : public testing::Test {
 protected:
  void start() {
    fleet.list({{"one", plane.address()}});
    fleet.start();
  }
  bool until(const std::function<bool()>& holds) { return run_until(io, holds); }
  bool holds(const std::string& key) {
    return until([&] {
      const auto out = fleet.publication(key);
      return out && out->confirmed && out->service && fleet.wanted(key) &&
             *out->service == *fleet.wanted(key);
    });
  }
  const Publisher& one() const { return *fleet.members().at("one"); }
  const CertificateCounters& counters() const { return one().certificate_counters(); }

  asio::io_context io;
  FakeDataplane plane{io};
  Observer observer;
  Fleet fleet{io, {.coalesce = 5ms, .offer_again = 3s, .repair_pause = 1ms}, observer};
};

TEST_F(CertificatesTest, NobodyIsAskedAboutCertificatesWhereNoSourceHasAny) {
  start();
  fleet.set("web", service("web"));
  ASSERT_TRUE(holds("web"));
  EXPECT_THAT(plane.calls, ElementsAre("GET /v1/state", "PUT /v1/state"));
}

TEST_F(CertificatesTest, WhatIsThereFromBeforeUsIsTakenAway) {
  plane.certificates = {{"file/a", "A"}, {"theirs/b", "B"}};
  fleet.give_certificates("file/", {});
  start();
  fleet.set("web", service("web"));
  ASSERT_TRUE(until([&] { return !plane.certificates.contains("file/a"); }));
  EXPECT_TRUE(plane.certificates.contains("theirs/b")) << "no source of ours has such names";
}

// Its clock may have been behind.
TEST_F(CertificatesTest, OneThatWasRefusedIsOfferedAgain) {
  plane.refusals.emplace(
      "file/a", net::json_response(422, R"({"reason":"CertificateNotYetValid","message":"soon"})"));
  fleet.give_certificates("file/", {{"file/a", certificate("A")}});
  start();
  fleet.set("web", tls_service("web", {"file/a"}));
  ASSERT_TRUE(until([&] { return !observer.refused.empty(); }));
  plane.refusals.clear();
  EXPECT_TRUE(until([&] { return plane.certificates.contains("file/a"); }));
  EXPECT_TRUE(until([&] { return observer.refused.empty(); }));
}

TEST_F(CertificatesTest, OneThatWasRefusedIsNotOfferedEachSecond) {
  plane.refusals.emplace("file/a", net::json_response(422, R"({"reason":"Tls","message":"no"})"));
  fleet.give_certificates("file/", {{"file/a", certificate("A")}});
  start();
  fleet.set("web", tls_service("web", {"file/a"}));
  ASSERT_TRUE(until([&] { return !observer.refused.empty(); }));
  io.restart();
  io.run_for(1500ms);
  EXPECT_EQ(std::count(plane.calls.begin(), plane.calls.end(), "PUT /v1/certificates/file/a"), 1);
}

TEST_F(CertificatesTest, AreThereBeforeTheStateThatNamesThem) {
  fleet.give_certificates("file/", {{"file/a", certificate("A")}, {"file/b", certificate("B")}});
  start();
  fleet.set("web", tls_service("web", {"file/a", "file/b"}));
  ASSERT_TRUE(holds("web"));
  EXPECT_THAT(plane.calls,
              ElementsAre("GET /v1/state", "GET /v1/certificates", "PUT /v1/certificates/file/b",
                          "PUT /v1/certificates/file/a", "PUT /v1/state"));
  EXPECT_THAT(plane.certificates, ElementsAre(Pair("file/a", "A"), Pair("file/b", "B")));
}

TEST_F(CertificatesTest, WhatTheDataPlaneHasIsNotSentAgain) {
  plane.certificates = {{"file/a", "A"}, {"file/b", "old"}};
  fleet.give_certificates("file/", {{"file/a", certificate("A")}, {"file/b", certificate("B")}});
  start();
  fleet.set("web", tls_service("web", {"file/a", "file/b"}));
  ASSERT_TRUE(holds("web"));
  EXPECT_EQ(plane.certificates["file/b"], "B");
  EXPECT_EQ(counters().pushed, 1u);
}

TEST_F(CertificatesTest, AChangedOneIsPushedByItself) {
  fleet.give_certificates("file/", {{"file/a", certificate("A")}});
  start();
  fleet.set("web", tls_service("web", {"file/a"}));
  ASSERT_TRUE(holds("web"));
  fleet.give_certificates("file/", {{"file/a", certificate("A2")}});
  ASSERT_TRUE(until([&] { return plane.certificates["file/a"] == "A2"; }));
  io.run_for(20ms);
  EXPECT_THAT(plane.writes, ElementsAre("PUT")) << "the state is what it was";
}

TEST_F(CertificatesTest, OneThatAServiceBeginsToNameGoesAheadOfThePatch) {
  fleet.give_certificates("file/", {{"file/a", certificate("A")}, {"file/b", certificate("B")}});
  start();
  fleet.set("web", tls_service("web", {"file/a"}));
  ASSERT_TRUE(holds("web"));
  plane.calls.clear();
  fleet.set("shop", tls_service("shop", {"file/b"}));
  ASSERT_TRUE(holds("shop"));
  EXPECT_THAT(plane.calls, ElementsAre("PUT /v1/certificates/file/b", "PATCH /v1/state"));
}

TEST_F(CertificatesTest, ARestartedDataPlaneGetsThemAgainBeforeTheState) {
  fleet.give_certificates("file/", {{"file/a", certificate("A")}});
  start();
  fleet.set("web", tls_service("web", {"file/a"}));
  ASSERT_TRUE(holds("web"));
  ASSERT_TRUE(until([&] { return !plane.polls.empty(); }));
  plane.instance = "another";
  plane.certificates.clear();
  plane.held = {};
  plane.calls.clear();
  plane.tell_polls();
  ASSERT_TRUE(until([&] { return plane.held.services.size() == 1; }));
  EXPECT_THAT(plane.calls,
              ElementsAre("GET /v1/certificates", "PUT /v1/certificates/file/a", "PUT /v1/state"));
}

TEST_F(CertificatesTest, ThoseThatNobodyNamesAnyMoreAreTakenAwayAfterTheState) {
  plane.certificates = {{"file/left", "from an earlier life"}, {"kubernetes/x/y", "of others"}};
  fleet.give_certificates("file/", {{"file/a", certificate("A")}, {"file/b", certificate("B")}});
  start();
  fleet.set("web", tls_service("web", {"file/a", "file/b"}));
  ASSERT_TRUE(until([&] { return counters().removed == 1; }));
  EXPECT_FALSE(plane.certificates.contains("file/left"));
  plane.calls.clear();
  fleet.set("web", tls_service("web", {"file/a"}));
  ASSERT_TRUE(until([&] { return counters().removed == 2; }));
  EXPECT_THAT(plane.calls, ElementsAre("PATCH /v1/state", "DELETE /v1/certificates/file/b"));
  EXPECT_TRUE(plane.certificates.contains("kubernetes/x/y"));
}

TEST_F(CertificatesTest, ARefusedOneIsToldAndHoldsNothingUp) {
  plane.refusals.emplace("file/a", net::json_response(422, R"({"reason":"CertificateTooWeak",)"
                                                           R"("message":"512 bits"})"));
  fleet.give_certificates("file/", {{"file/a", certificate("A")}, {"file/b", certificate("B")}});
  start();
  fleet.set("web", tls_service("web", {"file/a", "file/b"}));
  ASSERT_TRUE(holds("web"));
  ASSERT_TRUE(observer.refused.contains("file/a"));
  EXPECT_EQ(observer.refused["file/a"], (Error{"CertificateTooWeak", "512 bits"}));
  EXPECT_EQ(counters().refused, 1u);
  EXPECT_EQ(plane.certificates.count("file/b"), 1u);
  fleet.set("shop", service("shop"));
  ASSERT_TRUE(holds("shop"));
  EXPECT_EQ(counters().refused, 1u) << "the same is not offered again";
  plane.refusals.clear();
  fleet.give_certificates("file/", {{"file/a", certificate("A2")}, {"file/b", certificate("B")}});
  ASSERT_TRUE(until([&] { return observer.refused.empty(); }));
  EXPECT_EQ(plane.certificates["file/a"], "A2");
}

TEST_F(CertificatesTest, OneThatIsNoLongerWantedIsNoTroubleEither) {
  plane.refusals.emplace("file/a", net::json_response(422, R"({"reason":"KeyDoesNotFit"})"));
  fleet.give_certificates("file/", {{"file/a", certificate("A")}});
  start();
  fleet.set("web", tls_service("web", {"file/a"}));
  ASSERT_TRUE(until([&] { return !observer.refused.empty(); }));
  fleet.set("web", service("web"));
  EXPECT_TRUE(until([&] { return observer.refused.empty(); }));
}

TEST_F(CertificatesTest, ADataPlaneThatEndsIsAskedAgain) {
  plane.refusals.emplace("file/a", net::json_response(503, "{}"));
  fleet.give_certificates("file/", {{"file/a", certificate("A")}});
  start();
  fleet.set("web", tls_service("web", {"file/a"}));
  ASSERT_TRUE(until([&] { return one().counters().errors > 0; }));
  EXPECT_THAT(plane.writes, IsEmpty()) << "the state waits for what it names";
  plane.refusals.clear();
  ASSERT_TRUE(holds("web"));
  EXPECT_EQ(plane.certificates["file/a"], "A");
}

TEST_F(CertificatesTest, AfterAWriteThatFailedItIsAskedAgainWhatItHas) {
  fleet.give_certificates("file/", {{"file/a", certificate("A")}});
  start();
  fleet.set("web", tls_service("web", {"file/a"}));
  ASSERT_TRUE(holds("web"));
  plane.certificates.clear();
  plane.instead.push_back(net::json_response(409, R"({"reason":"Order","epoch":1})"));
  plane.calls.clear();
  fleet.set("shop", service("shop"));
  ASSERT_TRUE(holds("shop"));
  EXPECT_THAT(plane.calls, ElementsAre("PATCH /v1/state", "GET /v1/certificates",
                                       "PUT /v1/certificates/file/a", "PUT /v1/state"));
}

TEST_F(CertificatesTest, ThoseOfWhatIsKeptForASourceThatIsAwayStay) {
  plane.held = {{1, 1}, {tls_service("web", {"file/a"})}};
  plane.certificates = {{"file/a", "A"}};
  fleet.keep(plane.held.services.at(0));
  fleet.give_certificates("file/", {});
  start();
  ASSERT_TRUE(until([&] { return !plane.writes.empty(); }));
  fleet.set("shop", service("shop"));
  ASSERT_TRUE(holds("shop"));
  EXPECT_TRUE(plane.certificates.contains("file/a"));
  EXPECT_EQ(counters().removed, 0u);
}

TEST_F(CertificatesTest, ADataPlaneFromBeforeThemGetsNone) {
  plane.knows_certificates = false;
  fleet.give_certificates("file/", {{"file/a", certificate("A")}});
  start();
  fleet.set("web", tls_service("web", {"file/a"}));
  ASSERT_TRUE(holds("web"));
  EXPECT_THAT(plane.calls, ElementsAre("GET /v1/state", "GET /v1/certificates", "PUT /v1/state"));
  EXPECT_THAT(observer.refused, IsEmpty());
}

TEST_F(CertificatesTest, OneThatNoSourceHasHoldsNothingUp) {
  start();
  fleet.set("web", tls_service("web", {"file/absent"}));
  EXPECT_TRUE(holds("web"));
}

TEST_F(CertificatesTest, ANewLeadershipBringsThemToo) {
  fleet.give_certificates("file/", {{"file/a", certificate("A")}});
  start();
  fleet.set("web", tls_service("web", {"file/a"}));
  ASSERT_TRUE(holds("web"));
  fleet.stop();
  plane.certificates.clear();
  fleet.start(7);
  fleet.set("web", tls_service("web", {"file/a"}));
  ASSERT_TRUE(until([&] { return plane.held.version.epoch == 7; }));
  EXPECT_EQ(plane.certificates["file/a"], "A");
}

TEST_F(CertificatesTest, WhatSeveralRefuseIsToldOnceWithTheNameOfOne) {
  FakeDataplane second{io};
  for (auto* each : {&plane, &second}) {
    each->refusals.emplace("file/a", net::json_response(422, R"({"reason":"R","message":"m"})"));
  }
  fleet.give_certificates("file/", {{"file/a", certificate("A")}});
  fleet.list({{"one", plane.address()}, {"two", second.address()}});
  fleet.start();
  fleet.set("web", tls_service("web", {"file/a"}));
  ASSERT_TRUE(until([&] {
    return observer.refused.contains("file/a") && observer.refused["file/a"].message == "one: m";
  }));
  EXPECT_EQ(observer.refused.size(), 1u);
  fleet.stop();
}

}  // namespace
}  // namespace lb::controller
