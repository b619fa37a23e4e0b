// Groups of a port's backends on the wire: what is read, and what is refused and where.
#include <gmock/gmock.h>

#include <string>

#include "common/model/state_json.hpp"
#include "common/model/support.hpp"

namespace lb {
namespace {

using testing::Contains;
using testing::HasSubstr;

std::string of_port(const std::string& groups, const std::string& backends) {
  return R"({"schema":"empalme.io/v1","epoch":1,"generation":1,"services":[{"key":"k",
    "addresses":["192.0.2.1"],"ports":[{"port":80,"groups":)" +
         groups + R"(,"backends":)" + backends + "}]}]}";
}

std::string in_group(const std::string& group) {
  return R"([{"address":"10.0.0.1","port":1)" +
         (group.empty() ? "" : R"(,"group":")" + group + "\"") + "}]";
}

TEST(Groups, AreSortedByNameAndTheirSourcesToo) {
  const auto state = decode_state(
      of_port(R"([{"name":"b","weight":10,"sources":["192.0.2.0/24","10.0.0.0/8"]},{"name":"a"}])",
              in_group("b")));
  ASSERT_TRUE(state.ok()) << state.error().message;
  const auto& port = state->services[0].ports[0];
  ASSERT_EQ(port.groups.size(), 2u);
  EXPECT_EQ(port.groups[0], (BackendGroup{"a", 1, {}}));
  EXPECT_EQ(port.groups[1].sources[0].to_string(), "10.0.0.0/8");
  EXPECT_EQ(port.backends[0].group, "b");
}

TEST(Groups, AreServed) {
  const auto state = decode_state(of_port(R"([{"name":"a"}])", in_group("a")));
  EXPECT_EQ(unsupported(state->services[0].ports[0]), std::nullopt);
  EXPECT_THAT(served_features(), Contains("ports.groups"));
  EXPECT_THAT(served_features(), Contains("policy.sticky_groups"));
}

TEST(Groups, OneOfNoBackendsIsNoFault) {
  EXPECT_TRUE(decode_state(of_port(R"([{"name":"a"}])", "[]")).ok());
}

TEST(Groups, ABackendIsOfOneOfThem) {
  const auto other = decode_state(of_port(R"([{"name":"a"}])", in_group("b")));
  ASSERT_FALSE(other.ok());
  EXPECT_EQ(other.error().pointer, "/services/0/ports/0/backends/0/group");
  EXPECT_THAT(other.error().message, HasSubstr("'b' is none of the port's groups"));
  const auto none = decode_state(of_port(R"([{"name":"a"}])", in_group("")));
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().pointer, "/services/0/ports/0/backends/0/group");
  EXPECT_THAT(none.error().message, HasSubstr("is missing"));
}

TEST(Groups, AGroupOfABackendMeansNothingWithoutGroups) {
  EXPECT_TRUE(decode_state(of_port("[]", in_group("a"))).ok());
}

TEST(Groups, WhatIsWrongIsRefusedWhereItStands) {
  const auto pointer = [](const std::string& groups) {
    const auto state = decode_state(of_port(groups, "[]"));
    return state.ok() ? "accepted" : state.error().pointer;
  };
  EXPECT_EQ(pointer(R"([{"name":""}])"), "/services/0/ports/0/groups/0/name");
  EXPECT_EQ(pointer(R"([{"weight":1}])"), "/services/0/ports/0/groups/0/name");
  EXPECT_EQ(pointer(R"([{"name":"a"},{"name":"a"}])"), "/services/0/ports/0/groups/1");
  EXPECT_EQ(pointer(R"([{"name":"a","weight":65536}])"), "/services/0/ports/0/groups/0/weight");
  EXPECT_EQ(pointer(R"([{"name":"a","sources":["x"]}])"), "/services/0/ports/0/groups/0/sources/0");
  std::string many;
  for (int i = 0; i < 65; ++i)
    many += (i ? "," : "") + ("{\"name\":\"" + std::to_string(i)) + "\"}";
  EXPECT_EQ(pointer("[" + many + "]"), "/services/0/ports/0/groups");
}

}  // namespace
}  // namespace lb
