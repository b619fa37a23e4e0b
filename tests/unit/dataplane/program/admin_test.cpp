// The admin API as a function from request to response, over a fake byte path.
#include "dataplane/admin.hpp"

#include <gmock/gmock.h>

#include <optional>

#include "common/model/state_json.hpp"
#include "tests/unit/dataplane/program/fake_path.hpp"

namespace lb::dataplane {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class AdminTest : public testing::Test {
 protected:
  using Answer = std::optional<net::HttpResponse>;

  net::HttpResponse ask(const std::string& method, const std::string& target,
                        std::string body = {}) {
    Answer answer;
    send(method, target, std::move(body), answer);
    return answer.value_or(net::HttpResponse{0, {}, "no answer yet"});
  }
  // As a browser sends what a page asks for.
  net::HttpResponse ask_from_a_page(const std::string& method, const std::string& target,
                                    std::string body = {}) {
    Answer answer;
    admin.handle({method, target, {{"origin", "http://page.example"}}, std::move(body)},
                 [&answer](net::HttpResponse response) { answer = std::move(response); });
    return answer.value_or(net::HttpResponse{0, {}, "no answer yet"});
  }
  void send(const std::string& method, const std::string& target, std::string body,
            Answer& answer) {
    admin.handle({method, target, {}, std::move(body)},
                 [&answer](net::HttpResponse response) { answer = std::move(response); });
  }
  static std::string state(uint64_t generation, std::vector<Service> services = {}) {
    return encode_state({{1, generation}, std::move(services)});
  }
  std::string rev(const std::string& query = "") {
    const std::string body = ask("GET", "/v1/status" + query).body;
    const size_t at = body.find("\"rev\":\"") + 7;
    return body.substr(at, body.find('"', at) - at);
  }
  // Runs what is due; a waiting reader is looked after by a timer of 200 ms.
  void run_until(const Answer& answer) {
    for (int i = 0; i < 100 && !answer; ++i) io.run_one_for(std::chrono::milliseconds(100));
  }

  asio::io_context io;
  FakePath path;
  Coordinator coordinator{path, {}};
  Drains drains{{}, [](const Error&) {}};
  Certificates certificates{std::make_shared<tls::CertificateBook>(), {}, [](const Error&) {}};
  const std::shared_ptr<const std::string> metrics = std::make_shared<const std::string>("m 1\n");
  Admin admin{{io, coordinator, path, [this] { return metrics; }, {"protocol=tcp"}, "i", drains,
               certificates}};
};

TEST_F(AdminTest, ChangesAreRefusedWhileAnotherProcessTakesOver) {
  bool busy = true;
  const auto hands_over = [&] { return busy; };
  Admin handing({io, coordinator, path, [this] { return metrics; }, {}, "i", drains, certificates,
                 hands_over});
  const auto status_of = [&](const char* method, const char* target, std::string body) {
    int out = 0;
    handing.handle({method, target, {}, std::move(body)},
                   [&out](const net::HttpResponse& response) { out = response.status; });
    return out;
  };
  EXPECT_EQ(status_of("PUT", "/v1/state", state(1)), 503);
  EXPECT_EQ(status_of("POST", "/v1/drain", "{}"), 503);
  EXPECT_EQ(status_of("DELETE", "/v1/certificates/a", ""), 503);
  EXPECT_EQ(status_of("GET", "/v1/state", ""), 200);
  EXPECT_TRUE(path.applied.empty());
  busy = false;
  EXPECT_EQ(status_of("PUT", "/v1/state", state(1)), 200);
}

TEST_F(AdminTest, AWebPageChangesNothing) {
  const StatePatch patch{1, 0, 1, {service("file/a", "192.0.2.1")}, {}};
  const net::HttpResponse answers[] = {
      ask_from_a_page("PUT", "/v1/state", state(1)),
      ask_from_a_page("PATCH", "/v1/state", encode_patch(patch)),
      ask_from_a_page("POST", "/v1/drain", R"({"service":"file/a"})"),
      ask_from_a_page("DELETE", "/v1/drain", R"({"service":"file/a"})"),
      ask_from_a_page("DELETE", "/v1/flows/7"), ask_from_a_page("DELETE", "/v1/certificates/a")};
  for (const auto& answer : answers) {
    EXPECT_EQ(answer.status, 403);
    EXPECT_THAT(answer.body, HasSubstr("\"reason\":\"CrossSite\""));
    EXPECT_THAT(answer.body, HasSubstr("Origin"));
  }
  EXPECT_TRUE(path.applied.empty());
  EXPECT_TRUE(path.drains.empty());
  EXPECT_EQ(admin.refusals().at("CrossSite"), std::size(answers));
}

TEST_F(AdminTest, WhatChangesNothingIsAnsweredWhoeverAsks) {
  for (const char* target : {"/v1/state", "/v1/status", "/v1/flows", "/healthz", "/metrics"}) {
    EXPECT_EQ(ask_from_a_page("GET", target).status, 200) << target;
  }
}

TEST_F(AdminTest, PutAppliesAndAnswersWithThePair) {
  const auto answer = ask("PUT", "/v1/state", state(1, {service("file/a", "192.0.2.1")}));
  EXPECT_EQ(answer.status, 200);
  EXPECT_THAT(answer.body, HasSubstr("\"epoch\":1,\"generation\":1"));
  EXPECT_EQ(coordinator.held()->services.size(), 1u);
}

TEST_F(AdminTest, TheAnswerWaitsUntilEveryWorkerHasApplied) {
  path.at_once = false;
  Answer answer;
  send("PUT", "/v1/state", state(1), answer);
  EXPECT_FALSE(answer);
  path.complete();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 200);
}

