// Answers of Consul as they are on the wire.
#include "controller/core/consul_instances.hpp"

#include <gmock/gmock.h>

namespace lb::plan {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

// As Consul 1.8 answers, less what nobody reads.
constexpr char kWeb[] = R"([{
  "Node": {"ID": "40e4a748-2192-161a-0510-9bf59fe950b5", "Node": "n1", "Address": "10.1.10.12",
           "Datacenter": "dc1", "Meta": {"zone": "eu-1"}, "CreateIndex": 5, "ModifyIndex": 6},
  "Service": {"ID": "web-1", "Service": "web", "Tags": ["empalme.enable=true", "empalme.tcp.80"],
              "Address": "10.1.10.99", "Meta": null, "Port": 8000,
              "Weights": {"Passing": 10, "Warning": 2}, "EnableTagOverride": false,
              "CreateIndex": 14, "ModifyIndex": 21},
  "Checks": [{"Node": "n1", "CheckID": "serfHealth", "Status": "passing", "ServiceID": ""},
             {"Node": "n1", "CheckID": "service:web-1", "Status": "warning",
              "ServiceID": "web-1"}]}])";

ConsulInstance only(std::string_view text) {
  const auto read = decode_consul_instances(text);
  EXPECT_TRUE(read.ok());
  EXPECT_THAT(read->instances, SizeIs(1));
  return read->instances.empty() ? ConsulInstance{} : read->instances[0];
}

ConsulHealth health_of(const std::string& checks) {
  return only(R"([{"Service":{"ID":"a"},"Checks":[)" + checks + "]}]").health;
}

std::string check(const std::string& id, const std::string& status) {
  return R"({"CheckID":")" + id + R"(","Status":")" + status + R"("})";
}

TEST(ConsulInstances, AreReadAsConsulAnswers) {
  const auto web = only(kWeb);
  EXPECT_EQ(web.key(), "n1/web-1");
  EXPECT_EQ(web.address, "10.1.10.99");
  EXPECT_EQ(web.port, 8000);
  EXPECT_THAT(web.tags, ElementsAre("empalme.enable=true", "empalme.tcp.80"));
  EXPECT_EQ(web.zone, "eu-1");
  EXPECT_EQ(web.passing_weight, 10);
  EXPECT_EQ(web.warning_weight, 2);
  EXPECT_EQ(web.modified, 21u);
  EXPECT_EQ(web.health, ConsulHealth::kWarning);
}

TEST(ConsulInstances, HaveTheAddressOfTheirNodeWhereTheyHaveNone) {
  EXPECT_EQ(only(R"([{"Node":{"Address":"10.0.0.1"},"Service":{"ID":"a","Address":""}}])").address,
            "10.0.0.1");
}

TEST(ConsulInstances, AreAsWellAsTheWorstOfTheirChecks) {
  EXPECT_EQ(health_of(""), ConsulHealth::kPassing);
  EXPECT_EQ(health_of(check("a", "passing") + "," + check("b", "warning")), ConsulHealth::kWarning);
  EXPECT_EQ(health_of(check("a", "critical") + "," + check("b", "passing")),
            ConsulHealth::kCritical);
  EXPECT_EQ(health_of(check("a", "unheard-of")), ConsulHealth::kCritical);
}

TEST(ConsulInstances, AreInMaintenanceByTheirNodeOrThemselvesUnlessTheyAreCriticalToo) {
  const auto node = check("_node_maintenance", "critical");
  EXPECT_EQ(health_of(node), ConsulHealth::kMaintenance);
  EXPECT_EQ(health_of(check("_service_maintenance:a", "critical") + "," + check("b", "warning")),
            ConsulHealth::kMaintenance);
  EXPECT_EQ(health_of(node + "," + check("b", "critical")), ConsulHealth::kCritical);
}

TEST(ConsulInstances, WeighOneUnlessSaidAndNoMoreThanTheWireTakes) {
  EXPECT_EQ(only(R"([{"Service":{"ID":"a"}}])").passing_weight, 1);
  EXPECT_EQ(
      only(R"([{"Service":{"ID":"a","Weights":{"Passing":70000,"Warning":0}}}])").passing_weight,
      65535);
}

TEST(ConsulInstances, CostOthersNothingWhenTheyCannotBeRead) {
  const auto read = decode_consul_instances(
      R"([{"Node":{"Node":"n1"},"Service":{"ID":"a","Port":-1}},{"Service":{"ID":"b"}},7,{}])");
  ASSERT_TRUE(read.ok());
  ASSERT_THAT(read->instances, SizeIs(1));
  EXPECT_EQ(read->instances[0].id, "b");
  ASSERT_THAT(read->unread, SizeIs(3));
  EXPECT_EQ(read->unread[0].key, "n1/a");
  EXPECT_THAT(read->unread[0].error.message, HasSubstr("/0/Service/Port"));
  EXPECT_EQ(read->unread[1].key, "");
}

TEST(ConsulInstances, AreRefusedAsAWholeWhereTheyAreNoList) {
  for (const char* text : {"", "[", R"({"a":1})", "null", "\"x\"", R"([{"Service":{"ID":"a"}})"}) {
    const auto read = decode_consul_instances(text);
    ASSERT_FALSE(read.ok()) << text;
    EXPECT_EQ(read.error().code, "InvalidObject");
  }
}

TEST(ConsulCatalogue, NamesServicesThatMayAskToBeServed) {
  const auto names = decode_consul_services(
      R"({"consul":[],"web":["v1","empalme.enable=true"],"db":["master"],"off":["empalme.enable=no"]})");
  ASSERT_TRUE(names.ok());
  EXPECT_THAT(*names, ElementsAre("off", "web"));
}

TEST(ConsulCatalogue, MayBeEmpty) {
  const auto names = decode_consul_services("{}");
  ASSERT_TRUE(names.ok());
  EXPECT_THAT(*names, IsEmpty());
}

TEST(ConsulCatalogue, IsRefusedWhereItIsNone) {
  for (const char* text : {"", "[]", R"({"web":"x"})", R"({"web":["empalme)", R"({"web":[1]})"}) {
    EXPECT_FALSE(decode_consul_services(text).ok()) << text;
  }
}

}  // namespace
}  // namespace lb::plan
