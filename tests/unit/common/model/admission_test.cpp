// What is refused and who keeps a contested listener.
#include "common/model/admission.hpp"

#include <gmock/gmock.h>

namespace lb {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

IpAddress ip(const char* text) { return IpAddress::parse(text).value(); }

ServicePort port(uint16_t number, const char* backend = nullptr, uint16_t backend_port = 9000) {
  ServicePort out;
  out.port = number;
  if (backend != nullptr) {
    Backend b;
    b.address = ip(backend);
    b.port = backend_port;
    out.backends.push_back(b);
  }
  return out;
}

Service service(const char* key, std::vector<const char*> addresses,
                std::vector<ServicePort> ports) {
  Service out;
  out.key = key;
  for (const char* address : addresses) out.addresses.push_back(ip(address));
  out.ports = std::move(ports);
  return out;
}

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

TEST(Admission, KubernetesKeysMayNotReachLoopbackNorAnyVip) {
  const auto out = admit_all({service("kubernetes/d/a", {"10.0.0.1"}, {port(80, "127.0.0.1")}),
                              service("kubernetes/d/b", {"10.0.0.2"}, {port(80, "10.0.0.1", 4000)}),
                              service("kubernetes/d/c", {"0.0.0.0"}, {port(99)})});
  EXPECT_THAT(out.failed, SizeIs(3));
}

}  // namespace
}  // namespace lb