TEST_F(AdminTest, MalformedTextIs400AndChangesNothing) {
  ask("PUT", "/v1/state", state(1, {service("file/a", "192.0.2.1")}));
  const auto answer = ask("PUT", "/v1/state", "{");
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(coordinator.held()->services.size(), 1u);
  EXPECT_EQ(admin.refusals().at("Syntax"), 1u);
}

TEST_F(AdminTest, AnUnknownFieldIs422WithItsPointer) {
  const auto answer = ask(
      "PUT", "/v1/state",
      R"({"schema":"empalme.io/v1","epoch":1,"generation":1,"services":[{"key":"a","adresses":[]}]})");
  EXPECT_EQ(answer.status, 422);
  EXPECT_THAT(answer.body, HasSubstr("\"pointer\":\"/services/0/adresses\""));
}

TEST_F(AdminTest, TooDeepIs413) {
  EXPECT_EQ(ask("PUT", "/v1/state", std::string(1000, '[')).status, 413);
}

TEST_F(AdminTest, AnOldPairIs409WithWhatIsHeld) {
  ask("PUT", "/v1/state", state(5));
  const auto answer = ask("PUT", "/v1/state", state(4));
  EXPECT_EQ(answer.status, 409);
  EXPECT_THAT(answer.body, HasSubstr("\"epoch\":1,\"generation\":5"));
  EXPECT_EQ(admin.refusals().at("Order"), 1u);
}

TEST_F(AdminTest, PatchChangesOneService) {
  ask("PUT", "/v1/state", state(1, {service("file/a", "192.0.2.1")}));
  StatePatch patch{1, 1, 2, {service("file/b", "192.0.2.2")}, {}};
  EXPECT_EQ(ask("PATCH", "/v1/state", encode_patch(patch)).status, 200);
  EXPECT_EQ(coordinator.held()->services.size(), 2u);
}

TEST_F(AdminTest, GetReturnsWhatIsHeld) {
  ask("PUT", "/v1/state", state(1, {service("file/a", "192.0.2.1")}));
  const auto held = decode_state(ask("GET", "/v1/state").body);
  ASSERT_TRUE(held.ok());
  EXPECT_EQ(*held, *coordinator.held());
}

TEST_F(AdminTest, StatusCarriesInstanceAndFeatures) {
  const auto answer = ask("GET", "/v1/status");
  EXPECT_EQ(answer.status, 200);
  EXPECT_THAT(answer.body, HasSubstr("\"features\":[\"protocol=tcp\"],\"instance\":\"i\""));
}

TEST_F(AdminTest, AWaitingReaderIsToldWhenSomethingChanges) {
  Answer answer;
  send("GET", "/v1/status?since=" + rev() + "&wait=30", {}, answer);
  EXPECT_FALSE(answer);
  ask("PUT", "/v1/state", state(1, {service("file/a", "192.0.2.1")}));
  ASSERT_TRUE(answer);
  EXPECT_THAT(answer->body, HasSubstr("\"key\":\"file/a\""));
}

TEST_F(AdminTest, AWaitingReaderIsToldOfWhatThePathDidByItself) {
  ask("PUT", "/v1/state", state(1, {service("file/a", "192.0.2.1")}));
  Answer answer;
  send("GET", "/v1/status?wait=30&since=" + rev(), {}, answer);
  proxy::PortStatus port;
  port.address = ip("192.0.2.1");
  port.port = 80;
  port.programmed = true;
  path.live = {{"file/a", {port}}};
  admin.notify();
  ASSERT_TRUE(answer);
  EXPECT_THAT(answer->body, HasSubstr("\"programmed\":true"));
}

