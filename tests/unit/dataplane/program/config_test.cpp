// Flags, their environment and what is refused at start.
#include "dataplane/config.hpp"

#include <gmock/gmock.h>

#include <cstdlib>

namespace lb::dataplane {
namespace {

using testing::HasSubstr;

std::variant<Config, Exit> parse(std::vector<const char*> flags) {
  flags.insert(flags.begin(), "empalme-dataplane");
  return parse_command_line(static_cast<int>(flags.size()), flags.data());
}

std::string refusal(std::vector<const char*> flags) {
  const auto parsed = parse(std::move(flags));
  const auto* stop = std::get_if<Exit>(&parsed);
  return stop != nullptr && stop->code != 0 ? stop->text : "";
}

TEST(DataplaneConfig, TakesFlagsAndEnvironment) {
  ::setenv("EMPALME_WORKERS", "3", 1);
  const auto parsed = parse({"--admin", "unix:/x/y", "--observe", "127.0.0.1:99"});
  ::unsetenv("EMPALME_WORKERS");
  const auto& config = std::get<Config>(parsed);
  EXPECT_EQ(config.admin, net::SocketAddress{net::UnixPath{"/x/y"}});
  EXPECT_EQ(config.workers, 3u);
  EXPECT_EQ(config.observe, parse_endpoint("127.0.0.1:99").value());
}

TEST(DataplaneConfig, TakesTheZoneFromAFlagOrTheEnvironment) {
  EXPECT_EQ(std::get<Config>(parse({})).zone, "");
  EXPECT_EQ(std::get<Config>(parse({"--zone", "eu-1a"})).zone, "eu-1a");
  ::setenv("EMPALME_ZONE", "eu-1b", 1);
  EXPECT_EQ(std::get<Config>(parse({})).zone, "eu-1b");
  ::unsetenv("EMPALME_ZONE");
}

TEST(DataplaneConfig, TheHandoffSocketIsAPathWithOrWithoutItsKind) {
  for (const char* text : {"/run/x/handoff.sock", "unix:/run/x/handoff.sock"}) {
    const auto parsed = parse({"--handoff", text, "--handoff-drain", "5"});
    EXPECT_EQ(std::get<Config>(parsed).handoff, "/run/x/handoff.sock");
    EXPECT_EQ(std::get<Config>(parsed).handoff_drain_s, 5u);
  }
}

TEST(DataplaneConfig, WithoutAHandoffSocketThereIsNoHandoff) {
  EXPECT_EQ(std::get<Config>(parse({})).handoff, "");
}

TEST(DataplaneConfig, AHandoffSocketWhoseNameIsTooLongIsRefused) {
  EXPECT_THAT(refusal({"--handoff", ("/" + std::string(107, 'x')).c_str()}),
              HasSubstr("107 characters"));
}

TEST(DataplaneConfig, TcpAdminOnlyOnInsecureLoopback) {
  EXPECT_THAT(refusal({"--admin", "tcp:127.0.0.1:99"}), HasSubstr("--tls-cert"));
  EXPECT_THAT(refusal({"--admin", "tcp:10.0.0.1:99", "--insecure-loopback"}),
              HasSubstr("--tls-cert"));
  EXPECT_EQ(refusal({"--admin", "tcp:127.0.0.1:99", "--insecure-loopback"}), "");
}

TEST(DataplaneConfig, RefusesWhatIsNotBuiltOrUnsafe) {
  EXPECT_THAT(refusal({"--announce", "bgp:x"}),
              HasSubstr("none, auto, interface:NAME or vrrp:NAME"));
  EXPECT_THAT(refusal({"--announce", "vrrp:"}), HasSubstr("vrrp:NAME"));
  EXPECT_THAT(refusal({"--announce", "vrrp:x", "--vrrp-peers", "node"}), HasSubstr("node"));
  EXPECT_THAT(refusal({"--announce", "vrrp:x", "--vrrp-peers", "192.0.2.1", "--vrrp-ids", "250"}),
              HasSubstr("255"));
  EXPECT_THAT(refusal({"--announce", "interface:"}), HasSubstr("interface:NAME"));
  EXPECT_THAT(refusal({"--observe", "0.0.0.0:99"}), HasSubstr("wildcard"));
  EXPECT_NE(refusal({"--workers", "0"}), "");
  EXPECT_NE(refusal({"--no-such-flag"}), "");
}

TEST(DataplaneConfig, ReadsHowAddressesAreAnnounced) {
  EXPECT_EQ(std::get<Config>(parse({})).announce, Announce::kNone);
  EXPECT_EQ(std::get<Config>(parse({"--announce", "auto"})).announce, Announce::kAuto);
  const auto config = std::get<Config>(parse({"--announce", "interface:eth1"}));
  EXPECT_EQ(config.announce, Announce::kInterface);
  EXPECT_EQ(config.interface, "eth1");
}

TEST(DataplaneConfig, HelpAndVersionExitWithZero) {
  EXPECT_THAT(std::get<Exit>(parse({"--help"})).text, HasSubstr("Examples:"));
  EXPECT_EQ(std::get<Exit>(parse({"--version"})).code, 0);
}

}  // namespace
}  // namespace lb::dataplane
