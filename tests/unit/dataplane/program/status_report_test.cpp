// How what is held, what is served and what was refused become one report.
#include "dataplane/status_report.hpp"

#include <gmock/gmock.h>

#include "tests/unit/dataplane/program/fake_path.hpp"

namespace lb::dataplane {
namespace {

using testing::SizeIs;

proxy::ServiceStatus live(const std::string& key, const char* address, bool programmed = true) {
  proxy::PortStatus port;
  port.address = ip(address);
  port.port = 80;
  port.programmed = programmed;
  port.connections = 3;
  port.backends.push_back({{ip("10.0.0.1"), 8080}, false, "unknown", "", 2});
  return {key, {port}};
}

DesiredState holding(std::vector<Service> services) { return {{1, 1}, std::move(services)}; }

TEST(StatusReport, ShowsAServedListenerWithItsConnections) {
  const auto out =
      report(holding({service("a", "192.0.2.1", {"10.0.0.1"})}), {live("a", "192.0.2.1")}, {});
  ASSERT_THAT(out, SizeIs(1));
  ASSERT_THAT(out[0].ports, SizeIs(1));
  EXPECT_TRUE(out[0].ports[0].programmed);
  EXPECT_EQ(out[0].ports[0].connections, 3u);
  EXPECT_EQ(out[0].ports[0].backends[0].connections, 2u);
  EXPECT_EQ(out[0].ports[0].backends[0].health, "unknown");
}

TEST(StatusReport, ShowsAListenerThatIsNotServedYetAsPending) {
  const auto out = report(holding({service("a", "192.0.2.1")}), {}, {});
  EXPECT_FALSE(out[0].ports[0].programmed);
  EXPECT_EQ(out[0].ports[0].reason, "Pending");
}

TEST(StatusReport, GivesARefusedListenerItsReason) {
  const Failure refused{"a", ip("192.0.2.1"), 80, Protocol::kTcp, "", "Conflict", "another's"};
  const auto out = report(holding({service("a", "192.0.2.1")}), {}, {refused});
  EXPECT_EQ(out[0].ports[0].reason, "Conflict");
}

TEST(StatusReport, BelievesTheByteEngineWhenAFailureIsOver) {
  const Failure past{"a", ip("192.0.2.1"), 80, Protocol::kTcp, "", "AddressInUse", "was taken"};
  const auto out = report(holding({service("a", "192.0.2.1")}), {live("a", "192.0.2.1")}, {past});
  EXPECT_TRUE(out[0].ports[0].programmed);
  EXPECT_EQ(out[0].ports[0].reason, "");
}

TEST(StatusReport, SaysThatAListenerIsInPanicAndWakesAReader) {
  auto calm = live("a", "192.0.2.1");
  auto panicking = calm;
  panicking.ports[0].panic = true;
  const auto held = holding({service("a", "192.0.2.1")});
  const auto before = report(held, {calm}, {}), after = report(held, {panicking}, {});
  EXPECT_FALSE(before[0].ports[0].panic);
  EXPECT_TRUE(after[0].ports[0].panic);
  EXPECT_FALSE(same_but_for_connections(before[0], after[0]));
}

TEST(StatusReport, MergesTheCornersOfOneService) {
  Service both = service("a", "192.0.2.1");
  both.addresses.push_back(ip("192.0.2.2"));
  const auto out =
      report(holding({both}), {live("a", "192.0.2.1"), live("a", "192.0.2.2", false)}, {});
  ASSERT_THAT(out, SizeIs(1));
  EXPECT_TRUE(out[0].ports[0].programmed);
  EXPECT_FALSE(out[0].ports[1].programmed);
}

TEST(StatusReport, NamesAnEjectedBackend) {
  auto status = live("a", "192.0.2.1");
  status.ports[0].backends[0].ejected = true;
  status.ports[0].backends[0].reason = "Refused";
  const auto out = report(holding({service("a", "192.0.2.1", {"10.0.0.1"})}), {status}, {});
  EXPECT_EQ(out[0].ports[0].backends[0].health, "ejected");
  EXPECT_EQ(out[0].ports[0].backends[0].reason, "Refused");
}

TEST(StatusReport, ConnectionsAloneAreNoNews) {
  const auto a =
      report(holding({service("a", "192.0.2.1", {"10.0.0.1"})}), {live("a", "192.0.2.1")}, {});
  auto b = a;
  b[0].ports[0].connections = 99;
  EXPECT_TRUE(same_but_for_connections(a[0], b[0]));
  b[0].ports[0].backends[0].health = "ejected";
  EXPECT_FALSE(same_but_for_connections(a[0], b[0]));
}

}  // namespace
}  // namespace lb::dataplane
