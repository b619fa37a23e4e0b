// What of the answers of an API server is counted as an error, and under which kind.
#include "controller/kube/api_errors.hpp"

#include <gmock/gmock.h>

#include <map>

#include "tests/unit/controller/kube/scripted_client.hpp"

namespace lb::kube {
namespace {

using testing::IsEmpty;
using testing::Pair;
using testing::UnorderedElementsAre;

std::map<std::string, uint64_t> counted(const ApiErrors& errors) {
  std::map<std::string, uint64_t> out;
  for (size_t i = 0; i < ApiErrors::kKinds.size(); ++i) {
    if (errors.of(i) > 0) out[ApiErrors::kKinds[i]] = errors.of(i);
  }
  return out;
}

TEST(ApiErrors, AnswersThatAreHopedForAreNone) {
  ApiErrors errors;
  for (const int status : {200, 201, 204, 304}) errors.count(net::HttpResponse{status, {}, ""});
  errors.count(Error{"Cancelled", "by us"});
  EXPECT_THAT(counted(errors), IsEmpty());
}

TEST(ApiErrors, EveryStatusHasAKindOfItsOwnOrOfItsClass) {
  const std::pair<int, const char*> rows[] = {
      {401, "unauthorized"}, {403, "forbidden"}, {404, "not_found"}, {409, "conflict"},
      {410, "gone"},         {429, "throttled"}, {400, "invalid"},   {422, "invalid"},
      {418, "invalid"},      {500, "server"},    {503, "server"},    {999, "server"}};
  for (const auto& [status, kind] : rows) {
    ApiErrors errors;
    errors.count(net::HttpResponse{status, {}, ""});
    EXPECT_THAT(counted(errors), UnorderedElementsAre(Pair(kind, 1u))) << status;
  }
}

TEST(ApiErrors, WhatDoesNotAnswerHasAKindToo) {
  const std::pair<const char*, const char*> rows[] = {{"Connect", "connect"},
                                                      {"Timeout", "timeout"},
                                                      {"Tls", "tls"},
                                                      {"Closed", "broken_off"},
                                                      {"Whatever", "broken_off"}};
  for (const auto& [code, kind] : rows) {
    ApiErrors errors;
    errors.count(Error{code, ""});
    EXPECT_THAT(counted(errors), UnorderedElementsAre(Pair(kind, 1u))) << code;
  }
}

TEST(ApiErrors, EveryClientOfAFactoryCountsRequestsAndStreams) {
  Script script;
  script.add(200, "{}");
  script.add(403, "{}");
  script.add(429, "{}");
  const auto errors = std::make_shared<ApiErrors>();
  const auto make = counting([&] { return std::make_unique<ScriptedClient>(script); }, errors);
  EXPECT_EQ(make()->request({"GET", "/", {}, {}})->status, 200);
  EXPECT_EQ(make()->request({"GET", "/", {}, {}})->status, 403);
  const auto last = make();
  EXPECT_EQ(last->stream({"GET", "/?watch=1", {}, {}}, [](auto) { return true; })->status, 429);
  last->cancel();
  EXPECT_FALSE(last->request({"GET", "/", {}, {}}));
  EXPECT_THAT(counted(*errors), UnorderedElementsAre(Pair("forbidden", 1u), Pair("throttled", 1u)));
}

}  // namespace
}  // namespace lb::kube