TEST_F(AdminTest, WhatABackendsHealthChangesIsLookedAtInItsServiceOnly) {
  ask("PUT", "/v1/state",
      state(1, {service("file/a", "192.0.2.1"), service("file/b", "192.0.2.2")}));
  Answer answer;
  send("GET", "/v1/status?wait=30&since=" + rev(), {}, answer);
  const size_t whole = path.whole_looks;
  path.live = {{"file/b", {{ip("192.0.2.2"), 80, Protocol::kTcp, true, "", 0, {}}}}};
  admin.notify("file/b");
  ASSERT_TRUE(answer);
  EXPECT_THAT(answer->body, HasSubstr("\"programmed\":true"));
  EXPECT_EQ(path.whole_looks, whole);
  EXPECT_THAT(path.looked_at.back(), ElementsAre("file/b"));
}

TEST_F(AdminTest, WhatChangesWhileNobodyWaitsIsToldTheNextReader) {
  ask("PUT", "/v1/state", state(1, {service("file/b", "192.0.2.2")}));
  const std::string before = rev();
  path.live = {{"file/b", {{ip("192.0.2.2"), 80, Protocol::kTcp, true, "", 0, {}}}}};
  admin.notify("file/b");
  EXPECT_THAT(ask("GET", "/v1/status?since=" + before).body, HasSubstr("\"programmed\":true"));
}

TEST_F(AdminTest, AWaitThatEndsCostsNoLookAtAllServices) {
  ask("PUT", "/v1/state", state(1, {service("file/a", "192.0.2.1")}));
  Answer answer;
  send("GET", "/v1/status?wait=1&since=" + rev(), {}, answer);
  const size_t whole = path.whole_looks;
  run_until(answer);
  EXPECT_EQ(path.whole_looks, whole);
}

TEST_F(AdminTest, WhatOneChangeIsToldByLooksAtNoOtherService) {
  ask("PUT", "/v1/state",
      state(1, {service("file/a", "192.0.2.1"), service("file/b", "192.0.2.2")}));
  Answer answer;
  send("GET", "/v1/status?since=" + rev() + "&wait=60", {}, answer);
  const size_t whole = path.whole_looks;
  ask("PATCH", "/v1/state",
      encode_patch({1, 1, 2, {service("file/b", "192.0.2.2", {"10.0.0.1"})}, {}}));
  ASSERT_TRUE(answer);
  EXPECT_THAT(answer->body, HasSubstr("10.0.0.1:8080"));
  EXPECT_THAT(answer->body, Not(HasSubstr("file/a")));
  EXPECT_EQ(path.whole_looks, whole);
  EXPECT_THAT(path.looked_at.back(), ElementsAre("file/b"));
}

TEST_F(AdminTest, WhatWasToldWhileItWasAppliedIsToldAgainWhenItIs) {
  ask("PUT", "/v1/state", state(1, {service("file/a", "192.0.2.1")}));
  path.at_once = false;
  Answer change;
  send("PATCH", "/v1/state", encode_patch({1, 1, 2, {service("file/b", "192.0.2.2")}, {}}), change);
  const std::string during = rev();
  Answer answer;
  send("GET", "/v1/status?since=" + during + "&wait=60", {}, answer);
  EXPECT_FALSE(answer);
  path.live = {{"file/b", {{ip("192.0.2.2"), 80, Protocol::kTcp, true, "", 0, {}}}}};
  path.complete();
  ASSERT_TRUE(answer);
  EXPECT_THAT(answer->body, HasSubstr("\"programmed\":true"));
}

TEST_F(AdminTest, WhatWasToldWhileItWasAppliedAndIsTakenBackUnseenIsTakenBack) {
  ask("PUT", "/v1/state", state(1, {service("file/a", "192.0.2.1")}));
  const std::string before = rev();
  path.at_once = false;
  Answer change;
  send("PATCH", "/v1/state", encode_patch({1, 1, 2, {service("file/b", "192.0.2.2")}, {}}), change);
  const std::string during = rev("?since=" + before);
  path.complete();
  path.at_once = true;
  ask("PATCH", "/v1/state", encode_patch({1, 2, 3, {}, {"file/b"}}));
  const auto answer = ask("GET", "/v1/status?since=" + during);
  EXPECT_THAT(answer.body, HasSubstr("\"removed\":[\"file/b\"]"));
}

TEST_F(AdminTest, AFailureThatComesOrGoesIsToldInItsService) {
  ask("PUT", "/v1/state",
      state(1, {service("file/a", "192.0.2.1"), service("file/b", "192.0.2.2")}));
  const std::string before = rev();
  path.failing = {{"file/a", ip("192.0.2.1"), 80, Protocol::kTcp, {}, "AddressInUse", "taken"}};
  const auto answer = ask("GET", "/v1/status?since=" + before);
  EXPECT_THAT(answer.body, HasSubstr("\"reason\":\"AddressInUse\""));
  EXPECT_THAT(path.looked_at.back(), ElementsAre("file/a"));
}

