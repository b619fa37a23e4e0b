// Groups in a configuration file: their own backends, those of other services, and what is refused.
#include <gmock/gmock.h>

#include "controller/sources/file_document.hpp"

namespace lb::sources {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

FileDocument grouped(std::string_view text) {
  const auto document = parse_file_document(text);
  EXPECT_TRUE(document.ok()) << document.error().message;
  return document.ok() ? *document : FileDocument{};
}

Error refused(const std::string& service) {
  const auto document =
      parse_file_document("services:\n- name: a\n  listen: '10.0.0.1:80'\n" + service);
  EXPECT_FALSE(document.ok()) << service;
  return document.ok() ? Error{} : document.error();
}

constexpr char kTwo[] = R"(services:
- name: web
  listen: 10.0.0.1:80
  groups:
  - {name: old, weight: 90, backends: "10.0.0.2:1, web1:2"}
  - {name: new, weight: 10, sources: "10.0.0.0/8, ::1", backends: [{address: 10.0.0.3, port: 3, weight: 7}]}
)";

TEST(FileGroups, HaveTheirBackendsBesideTheirWeights) {
  const auto document = grouped(kTwo);
  ASSERT_THAT(document.services, SizeIs(1));
  const ServicePort& port = document.services[0].ports[0];
  ASSERT_THAT(port.groups, SizeIs(2));
  EXPECT_EQ(port.groups[1], (BackendGroup{"old", 90, {}}));
  EXPECT_EQ(port.groups[0].weight, 10);
  EXPECT_THAT(port.groups[0].sources, SizeIs(2));
  ASSERT_THAT(port.backends, SizeIs(2));
  EXPECT_EQ(port.backends[0].group, "old");
  EXPECT_EQ(port.backends[1].group, "new");
  EXPECT_EQ(port.backends[1].weight, 7);
}

TEST(FileGroups, ABackendByNameIsOfItsGroup) {
  auto document = grouped(kTwo);
  EXPECT_THAT(document.named, ElementsAre(NamedBackend{"file/web", 80, "web1", 2, "old"}));
  add_resolved(document.services, document.named, {{"web1", {*IpAddress::parse("10.0.0.9")}}});
  EXPECT_EQ(document.services[0].ports[0].backends[2].group, "old");
}

TEST(FileGroups, ABackendByNameIsOfThePortsOfItsProtocolOnly) {
  auto document = grouped(
      "services: [{name: dns, addresses: [10.0.0.1], ports: [{port: 53, backends: ['dns1:53']},"
      " {port: 53, protocol: udp, groups: [{name: g, backends: ['dns2:53']}]}]}]");
  add_resolved(
      document.services, document.named,
      {{"dns1", {*IpAddress::parse("10.0.0.8")}}, {"dns2", {*IpAddress::parse("10.0.0.9")}}});
  const auto& ports = document.services[0].ports;
  ASSERT_THAT(ports[0].backends, SizeIs(1));
  EXPECT_EQ(ports[0].backends[0].group, "");
  ASSERT_THAT(ports[1].backends, SizeIs(1));
  EXPECT_EQ(ports[1].backends[0].group, "g");
}

TEST(FileGroups, AreOfEveryPortThatTheShortFormListensOn) {
  const auto document = grouped(
      "services: [{name: a, listen: ['10.0.0.1:80', '10.0.0.1:81'],"
      " groups: [{name: g, backends: '10.0.0.2:1'}]}]");
  for (const auto& port : document.services[0].ports) {
    ASSERT_THAT(port.groups, SizeIs(1));
    EXPECT_EQ(port.backends[0].group, "g");
  }
}

TEST(FileGroups, MayBeOfAPortOfTheLongForm) {
  const auto document = grouped(
      "services: [{key: file/a, addresses: [10.0.0.1], ports: [{port: 80, protocol: udp,"
      " backends: [{address: 10.0.0.2, port: 1, group: g}],"
      " groups: [{name: g}, {name: h, service: consul/dns, port: 53}]}]}]");
  EXPECT_EQ(document.services[0].ports[0].backends[0].group, "g");
  EXPECT_THAT(document.joined,
              ElementsAre(NamedGroup{"file/a", {80, Protocol::kUdp, "h", "consul/dns", 53}}));
}

TEST(FileGroups, TakeTheBackendsOfAServiceOfAnotherSource) {
  const auto document = grouped(
      "services: [{name: a, listen: '10.0.0.1:80',"
      " groups: [{name: g, service: kubernetes/shop/web}]}]");
  EXPECT_THAT(document.joined, ElementsAre(NamedGroup{
                                   "file/a", {80, Protocol::kTcp, "g", "kubernetes/shop/web", 0}}));
}

TEST(FileGroups, WhatIsWrongIsRefusedWhereItStands) {
  struct Case {
    const char* groups;
    const char* pointer;
    const char* why;
  };
  const Case cases[] = {
      {"[{name: g, typo: 1}]", "/groups/0/typo", "unknown field 'typo'"},
      {"[{name: g, service: web}]", "/groups/0/service", "must be a service's key"},
      {"[{name: g, port: 1}]", "/groups/0/port", "needs 'service'"},
      {"[{name: g, service: a/b, port: 0}]", "/groups/0/port", "from 1 to 65535"},
      {"[{name: g, backends: 7}]", "/groups/0/backends", "must be a list"},
      {"[{name: g, weight: -1}]", "/groups/0/weight", ""},
      {"[{name: g}, {name: g}]", "/groups/1", "twice"},
  };
  for (const auto& [groups, pointer, why] : cases) {
    const auto error = refused(std::string("  groups: ") + groups + "\n");
    EXPECT_THAT(error.pointer, HasSubstr(pointer)) << groups;
    EXPECT_THAT(error.message, HasSubstr(why)) << groups;
    EXPECT_THAT(error.message, HasSubstr("line 4")) << groups;
  }
}

TEST(FileGroups, BackendsBesideThemAreRefused) {
  const auto by_address = refused("  groups: [{name: g}]\n  backends: ['10.0.0.2:1']\n");
  EXPECT_THAT(by_address.pointer, HasSubstr("/backends/0/group"));
  EXPECT_THAT(by_address.message, HasSubstr("line 5"));
  const auto by_name = refused("  groups: [{name: g}]\n  backends: ['web1:1']\n");
  EXPECT_THAT(by_name.message, HasSubstr("is in none of them"));
}

TEST(FileGroups, ABackendOfAGroupIsRefusedWhereTheFileHasIt) {
  const auto error = refused("  groups:\n  - name: g\n    backends:\n    - 10.0.0:80\n");
  EXPECT_THAT(error.message, HasSubstr("line 7"));
}

TEST(FileGroups, NeedAListenerBesideThem) {
  const auto document = parse_file_document("services: [{name: a, groups: [{name: g}]}]");
  ASSERT_FALSE(document.ok());
  EXPECT_EQ(document.error().pointer, "/services/0/groups");
}

}  // namespace
}  // namespace lb::sources
