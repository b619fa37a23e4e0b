#include "common/model/saved_state.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/model/json.hpp"
#include "common/model/state_json.hpp"

namespace lb {
namespace {

using Json = nlohmann::json;
using testing::ElementsAre;
using testing::StartsWith;

Json document() {
  return Json::parse(R"({"schema":"empalme.io/v1","epoch":2,"generation":9,"services":[
    {"key":"file/a","addresses":["192.0.2.1"],
     "ports":[{"port":80,"backends":[{"address":"192.0.2.7","port":8080}],
               "policy":{"balance":"maglev","health":{"type":"http"}}}]},
    {"key":"file/b"}]})");
}

SavedState decoded(const Json& value) {
  const auto out = decode_saved_state(value.dump());
  EXPECT_TRUE(out.ok());
  return out.ok() ? *out : SavedState{};
}

std::vector<std::string> pointers(const SavedState& saved) {
  std::vector<std::string> out;
  for (const Error& each : saved.passed_over.first) out.push_back(each.pointer);
  return out;
}

TEST(SavedState, IsWhatTheWireSaysWhereAllOfItIsKnown) {
  const SavedState saved = decoded(document());
  EXPECT_EQ(saved.state, *decode_state(document().dump()));
  EXPECT_EQ(saved.passed_over.count, 0u);
}

TEST(SavedState, PassesOverFieldsThatAreNotKnownAnywhere) {
  Json given = document();
  given["later"] = true;
  given["services"][1]["later"] = 1;
  auto& port = given["services"][0]["ports"][0];
  port["later~/"] = Json::array({1});
  port["backends"][0]["later"] = "x";
  port["policy"]["health"]["later"] = Json::object();
  const SavedState saved = decoded(given);
  EXPECT_EQ(saved.state.services, decode_state(document().dump())->services);
  EXPECT_THAT(pointers(saved), testing::UnorderedElementsAre(
                                   "/later", "/services/1/later", "/services/0/ports/0/later~0~1",
                                   "/services/0/ports/0/backends/0/later",
                                   "/services/0/ports/0/policy/health/later"));
}

TEST(SavedState, IsOfAnEarlierVersionWhereSomethingWasPassedOver) {
  Json given = document();
  given["later"] = true;
  const auto version = [&](uint64_t epoch, uint64_t generation) {
    given["epoch"] = epoch;
    given["generation"] = generation;
    return decoded(given).state.version;
  };
  EXPECT_EQ(version(2, 9), (Version{2, 8}));
  EXPECT_EQ(version(2, 1), (Version{2, 0}));
  EXPECT_EQ(version(2, 0), (Version{1, (uint64_t{1} << 53) - 1}));
  EXPECT_EQ(version(0, 2), (Version{0, 1}));
  EXPECT_EQ(version(0, 1), (Version{0, 1})) << "(0, 0) would be nothing at all";
}

TEST(SavedState, TakesTheDefaultForAChoiceThatIsNotKnown) {
  Json given = document();
  given["services"][0]["ports"][0]["policy"]["balance"] = "by_the_moon";
  const SavedState saved = decoded(given);
  EXPECT_EQ(saved.state.services[0].ports[0].policy.balance, Policy().balance);
  EXPECT_EQ(saved.state.services[0].ports[0].policy.health.type, HealthType::kHttp);
  EXPECT_THAT(pointers(saved), ElementsAre("/services/0/ports/0/policy/balance"));
}

// A broken list of sources must not become one that lets everybody in.
TEST(SavedState, LeavesOutAServiceThatIsWrongInWhatIsKnown) {
  Json given = document();
  given["services"][0]["policy"]["source_ranges"] = Json::array({"192.0.2.0/99"});
  const SavedState saved = decoded(given);
  ASSERT_EQ(saved.state.services.size(), 1u);
  EXPECT_EQ(saved.state.services[0].key, "file/b");
  EXPECT_THAT(pointers(saved), ElementsAre(StartsWith("/services/0/policy/source_ranges")));
  EXPECT_EQ(saved.left_out.count, 1u);
}

TEST(SavedState, KeepsTheFirstOfTwoServicesOfOneKey) {
  Json given = document();
  given["services"][1]["key"] = "file/a";
  const SavedState saved = decoded(given);
  ASSERT_EQ(saved.state.services.size(), 1u);
  EXPECT_EQ(saved.state.services[0].ports.size(), 1u);
  EXPECT_THAT(pointers(saved), ElementsAre("/services/1"));
}

// As after a step back from a version that says more of every backend.
TEST(SavedState, PassesOverTheSameFieldOfAnyNumberOfBackends) {
  Json given = document();
  auto& backends = given["services"][0]["ports"][0]["backends"];
  for (int port = 1; port <= 2000; ++port) {
    backends.push_back({{"address", "192.0.2.9"}, {"port", port}, {"later", port}});
  }
  const SavedState saved = decoded(given);
  ASSERT_EQ(saved.state.services.size(), 2u);
  EXPECT_EQ(saved.state.services[0].ports[0].backends.size(), 2001u);
  EXPECT_EQ(saved.passed_over.count, 2000u);
  EXPECT_EQ(saved.passed_over.first.size(), PassedOver::kMostKept);
  EXPECT_EQ(saved.left_out.count, 0u);
}

TEST(SavedState, DoesNotTrustABackendWhoseStateIsNotKnown) {
  Json given = document();
  given["services"][0]["ports"][0]["backends"][0]["state"] = "quarantined";
  const SavedState saved = decoded(given);
  EXPECT_EQ(saved.state.services[0].ports[0].backends[0].state, BackendState::kNotReady);
  EXPECT_EQ(saved.passed_over.count, 1u);
}

TEST(SavedState, LeavesOutAPortThatWouldBeForMoreThanWasMeant) {
  const std::vector<std::pair<const char*, Json>> unknown = {
      {"protocol", "sctp"},
      {"match", {{"paths", Json::array({"/x"})}}},
      {"tls", {{"mode", "sniffed"}}}};
  for (const auto& [field, value] : unknown) {
    SCOPED_TRACE(field);
    Json given = document();
    Json other = given["services"][0]["ports"][0];
    other[field] = value;
    given["services"][0]["ports"].push_back(other);
    const SavedState saved = decoded(given);
    ASSERT_EQ(saved.state.services.size(), 2u);
    EXPECT_EQ(saved.state.services[0].ports.size(), 1u);
    EXPECT_EQ(saved.passed_over.count, 1u);
  }
}

TEST(SavedState, IsRefusedWhereItIsNoState) {
  EXPECT_EQ(decode_saved_state("{").error().code, "Syntax");
  EXPECT_EQ(decode_saved_state("[]").error().code, "Schema");
  Json other = document();
  other["schema"] = "empalme.io/v2";
  EXPECT_EQ(decode_saved_state(other.dump()).error().pointer, "/schema");
  Json not_a_list = document();
  not_a_list["services"] = Json::object();
  EXPECT_EQ(decode_saved_state(not_a_list.dump()).error().pointer, "/services");
}

}  // namespace
}  // namespace lb
