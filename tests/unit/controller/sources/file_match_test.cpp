// Services of a configuration file that share an address and port.
#include <gmock/gmock.h>

#include "controller/sources/file_document.hpp"

namespace lb::sources {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

std::vector<Service> read(const std::string& services) {
  const auto document = parse_file_document("services:\n" + services);
  EXPECT_TRUE(document.ok()) << document.error().pointer << document.error().message;
  return document.ok() ? document->services : std::vector<Service>{};
}

Error refused(const std::string& services) {
  const auto document = parse_file_document("services:\n" + services);
  EXPECT_FALSE(document.ok()) << services;
  return document.ok() ? Error{} : document.error();
}

TEST(FileMatch, StandsBesideListen) {
  const auto services = read(R"(
- name: shop
  listen: 192.0.2.1:443, 192.0.2.1:8443
  match: {names: "shop.test, *.shop.test", sources: "10.0.0.0/8, 192.0.2.7"}
  backends: 10.0.0.2:1
)");
  ASSERT_THAT(services, SizeIs(1));
  ASSERT_THAT(services[0].ports, SizeIs(2));
  for (const auto& port : services[0].ports) {
    EXPECT_THAT(port.match.names, ElementsAre("*.shop.test", "shop.test"));
    EXPECT_THAT(port.match.sources, SizeIs(2));
    EXPECT_THAT(port.backends, SizeIs(1));
  }
}

TEST(FileMatch, StandsInAPortAsOnTheWire) {
  const auto services = read(R"(
- name: two
  addresses: [192.0.2.1]
  ports:
  - {port: 443, match: {names: [a.test]}, backends: "10.0.0.2:1"}
  - {port: 443, match: {names: b.test}, backends: "10.0.0.3:1"}
)");
  ASSERT_THAT(services, SizeIs(1));
  ASSERT_THAT(services[0].ports, SizeIs(2));
  EXPECT_THAT(services[0].ports[1].match.names, ElementsAre("b.test"));
}

TEST(FileMatch, IsRefusedAtItsPlace) {
  struct Case {
    const char* match;
    const char* why;
  };
  const Case cases[] = {
      {"{names: 'a..b'}", "'a..b' is not a host name"},
      {"{names: 192.0.2.1}", "is not a host name"},
      {"{sources: 10.0.0.0/33}", "is not an address or"},
      {"{names: 'a.test, a.test'}", "twice"},
      {"{name: a.test}", "unknown field"},
      {"[a.test]", ""},
  };
  for (const auto& [match, why] : cases) {
    const auto error = refused(std::string("- name: a\n  listen: 10.0.0.1:443\n  match: ") + match +
                               "\n  backends: 10.0.0.2:1\n");
    EXPECT_THAT(error.message, HasSubstr("line 4")) << match << ": " << error.message;
    EXPECT_THAT(error.message, HasSubstr(why));
  }
}

TEST(FileMatch, NeedsListenBesideIt) {
  EXPECT_THAT(
      refused("- {name: a, match: {names: a.test}, addresses: [10.0.0.1], ports: []}\n").message,
      HasSubstr("needs 'listen' beside it"));
}

// What is looked up later is known by the port's number alone.
TEST(FileMatch, PortsOfOneNumberHaveNoBackendsByName) {
  const std::string ports =
      "- {name: two, addresses: [192.0.2.1], ports: [{port: 443, match: {names: a.test}},"
      " {port: 443, match: {names: b.test}, ";
  EXPECT_THAT(refused(ports + "backends: 'web1:443'}]}\n").message, HasSubstr("use two services"));
  EXPECT_THAT(refused(ports + "groups: [{name: g, service: consul/web}]}]}\n").message,
              HasSubstr("use two services"));
}

}  // namespace
}  // namespace lb::sources
