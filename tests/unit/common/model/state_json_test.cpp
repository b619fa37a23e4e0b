#include "common/model/state_json.hpp"

#include <gtest/gtest.h>

namespace lb {
namespace {

std::string document(const std::string& services) {
  return R"({"schema":"empalme.io/v1","epoch":3,"generation":17,"services":[)" + services + "]}";
}

std::string web(const std::string& port_fields, const std::string& more = "") {
  return R"({"key":"file/web","addresses":["192.0.2.10"],"ports":[{"port":80)" + port_fields +
         "}]" + more + "}";
}

Error refusal(const std::string& text) {
  const auto decoded = decode_state(text);
  EXPECT_FALSE(decoded.ok()) << text;
  return decoded.ok() ? Error{} : decoded.error();
}

Policy port_policy(const std::string& services) {
  const auto decoded = decode_state(document(services));
  EXPECT_TRUE(decoded.ok()) << decoded.error().message << decoded.error().pointer;
  return decoded.ok() ? decoded->services[0].ports[0].policy : Policy{};
}

TEST(DecodeState, ReadsADocument) {
  const auto state = decode_state(document(
      web(R"(,"name":"http","protocol":"tcp","backends":[{"address":"10.244.1.2","port":8080,
          "weight":5,"state":"draining","name":"web-7f","node":"n1","zone":"a"}])")));
  ASSERT_TRUE(state.ok()) << state.error().message;
  EXPECT_EQ(state->version, (Version{3, 17}));
  const auto& backend = state->services[0].ports[0].backends[0];
  EXPECT_EQ(backend.endpoint().to_string(), "10.244.1.2:8080");
  EXPECT_EQ(backend.weight, 5);
  EXPECT_EQ(backend.state, BackendState::kDraining);
  EXPECT_EQ(backend.node, "n1");
}

TEST(DecodeState, FillsInDocumentedDefaults) { EXPECT_EQ(port_policy(web("")), Policy{}); }

TEST(DecodeState, MergesPortPolicyOverTheServices) {
  const Policy policy =
      port_policy(web(R"(,"policy":{"drain_s":1,"health":{"rise":4}})",
                      R"(,"policy":{"drain_s":9,"hedge_ms":7,"health":{"type":"tcp"}})"));
  EXPECT_EQ(policy.drain_s, 1U);
  EXPECT_EQ(policy.hedge_ms, 7U);
  EXPECT_EQ(policy.health.rise, 4U);
  EXPECT_EQ(policy.health.type, HealthType::kTcp);
}

TEST(DecodeState, TreatsAnExplicitDefaultAsAbsent) {
  EXPECT_EQ(*decode_state(document(web(R"(,"policy":{"balance":"round_robin","drain_s":30})"))),
            *decode_state(document(web(""))));
}

TEST(DecodeState, SortsEveryList) {
  const auto one =
      decode_state(document(R"({"key":"b"},{"key":"a","addresses":["::1","10.0.0.2","10.0.0.1"],
    "ports":[{"port":443},{"port":80,"backends":[{"address":"10.0.0.9","port":2},{"address":"10.0.0.9","port":1}]}]})"));
  ASSERT_TRUE(one.ok()) << one.error().message;
  EXPECT_EQ(one->services[0].key, "a");
  EXPECT_EQ(one->services[0].addresses[2].to_string(), "::1");
  EXPECT_EQ(one->services[0].ports[0].port, 80);
  EXPECT_EQ(one->services[0].ports[0].backends[0].port, 1);
}

TEST(DecodeState, PointsAtAnUnknownField) {
  const Error error = refusal(document(web(R"(,"bakends":[])")));
  EXPECT_EQ(error.code, "Schema");
  EXPECT_EQ(error.pointer, "/services/0/ports/0/bakends");
  EXPECT_EQ(http_status(error), 422);
}

TEST(DecodeState, EscapesThePointer) {
  EXPECT_EQ(refusal(document(web(R"(,"a/b~c":1)"))).pointer, "/services/0/ports/0/a~1b~0c");
}

TEST(DecodeState, RefusesNumbersOutOfRangeInsteadOfWrapping) {
  for (const char* port : {"99999", "0", "-1", "80.0", "\"80\"", "null", "1e2", "true"}) {
    const Error error =
        refusal(document(R"({"key":"a","ports":[{"port":)" + std::string(port) + "}]}"));
    EXPECT_EQ(error.pointer, "/services/0/ports/0/port") << port;
  }
}

TEST(DecodeState, RefusesUnknownEnumValuesByName) {
  const Error error = refusal(document(web(R"(,"policy":{"balance":"fastest"})")));
  EXPECT_EQ(error.pointer, "/services/0/ports/0/policy/balance");
  EXPECT_NE(error.message.find("fastest"), std::string::npos);
}

TEST(DecodeState, RefusesTheSameThingTwice) {
  EXPECT_EQ(refusal(document(R"({"key":"a"},{"key":"a"})")).pointer, "/services/1");
  EXPECT_EQ(refusal(document(R"({"key":"a","ports":[{"port":1},{"port":1}]})")).pointer,
            "/services/0/ports/1");
  EXPECT_EQ(
      refusal(
          document(web(
              R"(,"backends":[{"address":"10.0.0.1","port":1},{"address":"10.0.0.1","port":1}])")))
          .pointer,
      "/services/0/ports/0/backends/1");
}

TEST(DecodeState, AllowsOnePortNumberForTcpAndUdp) {
  EXPECT_TRUE(
      decode_state(document(R"({"key":"a","ports":[{"port":53,"protocol":"udp"},{"port":53}]})"))
          .ok());
}

TEST(DecodeState, RefusesDuplicateMembersAsSyntax) {
  const Error error = refusal(R"({"schema":"empalme.io/v1","epoch":1,"epoch":2,"generation":1})");
  EXPECT_EQ(error.code, "Syntax");
  EXPECT_EQ(error.pointer, "/epoch");
  EXPECT_EQ(http_status(error), 400);
}

TEST(DecodeState, PointsIntoListsForDuplicateMembers) {
  EXPECT_EQ(refusal(R"({"a":[1,{"b":[]},{"x":1,"x":2}]})").pointer, "/a/2/x");
}

TEST(DecodeState, NamesLineAndColumnOfMalformedText) {
  const Error error = refusal("{\n  \"schema\": nope}");
  EXPECT_EQ(error.code, "Syntax");
  EXPECT_NE(error.message.find("line 2, column"), std::string::npos) << error.message;
}

TEST(DecodeState, RefusesInvalidUtf8AndTruncation) {
  EXPECT_EQ(refusal("{\"schema\":\"\xff\"}").code, "Syntax");
  EXPECT_EQ(refusal("").code, "Syntax");
  EXPECT_EQ(refusal("{\"schema\":").code, "Syntax");
}

TEST(DecodeState, RefusesDepthBeforeSpendingMemory) {
  const Error error = refusal(std::string(1'000'000, '['));
  EXPECT_EQ(error.code, "TooDeep");
  EXPECT_EQ(http_status(error), 413);
}

TEST(DecodeState, RefusesMoreThanTheLimit) {
  const Error error = refusal(std::string(kMaxStateBytes + 1, ' '));
  EXPECT_EQ(error.code, "TooLarge");
  EXPECT_EQ(http_status(error), 413);
}

TEST(DecodeState, RefusesAnotherSchema) {
  EXPECT_EQ(refusal(R"({"schema":"empalme.io/v2","epoch":1,"generation":1})").pointer, "/schema");
}

TEST(DecodeState, RefusesEpochsThatJsonNumbersCannotCarry) {
  EXPECT_EQ(
      refusal(R"({"schema":"empalme.io/v1","epoch":9007199254740992,"generation":1})").pointer,
      "/epoch");
}

TEST(DecodePatch, RefusesAKeyThatIsChangedAndRemoved) {
  const auto patch = decode_patch(R"({"schema":"empalme.io/v1","epoch":1,"base_generation":1,
      "generation":2,"changed":[{"key":"a"}],"removed":["a"]})");
  ASSERT_FALSE(patch.ok());
  EXPECT_EQ(patch.error().pointer, "/changed/0");
}

TEST(DecodeState, APortOverridesTheZoneAndTheThreshold) {
  const auto state = decode_state(document(R"({"key":"k","addresses":["10.0.0.1"],
    "policy":{"prefer_zone":true,"health":{"panic_percent":40}},
    "ports":[{"port":1},{"port":2,"policy":{"prefer_zone":false,"health":{"panic_percent":0}}}]})"));
  ASSERT_TRUE(state.ok()) << state.error().message;
  const auto& ports = state->services[0].ports;
  EXPECT_TRUE(ports[0].policy.prefer_zone);
  EXPECT_EQ(ports[0].policy.health.panic_percent, 40U);
  EXPECT_FALSE(ports[1].policy.prefer_zone);
  EXPECT_EQ(ports[1].policy.health.panic_percent, 0U);
  EXPECT_FALSE(Policy{}.prefer_zone);
  EXPECT_EQ(HealthPolicy{}.panic_percent, 0U);
}

TEST(DecodeState, RefusesThresholdsAndNamesThatCannotBe) {
  const auto pointer = [](const std::string& policy) {
    return refusal(document(R"({"key":"k","policy":)" + policy + "}")).pointer;
  };
  EXPECT_EQ(pointer(R"({"health":{"panic_percent":101}})"),
            "/services/0/policy/health/panic_percent");
  EXPECT_EQ(pointer(R"({"prefer_zone":1})"), "/services/0/policy/prefer_zone");
  for (const char* name : {"a b", "../x", "b\\u0000r", "sixteen-letters-"}) {
    EXPECT_EQ(pointer(std::string(R"({"congestion":")") + name + "\"}"),
              "/services/0/policy/congestion")
        << name;
  }
  EXPECT_EQ(port_policy(web(R"(,"policy":{"congestion":"bbr2_x-1.0"})")).congestion, "bbr2_x-1.0");
}

TEST(EncodeState, RoundTripsEveryField) {
  const auto state = decode_state(document(R"({"key":"k","addresses":["10.0.0.1"],
    "policy":{"balance":"maglev","source_ranges":["10.0.0.0/8"],"accept_proxy_from":["::/0"],
      "health":{"type":"http","path":"/x","host":"h","port":81,"panic_percent":40},
      "ejection":{"refused":0},"slow_start_s":30,"prefer_zone":true,"sticky_groups":true,"congestion":"bbr","busy_poll_us":50},
    "ports":[{"port":443,"name":"tls","policy":{"source_ranges":[],"half_close":false,"when_empty":"wait",
      "prefer_zone":false,"health":{"panic_percent":0}},
      "match":{"names":["b","a"],"sources":["192.0.2.0/24"]},"groups":[{"name":"g","weight":3,"sources":["192.0.2.0/24","10.0.0.0/8"]},{"name":"h"}],
      "tls":{"mode":"terminate","certificates":["c"]},
      "backends":[{"address":"10.0.0.5","port":1,"weight":0,"state":"not_ready","group":"g"}]}]})"));
  ASSERT_TRUE(state.ok()) << state.error().pointer << state.error().message;
  const auto again = decode_state(encode_state(*state));
  ASSERT_TRUE(again.ok()) << again.error().pointer << again.error().message;
  EXPECT_EQ(*again, *state);
  EXPECT_EQ(encode_state(*again), encode_state(*state));
}

TEST(EncodeState, GivesEqualBytesForEqualMeaning) {
  const auto one = decode_state(document(R"({"key":"a"},{"key":"b","policy":{"drain_s":30}})"));
  const auto two = decode_state(document(R"({"key":"b"},{"key":"a","addresses":[]})"));
  EXPECT_EQ(encode_state(*one), encode_state(*two));
}

TEST(EncodeApplyResult, RoundTrips) {
  ApplyResult result{{3, 4}, {}};
  Failure failure;
  failure.key = "k";
  failure.address = *IpAddress::parse("2001:db8::1");
  failure.port = 80;
  failure.backend = "10.0.0.1:1";
  failure.reason = "AddressRefused";
  result.failed.push_back(failure);
  EXPECT_EQ(*decode_apply_result(encode_apply_result(result)), result);
}

TEST(DecodeApplyResult, RefusesNumbersThatNoIntegerHolds) {
  for (const char* text : {R"({"epoch":1e99,"generation":2})", R"({"epoch":1,"generation":-2})",
                           R"({"epoch":1,"generation":2,"failed":[{"port":1e99}]})",
                           R"({"epoch":1,"generation":2,"failed":[{"port":65536}]})",
                           R"({"epoch":"1","generation":2})"}) {
    EXPECT_FALSE(decode_apply_result(text)) << text;
  }
}

TEST(EncodeError, CarriesThePointerAndWhatIsHeld) {
  const Version held{3, 9};
  EXPECT_EQ(encode_error({"Order", "older", ""}, &held),
            R"({"reason":"Order","message":"older","epoch":3,"generation":9})");
  EXPECT_EQ(encode_error({"Schema", "no", "/a"}),
            R"({"reason":"Schema","message":"no","pointer":"/a"})");
}

}  // namespace
}  // namespace lb
