// Order, replacement and retry of writes, and what they look like.
#include "controller/kube/api_writer.hpp"

#include <gmock/gmock.h>

#include <future>

#include "controller/kube/api_requests.hpp"
#include "tests/unit/controller/kube/scripted_client.hpp"

namespace lb::kube {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class ApiWriterTest : public testing::Test {
 protected:
  static ApiCall call(std::string key, std::string target) {
    return {std::move(key), {"PATCH", std::move(target), {}, {}}};
  }
  Script script;
  int unauthorized = 0;
  ApiWriter writer{
      {[this] { return std::make_unique<ScriptedClient>(script); }, [this] { ++unauthorized; }, 2}};
};

TEST_F(ApiWriterTest, WritesInOrderAndSaysWhatBecameOfIt) {
  script.add(200, "one");
  script.add(409, "two");
  std::promise<int> second;
  writer.push(call("a", "/1"));
  auto last = call("b", "/2");
  last.done = [&](const net::HttpResponse& response) { second.set_value(response.status); };
  writer.push(std::move(last));
  writer.start();
  EXPECT_EQ(second.get_future().get(), 409);
  writer.stop();
  EXPECT_THAT(script.targets(), ElementsAre("/1", "/2"));
  EXPECT_EQ(writer.counters().refused, 1u);
}

TEST_F(ApiWriterTest, ANewerWriteReplacesTheOneThatWaits) {
  writer.push(call("a", "/old"));
  writer.push(call("a", "/new"));
  script.add(200, "");
  writer.start();
  while (script.asked().empty()) std::this_thread::yield();
  writer.stop();
  EXPECT_THAT(script.targets(), ElementsAre("/new"));
  EXPECT_EQ(writer.counters().replaced, 1u);
}

TEST_F(ApiWriterTest, TriesAgainWhatMayPass) {
  script.fail("Connect");
  script.add(503, "");
  script.add(401, "");
  script.add(200, "");
  std::promise<int> done;
  auto one = call("a", "/1");
  one.done = [&](const net::HttpResponse& response) { done.set_value(response.status); };
  writer.push(std::move(one));
  writer.start();
  EXPECT_EQ(done.get_future().get(), 200);
  writer.stop();
  EXPECT_EQ(writer.counters().retries, 3u);
  EXPECT_EQ(unauthorized, 1);
}

TEST_F(ApiWriterTest, WhatIsClearedIsNotWritten) {
  script.add(200, "");
  writer.push(call("a", "/old"));
  writer.clear();
  writer.push(call("b", "/new"));
  writer.start();
  while (script.asked().empty()) std::this_thread::yield();
  writer.stop();
  EXPECT_THAT(script.targets(), ElementsAre("/new"));
  EXPECT_EQ(writer.counters().dropped, 1u);
}

TEST_F(ApiWriterTest, AWriteThatAlwaysFailsHoldsUpNoOther) {
  script.add(500, "a webhook is broken");
  script.add(200, "");
  std::promise<int> done;
  auto good = call("b", "/good");
  good.done = [&](const net::HttpResponse& response) { done.set_value(response.status); };
  writer.push(call("a", "/bad"));
  writer.push(std::move(good));
  writer.start();
  EXPECT_EQ(done.get_future().get(), 200);
  writer.stop();
  EXPECT_THAT(script.targets(), ElementsAre("/bad", "/good"));
}

TEST_F(ApiWriterTest, WaitsAsLongAsTheServerAsks) {
  script.add({net::HttpResponse{429, {{"Retry-After", "1"}}, ""}});
  script.add(200, "");
  std::promise<void> done;
  auto one = call("a", "/1");
  one.done = [&](const net::HttpResponse&) { done.set_value(); };
  const auto began = std::chrono::steady_clock::now();
  writer.push(std::move(one));
  writer.start();
  done.get_future().wait();
  EXPECT_GE(std::chrono::steady_clock::now() - began, std::chrono::seconds(1));
  writer.stop();
}

TEST_F(ApiWriterTest, DropsEventsWhenTooManyWait) {
  for (int i = 0; i < 5; ++i) writer.push(call("", "/event"));
  EXPECT_EQ(writer.counters().dropped, 3u);
}

TEST_F(ApiWriterTest, StopsWhileItWaits) {
  writer.push(call("a", "/1"));
  writer.start();
  writer.stop();
}

TEST(ApiRequests, PatchesTheStatusSubresource) {
  plan::ServicePatch patch;
  patch.ns = "default";
  patch.name = "web";
  patch.resource_version = "7";
  patch.add_finalizers = {plan::kFinalizer};
  const auto request = patch_service(patch, "now");
  EXPECT_EQ(request.method, "PATCH");
  EXPECT_THAT(request.target, HasSubstr("/api/v1/namespaces/default/services/web/status"));
  EXPECT_EQ(net::find(request.headers, "content-type"), "application/strategic-merge-patch+json");
  EXPECT_THAT(request.body, HasSubstr("\"resourceVersion\":\"7\""));
}

TEST(ApiRequests, AnEventNamesTheServiceAndIsNoLongerThanAllowed) {
  const auto request =
      create_event({"default", "web", "u"},
                   {true, "SyncLoadBalancerFailed", std::string(5000, 'x')}, "now", "1.2");
  EXPECT_EQ(request.target, "/api/v1/namespaces/default/events");
  EXPECT_THAT(request.body, HasSubstr("\"type\":\"Warning\""));
  EXPECT_THAT(request.body, HasSubstr("\"uid\":\"u\""));
  EXPECT_LT(request.body.size(), 2000u);
}

}  // namespace
}  // namespace lb::kube
