// How a Service or a container says which connections of a shared address and port are its own.
#include <gmock/gmock.h>

#include "common/model/support.hpp"
#include "controller/core/allocator.hpp"
#include "controller/core/docker_labels.hpp"
#include "controller/core/trim.hpp"
#include "tests/unit/controller/core/builders.hpp"
#include "tests/unit/controller/core/docker_builders.hpp"

namespace lb::plan {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

const Cidr kTen = Cidr::parse("10.0.0.0/8").value();

TEST(MatchAnnotations, AreForAllTcpPortsOfAService) {
  const auto out = service("web")
                       .port(443)
                       .port(443, "UDP")
                       .annotated("empalme.io/match.names", "B.test, *.a.test")
                       .annotated("empalme.io/match.sources", "10.0.0.0/8")
                       .source();
  EXPECT_THAT(out.problems, IsEmpty());
  for (const ServicePort& port : out.ports) {
    const bool tcp = port.protocol == Protocol::kTcp;
    EXPECT_EQ(port.match, tcp ? (Match{{"*.a.test", "b.test"}, {kTen}}) : Match{});
  }
}

TEST(MatchAnnotations, OfAPortOverrideTheServices) {
  const auto out = service("web")
                       .port(443)
                       .annotated("empalme.io/match.names", "a.test")
                       .annotated("empalme.io/port.443.match.names", "b.test")
                       .source();
  EXPECT_THAT(out.problems, IsEmpty());
  EXPECT_THAT(out.ports.at(0).match.names, ElementsAre("a.test"));
  EXPECT_THAT(out.ports.at(1).match.names, ElementsAre("b.test"));
}

TEST(MatchAnnotations, ThatCannotBeReadKeepTheServiceFromBeingServed) {
  for (const auto& [name, text] : {std::pair{"match.names", "a b"},
                                   {"match.names", ""},
                                   {"match.sources", "10.0.0.0/33"},
                                   {"match.sources", ","},
                                   {"match.name", "a.test"},
                                   {"match", "a.test"},
                                   {"match-names", "a.test"},
                                   {"port.http.match.names", "-"}}) {
    const auto out = service("web").annotated(std::string("empalme.io/") + name, text).source();
    ASSERT_THAT(out.problems, SizeIs(1)) << name;
    EXPECT_TRUE(out.problems[0].blocks) << name << ": it would be for everybody";
    EXPECT_THAT(out.problems[0].message, HasSubstr(std::string("empalme.io/") + name));
    EXPECT_EQ(out.ports.at(0).match, Match{});
  }
}

TEST(MatchAnnotations, OfAPortByItsNumberAreForTcp) {
  const auto out = service("web")
                       .port(443)
                       .port(443, "UDP")
                       .annotated("empalme.io/port.443.match.names", "a.test")
                       .source();
  EXPECT_THAT(out.problems, IsEmpty());
  for (const ServicePort& port : out.ports) {
    const bool meant = port.port == 443 && port.protocol == Protocol::kTcp;
    EXPECT_EQ(port.match.names.size(), meant ? 1u : 0u);
  }
}

// Each port writes them anew.
TEST(MatchAnnotations, AreBoundedOverAllPortsOfAService) {
  std::string names;
  for (int i = 0; i < 1500; ++i) names += (i == 0 ? "n" : ", n") + std::to_string(i);
  const auto two = service("web").port(443).annotated("empalme.io/match.names", names).source();
  EXPECT_THAT(two.problems, IsEmpty());
  const auto three =
      service("web").port(443).port(444).annotated("empalme.io/match.names", names).source();
  ASSERT_THAT(three.problems, SizeIs(1));
  EXPECT_TRUE(three.problems[0].blocks);
}

TEST(MatchLabels, AreOfTheirPort) {
  const auto labels = read_labels(test::container("web")
                                      .tcp("443", "8443")
                                      .label("empalme.tcp.443.match.names", "a.test, b.test")
                                      .label("empalme.tcp.443.match.sources", "10.0.0.0/8"));
  ASSERT_TRUE(labels);
  EXPECT_THAT(labels->problems, IsEmpty());
  ASSERT_THAT(labels->ports, SizeIs(1));
  EXPECT_EQ(labels->ports[0].match, (Match{{"a.test", "b.test"}, {kTen}}));
}

TEST(MatchLabels, ThatCannotBeReadLeaveThePortOut) {
  for (const char* names : {"", "a b", "192.0.2.1"}) {
    const auto labels = read_labels(
        test::container("web").tcp("443", "8443").label("empalme.tcp.443.match.names", names));
    ASSERT_TRUE(labels);
    EXPECT_THAT(labels->ports, IsEmpty()) << names;
    EXPECT_THAT(labels->problems, SizeIs(1)) << names;
  }
}

std::string address_of(Allocator& allocator, const std::string& key, const Match& match) {
  Claim claim;
  claim.families = {Family::kV4};
  claim.share_key = "k";
  for (const auto& atom : atoms_of(match)) claim.ports.insert({443, Protocol::kTcp, atom});
  const auto out = allocator.allocate(key, claim);
  return out.addresses.empty() ? out.problem->reason : out.addresses[0].to_string();
}

TEST(MatchClaims, SharersOfAPortAreToldApartByTheirNames) {
  Allocator allocator{{pool("192.0.2.1-192.0.2.9")}};
  EXPECT_EQ(address_of(allocator, "ab", {{"a.test", "b.test"}, {}}), "192.0.2.1");
  EXPECT_EQ(address_of(allocator, "c", {{"c.test"}, {}}), "192.0.2.1");
  EXPECT_EQ(address_of(allocator, "b", {{"b.test"}, {}}), "192.0.2.2");
  EXPECT_EQ(address_of(allocator, "staff", {{"b.test"}, {kTen}}), "192.0.2.1");
  EXPECT_EQ(address_of(allocator, "rest", {}), "192.0.2.1") << "all that no name takes";
  EXPECT_EQ(address_of(allocator, "more", {}), "192.0.2.2") << "one has the rest already";
}

TEST(DenyRanges, AreAskedForAsOtherFieldsOfThePolicy) {
  const auto out =
      service("web").annotated("empalme.io/deny-ranges", "10.0.0.0/8, 192.0.2.7").source();
  EXPECT_THAT(out.problems, IsEmpty());
  EXPECT_THAT(out.ports.at(0).policy.deny_ranges, SizeIs(2));
}

TEST(DenyRanges, ThatCannotBeReadKeepTheServiceFromBeingServed) {
  const auto out = service("web").annotated("empalme.io/deny-ranges", "10.0.0.0/33").source();
  ASSERT_THAT(out.problems, SizeIs(1));
  EXPECT_TRUE(out.problems[0].blocks);
}

TEST(DenyRanges, ADataPlaneWithoutThemDoesNotServeThoseTheyKeepOut) {
  Service service;
  service.policy.deny_ranges = {kTen};
  std::vector<Problem> problems;
  trim(service, {"protocol=tcp"}, problems);
  ASSERT_THAT(problems, SizeIs(1));
  EXPECT_TRUE(problems[0].blocks);
}

Service shared_port() {
  Service out;
  out.key = "file/web";
  out.ports.resize(2);
  out.ports[0].port = 80;
  out.ports[1].port = 443;
  out.ports[1].match.names = {"a.test"};
  out.ports[1].tls.mode = TlsMode::kPassthrough;
  return out;
}

TEST(TrimMatch, APortIsNotForEverybodyWhereItsMatchIsNotUnderstood) {
  Service service = shared_port();
  std::vector<Problem> problems;
  trim(service, {"protocol=tcp"}, problems);
  ASSERT_THAT(service.ports, SizeIs(1));
  EXPECT_EQ(service.ports[0].port, 80);
  ASSERT_THAT(problems, SizeIs(1));
  EXPECT_EQ(problems[0].port, 443);
  EXPECT_THAT(problems[0].message, HasSubstr("ports.match"));
}

TEST(TrimMatch, ThisVersionUnderstandsIt) {
  const auto served = served_features();
  Service service = shared_port();
  std::vector<Problem> problems;
  trim(service, {served.begin(), served.end()}, problems);
  EXPECT_EQ(service, shared_port());
  EXPECT_THAT(problems, IsEmpty());
}

TEST(TrimMatch, WhoDoesNotKnowOfPassingThroughDoesJustThat) {
  Service service = shared_port();
  std::vector<Problem> problems;
  trim(service, {"protocol=tcp", "ports.match"}, problems);
  EXPECT_EQ(service.ports.at(1).tls, TlsPolicy{});
  EXPECT_THAT(problems, IsEmpty());
}

}  // namespace
}  // namespace lb::plan
