// What is refused and who keeps a contested listener.
#include "common/model/admission.hpp"

#include <gmock/gmock.h>

#include "tests/unit/common/model/offered.hpp"

namespace lb {
namespace {

using test::ip;
using test::port;
using test::service;
using testing::IsEmpty;
using testing::SizeIs;

Admission admit_all(std::vector<Service> services, const OwnSockets& own = {}) {
  DesiredState state{{1, 1}, std::move(services)};
  normalise(state);
  return admit(state, own);
}

TEST(Admission, PassesWhatIsSound) {
  DesiredState state{{2, 3}, {service("file/a", {"127.0.0.1"}, {port(80, "127.0.0.1")})}};
  const auto out = admit(state);
  EXPECT_EQ(out.admitted, state);
  EXPECT_THAT(out.failed, IsEmpty());
}

ServicePort named(uint16_t number, std::vector<std::string> names, std::vector<Cidr> sources = {}) {
  ServicePort out = port(number);
  out.match = {std::move(names), std::move(sources)};
  return out;
}

TEST(Admission, ServicesShareAnAddressAndPortByTheirNames) {
  const auto out = admit_all({service("file/a", {"10.0.0.1"}, {named(443, {"a.test"})}),
                              service("file/b", {"10.0.0.1"}, {named(443, {"b.test", "*.test"})}),
                              service("file/rest", {"10.0.0.1"}, {port(443)})});
  EXPECT_THAT(out.failed, IsEmpty());
  EXPECT_THAT(out.admitted.services, SizeIs(3));
}

TEST(Admission, ANameIsTheFirstKeysThatAsksForIt) {
  const auto out = admit_all({service("file/a", {"10.0.0.1"}, {named(443, {"a.test", "b.test"})}),
                              service("file/b", {"10.0.0.1"}, {named(443, {"b.test", "c.test"})})});
  ASSERT_THAT(out.failed, SizeIs(1));
  EXPECT_EQ(out.failed[0].key, "file/b");
  EXPECT_EQ(out.failed[0].reason, "Conflict");
  EXPECT_EQ(out.failed[0].message, "b.test: held by service file/a");
  EXPECT_EQ(out.failed[0].match.names, (std::vector<std::string>{"b.test", "c.test"}));
}

TEST(Admission, TheSameNameMayBeServedByWhereItIsAskedFrom) {
  const Cidr ten = *Cidr::parse("10.0.0.0/8"), wide = *Cidr::parse("0.0.0.0/0");
  const auto out = admit_all({service("file/a", {"10.0.0.1"}, {named(443, {"a.test"}, {ten})}),
                              service("file/b", {"10.0.0.1"}, {named(443, {"a.test"}, {wide})}),
                              service("file/c", {"10.0.0.1"}, {named(443, {"a.test"})})});
  EXPECT_THAT(out.failed, IsEmpty());
}

TEST(Admission, AWildcardAddressSharesNoNames) {
  const auto out = admit_all({service("file/a", {"0.0.0.0"}, {named(443, {"a.test"})}),
                              service("file/b", {"10.0.0.1"}, {named(443, {"b.test"})})});
  ASSERT_THAT(out.failed, SizeIs(1));
  EXPECT_EQ(out.failed[0].key, "file/b");
}

TEST(Admission, ABackendIsRefusedInTheListenerThatHasItOnly) {
  auto a = named(443, {"a.test"}), b = named(443, {"b.test"});
  a.backends.emplace_back().address = ip("169.254.1.1");
  a.backends.back().port = 1;
  b.backends.emplace_back().address = ip("10.0.0.9");
  b.backends.back().port = 1;
  const auto out = admit_all({service("file/a", {"10.0.0.1"}, {a, b})});
  ASSERT_THAT(out.failed, SizeIs(1));
  EXPECT_EQ(out.failed[0].match, a.match);
  EXPECT_THAT(out.admitted.services[0].ports[0].backends, IsEmpty());
  EXPECT_THAT(out.admitted.services[0].ports[1].backends, SizeIs(1));
}

TEST(Admission, RefusesOneAddressAndKeepsTheOther) {
  const auto out = admit_all({service("file/a", {"10.0.0.1", "169.254.1.1"}, {port(80)})});
  ASSERT_THAT(out.failed, SizeIs(1));
  EXPECT_EQ(out.failed[0].reason, "AddressRefused");
  EXPECT_EQ(out.failed[0].address, ip("169.254.1.1"));
  ASSERT_THAT(out.admitted.services, SizeIs(1));
  EXPECT_EQ(out.admitted.services[0].addresses, std::vector{ip("10.0.0.1")});
}

TEST(Admission, EarlierKeyKeepsAContestedListener) {
  const auto out = admit_all({service("file/b", {"10.0.0.1"}, {port(80), port(81)}),
                              service("file/a", {"10.0.0.1"}, {port(80)})});
  ASSERT_THAT(out.failed, SizeIs(1));
  EXPECT_EQ(out.failed[0].key, "file/b");
  EXPECT_EQ(out.failed[0].port, 80);
  EXPECT_EQ(out.failed[0].reason, "Conflict");
  ASSERT_THAT(out.admitted.services, SizeIs(2));
  EXPECT_THAT(out.admitted.services[1].ports, SizeIs(1));
}

TEST(Admission, WildcardConflictsWithinItsFamilyOnly) {
  const auto later = admit_all({service("file/a", {"10.0.0.1", "2001:db8::1"}, {port(80)}),
                                service("file/b", {"0.0.0.0"}, {port(80), port(81)})});
  ASSERT_THAT(later.failed, SizeIs(1));
  EXPECT_EQ(later.failed[0].key, "file/b");
  const auto earlier = admit_all({service("file/a", {"0.0.0.0"}, {port(80)}),
                                  service("file/b", {"10.0.0.1", "2001:db8::1"}, {port(80)})});
  ASSERT_THAT(earlier.failed, SizeIs(1));
  EXPECT_EQ(earlier.failed[0].address, ip("10.0.0.1"));
}

TEST(Admission, ProtocolsDoNotConflict) {
  auto udp = port(53);
  udp.protocol = Protocol::kUdp;
  const auto out = admit_all(
      {service("file/a", {"10.0.0.1"}, {port(53)}), service("file/b", {"10.0.0.1"}, {udp})});
  EXPECT_THAT(out.failed, IsEmpty());
}

TEST(Admission, DividesAServiceThatLosesOneCornerOnly) {
  const auto out = admit_all({service("file/a", {"10.0.0.1"}, {port(80)}),
                              service("file/b", {"10.0.0.1", "10.0.0.2"}, {port(80), port(81)})});
  EXPECT_THAT(out.failed, SizeIs(1));
  ASSERT_THAT(out.admitted.services, SizeIs(3));
  EXPECT_THAT(out.admitted.services[1].ports, SizeIs(1));
  EXPECT_THAT(out.admitted.services[2].ports, SizeIs(2));
}

TEST(Admission, RefusesBackendsThatWouldLoop) {
  const auto out = admit_all({service("file/a", {"0.0.0.0"}, {port(80, "127.0.0.1", 80)}),
                              service("file/b", {"10.0.0.1"}, {port(81, "10.0.0.1", 81)})});
  ASSERT_THAT(out.failed, SizeIs(2));
  EXPECT_EQ(out.failed[0].backend, "127.0.0.1:80");
  EXPECT_EQ(out.failed[1].backend, "10.0.0.1:81");
  EXPECT_THAT(out.admitted.services[0].ports[0].backends, IsEmpty());
}

TEST(Admission, RefusesTheAdminSocketAndLocalHostsAsBackends) {
  OwnSockets own;
  own.tcp.insert({ip("127.0.0.1"), 9901});
  own.local_hosts.insert(ip("192.0.2.7"));
  const auto out = admit_all({service("file/a", {"0.0.0.0"}, {port(80, "127.0.0.1", 9901)}),
                              service("file/b", {"10.0.0.1"}, {port(81, "192.0.2.7", 80)})},
                             own);
  EXPECT_THAT(out.failed, SizeIs(2));
}

// Whether a backend there is refused, with a server of ours at `own`.
bool is_own(const Endpoint& own, const char* backend, Protocol protocol = Protocol::kTcp) {
  auto listener = port(80, backend, 9901);
  listener.protocol = protocol;
  const auto out = admit_all({service("file/a", {"10.0.0.1"}, {listener})},
                             {{own}, {ip("192.0.2.7"), ip("2001:db8::7")}});
  return !out.failed.empty();
}

TEST(Admission, AServerOfOursOnAWildcardAnswersOnEveryAddressOfThisHost) {
  const Endpoint all{ip("0.0.0.0"), 9901};
  EXPECT_TRUE(is_own(all, "127.0.0.1"));
  EXPECT_TRUE(is_own(all, "127.9.9.9"));
  EXPECT_TRUE(is_own(all, "192.0.2.7"));
  EXPECT_FALSE(is_own(all, "192.0.2.8")) << "another host's";
  EXPECT_FALSE(is_own(all, "2001:db8::7"));
  EXPECT_FALSE(is_own(all, "127.0.0.1", Protocol::kUdp));
  EXPECT_FALSE(is_own({ip("0.0.0.0"), 9902}, "127.0.0.1")) << "another port";
}

TEST(Admission, AServerOfOursOnTheWildcardOfIpv6TakesIpv4Too) {
  const Endpoint all{ip("::"), 9901};
  EXPECT_TRUE(is_own(all, "::1"));
  EXPECT_TRUE(is_own(all, "2001:db8::7"));
  EXPECT_TRUE(is_own(all, "127.0.0.1"));
  EXPECT_TRUE(is_own(all, "192.0.2.7"));
  EXPECT_FALSE(is_own(all, "192.0.2.8"));
}

TEST(Admission, KubernetesKeysMayNotReachLoopbackNorAnyVip) {
  const auto out = admit_all({service("kubernetes/d/a", {"10.0.0.1"}, {port(80, "127.0.0.1")}),
                              service("kubernetes/d/b", {"10.0.0.2"}, {port(80, "10.0.0.1", 4000)}),
                              service("kubernetes/d/c", {"0.0.0.0"}, {port(99)})});
  EXPECT_THAT(out.failed, SizeIs(3));
}

}  // namespace
}  // namespace lb
