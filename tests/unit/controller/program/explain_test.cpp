// The admin API of the controller over a world that sources and a data plane have filled.
#include "common/model/json.hpp"
#include "controller/admin.hpp"

#include <gmock/gmock.h>

#include "common/net/http_server.hpp"
#include "tests/unit/controller/core/builders.hpp"
#include "tests/unit/controller/program/fake_dataplane.hpp"

namespace lb::controller {
namespace {

using nlohmann::json;
using plan::ServiceBuilder;
using testing::HasSubstr;

class ExplainTest : public testing::Test {
 protected:
  ExplainTest() {
    reconciler.set_fleet(fleet);
    fleet.list({{"one", dataplane.address()}});
    fleet.start();
  }
  static Reconciler::Options options() {
    Reconciler::Options out;
    out.pools = {plan::pool("192.0.2.10-192.0.2.12")};
    out.sources = {"kubernetes/"};
    return out;
  }
  void sync(const ServiceBuilder& web) {
    reconciler.upsert(
        web.source({plan::SliceBuilder("web").port("p80", 8080).endpoint("10.0.0.1")}));
    reconciler.synced("kubernetes/", {web.key()});
    run_until(io, [&] {
      return reconciler.counters().plans > 0 && !dataplane.writes.empty() &&
             fleet.members().begin()->second->counters().acknowledged > 0;
    });
  }
  net::HttpResponse get(const std::string& target, const std::string& method = "GET") {
    return answer_admin({method, target, {}, {}}, reconciler, fleet,
                        [](const auto&) { return net::text_response(200, "observed"); });
  }
  json explained(const std::string& name) {
    const auto out = get("/v1/explain?service=" + name);
    EXPECT_EQ(out.status, 200) << out.body;
    return json::parse(out.body);
  }

  asio::io_context io;
  FakeDataplane dataplane{io};
  Reconciler reconciler{io, options(), nullptr};
  Fleet fleet{io, {.coalesce = std::chrono::milliseconds(1)}, reconciler};
};

TEST_F(ExplainTest, NamesThePoolOfAnAddress) {
  sync(plan::service("web").requests("192.0.2.11"));
  EXPECT_EQ(explained("default/web")["addresses"][0]["pool"], "flags");
}

TEST_F(ExplainTest, TellsAddressBackendsAndDataPlanes) {
  sync(plan::service("web").requests("192.0.2.11"));
  const auto out = explained("default/web");
  EXPECT_EQ(out["service"], "kubernetes/default/web");
  EXPECT_EQ(out["ours"], true);
  EXPECT_EQ(out["addresses"][0]["address"], "192.0.2.11");
  EXPECT_EQ(out["addresses"][0]["why"], "the Service asks for it");
  EXPECT_EQ(out["ports"][0]["backends"][0]["backend"], "10.0.0.1:8080");
  EXPECT_EQ(out["dataplanes"][0]["reach"], "answers");
  EXPECT_EQ(out["dataplanes"][0]["holds"], "this");
  EXPECT_EQ(out["confirmed"], true);
  EXPECT_NE(out["dataplanes"][0]["acknowledged"], "");
}

TEST_F(ExplainTest, SaysWhyAServiceIsNotOurs) {
  sync(plan::service("web").classed("example.com/other"));
  EXPECT_THAT(explained("web")["why_not"].get<std::string>(), HasSubstr("example.com/other"));
}

TEST_F(ExplainTest, NamesWhatIsNotAsAsked) {
  sync(plan::service("web").annotated("empalme.io/balance", "banana"));
  EXPECT_EQ(explained("kubernetes/default/web")["problems"][0]["reason"], "InvalidAnnotation");
}

TEST_F(ExplainTest, NamesSourcesThatCannotBeFollowed) {
  sync(plan::service("web"));
  EXPECT_TRUE(explained("default/web")["stale"].empty());
  reconciler.freshness("docker//run/docker.sock", Error{"Connect", "nobody listens"});
  const auto out = explained("default/web")["stale"];
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(out[0]["source"], "docker//run/docker.sock");
  EXPECT_EQ(out[0]["message"], "nobody listens");
}

TEST_F(ExplainTest, RefusesWhatItDoesNotKnow) {
  EXPECT_EQ(get("/v1/explain?service=nobody").status, 404);
  EXPECT_EQ(get("/v1/explain").status, 400);
  EXPECT_EQ(get("/v1/explain?service=x", "DELETE").status, 405);
}

TEST_F(ExplainTest, TheRestIsWhatEverybodyMaySee) { EXPECT_EQ(get("/metrics").body, "observed"); }

TEST_F(ExplainTest, WhoeverStandsBySaysWhoLeads) {
  sync(plan::service("web"));
  EXPECT_EQ(explained("default/web")["leading"], true);
  const auto out = answer_admin(
      {"GET", "/v1/explain?service=default/web", {}, {}}, reconciler, fleet,
      [](const auto&) { return net::text_response(200, ""); }, "empalme-1_x");
  EXPECT_EQ(out.status, 200);
  EXPECT_EQ(json::parse(out.body)["leading"], false);
  EXPECT_EQ(json::parse(out.body)["leader"], "empalme-1_x");
}

}  // namespace
}  // namespace lb::controller
