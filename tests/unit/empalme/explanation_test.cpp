#include "empalme/explanation.hpp"

#include <gmock/gmock.h>

namespace lb::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string shown(const char* json) { return explanation(json).value(); }

TEST(Explanation, SaysThatAllIsWellAndWhy) {
  const auto out = shown(
      R"({"service":"kubernetes/default/web","exists":true,"ours":true,"confirmed":true,
          "addresses":[{"address":"192.0.2.10","why":"it was free","pool":"192.0.2.10-192.0.2.20"}],
          "ports":[{"port":80,"protocol":"tcp","backends":[
            {"backend":"10.0.0.1:8080","state":"ready","name":"web-1","node":"n1"}]}],
          "dataplanes":[{"name":"unix:/x","reach":"answers","holds":"this","acknowledged":"t"}]})");
  EXPECT_THAT(out, HasSubstr("kubernetes/default/web\nServed as asked.\n"));
  EXPECT_THAT(out, HasSubstr("192.0.2.10  192.0.2.10-192.0.2.20  it was free"));
  EXPECT_THAT(out, HasSubstr("80/tcp  10.0.0.1:8080  ready  web-1  n1"));
  EXPECT_THAT(out, HasSubstr("unix:/x     answers  this"));
}

TEST(Explanation, OfAStandbySaysFirstWhoLeadsAndNothingThatItDoesNotKnow) {
  const auto out = shown(
      R"({"service":"k","leading":false,"leader":"empalme-1_x","exists":true,"ours":true,
          "confirmed":false,"ports":[{"port":80,"protocol":"tcp","backends":[]}],
          "conditions":[{"type":"Accepted","status":"True"}]})");
  EXPECT_THAT(out, testing::StartsWith("This controller stands by and does not act: "
                                       "empalme-1_x leads, ask that one.\n"));
  EXPECT_THAT(out, HasSubstr("80/tcp  none"));
  EXPECT_THAT(out, HasSubstr("Accepted"));
  EXPECT_THAT(out, Not(HasSubstr("Not confirmed")));
  EXPECT_THAT(out, Not(HasSubstr("Not served")));
  EXPECT_THAT(out, Not(HasSubstr("data plane")));
}

TEST(Explanation, OfAStandbyThatKnowsOfNoLeaderSaysSo) {
  EXPECT_THAT(shown(R"({"service":"k","leading":false,"leader":""})"),
              HasSubstr("nobody is known to lead"));
}

TEST(Explanation, NamesSourcesThatCannotBeFollowed) {
  const char* kStale = R"({"service":"k","exists":true,"ours":true,"confirmed":true,
      "addresses":[{"address":"a"}],"stale":[{"source":"docker//x","message":"nobody listens"}]})";
  EXPECT_THAT(shown(kStale),
              HasSubstr("Served as asked.\n  SourceStale: docker//x: nobody listens\n"));
}

TEST(Explanation, PutsWhatBlocksFirst) {
  const auto out = shown(
      R"({"service":"k","exists":true,"ours":true,"problems":[
          {"reason":"PoolExhausted","message":"no free address","blocks":true}]})");
  EXPECT_THAT(out, HasSubstr("Not served: no free address.\n  PoolExhausted: no free address\n"));
  EXPECT_THAT(out, HasSubstr("No data plane is known."));
}

TEST(Explanation, SaysWhoseItIsWhenItIsNotOurs) {
  EXPECT_THAT(shown(R"({"service":"k","exists":true,"ours":false,"why_not":"its class is x"})"),
              HasSubstr("Not served by this controller: its class is x."));
}

TEST(Explanation, TellsDegradedFromWell) {
  const auto out = shown(
      R"({"service":"k","exists":true,"ours":true,"confirmed":true,"addresses":[{"address":"a"}],
          "failed":[{"where":"192.0.2.1:80","reason":"PortTakenOnNode","message":"in use"}]})");
  EXPECT_THAT(out, HasSubstr("Served, but not all as asked.\n"
                             "  PortTakenOnNode: 192.0.2.1:80: in use\n"));
}

TEST(Explanation, KnowsAPortWithoutBackendsAndAServiceThatIsGone) {
  EXPECT_THAT(shown(R"({"service":"k","exists":true,"ours":true,"addresses":[{"address":"a"}],
                        "ports":[{"port":80,"protocol":"tcp","backends":[]}]})"),
              HasSubstr("80/tcp  none"));
  EXPECT_THAT(shown(R"({"service":"k","exists":false,"served":true})"), HasSubstr("removal"));
}

TEST(Explanation, LeavesControlCharactersOutAndRefusesWhatIsNoJson) {
  EXPECT_THAT(shown("{\"service\":\"k\\u001b[2J\",\"exists\":false}"), Not(HasSubstr("\x1b")));
  EXPECT_FALSE(explanation("[1").ok());
}

}  // namespace
}  // namespace lb::cli