TEST_F(AdminTest, AWaitThatEndsAnswersWithEmptyLists) {
  Answer answer;
  send("GET", "/v1/status?wait=1&since=" + rev(), {}, answer);
  run_until(answer);
  ASSERT_TRUE(answer);
  EXPECT_THAT(answer->body, HasSubstr("\"services\":[],\"removed\":[]"));
}

TEST_F(AdminTest, AnUnknownRevisionDoesNotWait) {
  EXPECT_EQ(ask("GET", "/v1/status?wait=30&since=elsewhere.7").status, 200);
}

TEST_F(AdminTest, StoppingAnswersWhoWaits) {
  Answer answer;
  send("GET", "/v1/status?wait=30&since=" + rev(), {}, answer);
  admin.stop();
  EXPECT_TRUE(answer);
  EXPECT_THAT(ask("GET", "/readyz").body, HasSubstr("stopping"));
  EXPECT_EQ(ask("PUT", "/v1/state", state(9)).status, 503) << "nothing new while it drains";
}

TEST_F(AdminTest, ReadyOnlyOnceAStateIsApplied) {
  EXPECT_EQ(ask("GET", "/readyz").status, 503);
  EXPECT_EQ(ask("GET", "/healthz").status, 200);
  ask("PUT", "/v1/state", state(1));
  EXPECT_EQ(ask("GET", "/readyz").status, 200);
}

TEST_F(AdminTest, RefusesUnknownPathsMethodsAndParameters) {
  EXPECT_EQ(ask("GET", "/v1/nothing").status, 404);
  EXPECT_EQ(ask("DELETE", "/v1/state").status, 405);
  EXPECT_EQ(ask("POST", "/metrics").status, 405);
  EXPECT_EQ(ask("GET", "/v1/status?sinc=1").status, 400);
  EXPECT_EQ(ask("GET", "/v1/status?wait=-1").status, 400);
}

TEST_F(AdminTest, TheObserveHalfCannotReadOrChangeTheState) {
  Answer answer;
  const auto observe = [&](const char* method, const char* target) {
    admin.observe({method, target, {}, {}}, [&](net::HttpResponse r) { answer = std::move(r); });
    return answer->status;
  };
  EXPECT_EQ(observe("GET", "/v1/state"), 404);
  EXPECT_EQ(observe("PUT", "/v1/state"), 404);
  EXPECT_EQ(observe("GET", "/metrics"), 200);
  EXPECT_EQ(answer->shared_body, metrics) << "no copy";
}

TEST_F(AdminTest, OnlyAStateMayBeLarge) {
  EXPECT_EQ(Admin::body_limit("PUT", "/v1/state"), kMaxStateBytes);
  EXPECT_LT(Admin::body_limit("GET", "/v1/state"), kMaxStateBytes);
  EXPECT_LT(Admin::body_limit("PUT", "/v1/status?x=/v1/state"), kMaxStateBytes);
}

TEST_F(AdminTest, WhileItEndsAReaderWithoutNewsIsToldSo) {
  const std::string known = rev();
  admin.stop();
  EXPECT_EQ(ask("GET", "/v1/status?wait=5&since=" + known).status, 503)
      << "an answer at once would have it ask again at once";
}

TEST_F(AdminTest, ListsConnectionsThatTheFilterLetsPass) {
  proxy::Flow flow;
  flow.id = 7;
  path.live_flows = {flow};
  const auto answer = ask("GET", "/v1/flows?service=a&limit=5");
  EXPECT_EQ(answer.status, 200);
  EXPECT_THAT(answer.body, HasSubstr("\"id\":\"7\""));
  EXPECT_EQ(path.filter.service, "a");
  EXPECT_EQ(ask("GET", "/v1/flows?nonsense=1").status, 400);
}

TEST_F(AdminTest, EndsOneConnection) {
  proxy::Flow flow;
  flow.id = 7;
  path.live_flows = {flow};
  EXPECT_EQ(ask("DELETE", "/v1/flows/7").status, 200);
  EXPECT_EQ(ask("DELETE", "/v1/flows/8").status, 404);
  EXPECT_EQ(ask("DELETE", "/v1/flows/x").status, 400);
  EXPECT_EQ(ask("GET", "/v1/flows/7").status, 405);
}

TEST_F(AdminTest, DrainsAndLifts) {
  const auto answer = ask("POST", "/v1/drain", R"({"service":"file/a"})");
  EXPECT_EQ(answer.status, 200);
  EXPECT_THAT(answer.body, HasSubstr("\"service\":\"file/a\""));
  EXPECT_EQ(path.drains.size(), 1u);
  EXPECT_EQ(ask("POST", "/v1/drain", R"({"backend":"x"})").status, 422);
  EXPECT_EQ(ask("DELETE", "/v1/drain", R"({"service":"file/a"})").body, "{\"drains\":[]}\n");
  EXPECT_TRUE(path.drains.empty());
}

}  // namespace
}  // namespace lb::dataplane
