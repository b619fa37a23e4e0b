// Which Secrets are asked for, and what becomes of Services before and after these are heard of.
#include <gmock/gmock.h>

#include "tests/unit/controller/program/reconciler_fixture.hpp"

namespace lb::controller {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

constexpr char kWeb[] = "kubernetes/default/web-tls";

class WantedSecretsTest : public ReconcilerTest {
 protected:
  WantedSecretsTest() { dataplane.features = R"("protocol=tcp","ports.tls.mode=terminate")"; }
  static ServiceBuilder web() {
    return plan::service("web").annotated("empalme.io/tls.secrets", "web-tls");
  }
  void give() {
    reconciler.certificates(
        "kubernetes/", {{{kWeb, std::make_shared<const plan::Certificate>("A", "key", "A")}}, {}});
  }
  bool served() { return !dataplane.held.services.empty(); }
};

TEST_F(WantedSecretsTest, AreThoseThatServicesOfOursName) {
  contact();
  sync({web(), plan::service("other")
                   .classed("example.com/lb")
                   .annotated("empalme.io/tls.secrets", "not-ours")});
  EXPECT_THAT(wanted_secrets, ElementsAre(kWeb));
}

TEST_F(WantedSecretsTest, OfAServiceThatIsRefusedAreNone) {
  contact();
  sync({web().annotated("empalme.io/max-connections", "many")});
  EXPECT_THAT(wanted_secrets, IsEmpty());
}

TEST_F(WantedSecretsTest, AreToldAtTheBeginningEvenWhereThereAreNone) {
  wanted_secrets = {"from before"};
  contact();
  sync({plan::service("web")});
  EXPECT_THAT(wanted_secrets, IsEmpty());
}

TEST_F(WantedSecretsTest, ThatNobodyAnswersForAreNotWaitedForForEver) {
  serve();
  reconciler.start();
  sync({web()});
  EXPECT_TRUE(run_until(io, [&] { return served(); })) << "after secret_wait";
  EXPECT_EQ(reconciler.counters().certificates_given_up, 1u);
  EXPECT_THAT(reconciler.problems(), IsEmpty());
}

TEST_F(WantedSecretsTest, ThatWereGivenUpKeepNobodyElseWaitingEither) {
  serve();
  reconciler.start();
  sync({web()});
  ASSERT_TRUE(run_until(io, [&] { return served(); }));
  reconciler.upsert(plan::service("shop").annotated("empalme.io/tls.secrets", "web-tls").source());
  ASSERT_TRUE(run_until(io, [&] { return dataplane.held.services.size() == 2; }));
  EXPECT_EQ(reconciler.counters().certificates_given_up, 1u);
}

TEST_F(WantedSecretsTest, AreNoneOnceTheServiceIsGone) {
  contact();
  sync({web()});
  reconciler.remove(web().key());
  run();
  EXPECT_THAT(wanted_secrets, IsEmpty());
}

TEST_F(WantedSecretsTest, AreNoneWhileSomebodyElseLeads) {
  contact();
  sync({web()});
  reconciler.lead(false);
  EXPECT_THAT(wanted_secrets, IsEmpty());
  reconciler.lead(true);
  contact();
  EXPECT_THAT(wanted_secrets, ElementsAre(kWeb));
}

TEST_F(WantedSecretsTest, ComeAheadOfTheServiceThatNamesThem) {
  serve();
  sync({web()});
  ASSERT_TRUE(run_until(io, [&] { return !wanted_secrets.empty(); }));
  run(50ms);
  EXPECT_FALSE(served()) << "nothing is heard of its certificate";
  EXPECT_THAT(reconciler.problems(), ElementsAre(Pair("CertificateAwaited", 1u)));
  give();
  ASSERT_TRUE(run_until(io, [&] { return served(); }));
  EXPECT_EQ(reconciler.counters().certificates_given_up, 0u);
  EXPECT_EQ(dataplane.certificates[kWeb], "A");
}

TEST_F(WantedSecretsTest, ThatCannotBeReadHoldNothingUp) {
  serve();
  sync({web()});
  reconciler.certificates("kubernetes/", {{}, {{kWeb, {"SecretForbidden", "as told"}}}});
  ASSERT_TRUE(run_until(io, [&] { return served(); }));
  EXPECT_EQ(reconciler.problems_of(web().key()).at(0).reason, "SecretForbidden");
}

TEST_F(WantedSecretsTest, OfAServiceThatIsServedAlreadyChangeNothingUntilTheyAreHeardOf) {
  serve();
  sync({plan::service("web")});
  ASSERT_TRUE(run_until(io, [&] { return served(); }));
  reconciler.upsert(web().source());
  run(50ms);
  EXPECT_EQ(dataplane.held.services.at(0).ports.at(0).tls.mode, TlsMode::kNone);
  give();
  EXPECT_TRUE(run_until(io, [&] {
    return dataplane.held.services.at(0).ports.at(0).tls.mode == TlsMode::kTerminate;
  }));
}

}  // namespace
}  // namespace lb::controller
