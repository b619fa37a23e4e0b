// What every data plane computes alike: routers, priorities, keepalived's configuration.
#include "dataplane/announce/vrrp_plan.hpp"

#include <gmock/gmock.h>

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>

#include "dataplane/announce/keepalived.hpp"

namespace lb::announce {
namespace {

using testing::AnyOf;
using testing::ElementsAre;
using testing::Ge;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Le;
using testing::Not;

constexpr unsigned kRouters = 16;

IpAddress ip(const std::string& text) { return IpAddress::parse(text).value(); }
IpAddress nth(unsigned n) {
  return ip("198.51." + std::to_string(n / 250) + "." + std::to_string(n % 250));
}

VrrpPlan small_plan() {
  VrrpPlan plan;
  plan.flags.interface = "eth0";
  plan.flags.routers = 1;
  plan.flags.first_id = 7;
  plan.files.folder = "/run/x";
  plan.self = ip("192.0.2.1");
  plan.peers = {ip("192.0.2.2")};
  plan.addresses = {ip("192.0.2.100"), ip("2001:db8::100")};
  return plan;
}

// Who comes first for each router, as each member sees it by itself.
std::vector<IpAddress> leaders(const std::set<IpAddress>& members) {
  std::vector<IpAddress> out(kRouters);
  std::vector<unsigned> best(kRouters);
  for (const auto& member : members) {
    const auto priorities = vrrp_priorities(member, members, kRouters);
    for (unsigned i = 0; i < kRouters; ++i) {
      if (priorities[i] > best[i]) {
        best[i] = priorities[i];
        out[i] = member;
      }
    }
  }
  return out;
}

TEST(RouterOf, AThousandAddressesSpreadOverThreeDataPlanesWithinAFifth) {
  const std::set<IpAddress> members{ip("192.0.2.1"), ip("192.0.2.2"), ip("192.0.2.3")};
  const auto first = leaders(members);
  std::map<IpAddress, int> held;
  for (unsigned i = 0; i < 1000; ++i) ++held[first[router_of(nth(i), kRouters)]];
  for (const auto& member : members) {
    EXPECT_THAT(held[member], testing::AllOf(Ge(267), Le(400))) << member.to_string();
  }
}

TEST(RouterOf, IsTheSameInEveryVersion) {
  // Data planes of two versions share addresses during an update.
  EXPECT_THAT((std::vector{router_of(ip("192.0.2.100"), 16), router_of(ip("192.0.2.101"), 16),
                           router_of(ip("2001:db8::1"), 16)}),
              ElementsAre(7, 11, 0));
}

TEST(VrrpPriorities, DifferForEveryMemberOfARouter) {
  const std::set<IpAddress> members{ip("192.0.2.1"), ip("192.0.2.2"), ip("192.0.2.3"),
                                    ip("192.0.2.4")};
  for (unsigned router = 0; router < kRouters; ++router) {
    std::set<unsigned> seen;
    for (const auto& each : members) seen.insert(vrrp_priorities(each, members, kRouters)[router]);
    EXPECT_EQ(seen.size(), members.size()) << "router " << router;
    EXPECT_THAT(*seen.begin(), Ge(200u));
    EXPECT_THAT(*seen.rbegin(), Le(254u));
  }
}

TEST(VrrpPriorities, NobodyLeadsMoreThanOneRouterAboveItsShare) {
  std::set<IpAddress> members;
  for (int n = 1; n <= 20; ++n) {
    members.insert(ip("192.0.2." + std::to_string(n)));
    const auto first = leaders(members);
    for (const auto& member : members) {
      const auto led = static_cast<size_t>(std::count(first.begin(), first.end(), member));
      EXPECT_THAT(led,
                  testing::AllOf(Ge(kRouters / members.size()), Le(kRouters / members.size() + 1)));
    }
  }
}

TEST(VrrpPriorities, OfDataPlanesThatDoNotKnowEachOtherDifferToo) {
  std::map<IpAddress, int> led;
  for (unsigned router = 0; router < kRouters; ++router) {
    std::map<unsigned, IpAddress> by_priority;
    for (const auto& each : {ip("192.0.2.1"), ip("192.0.2.2"), ip("192.0.2.3")}) {
      const auto drawn = vrrp_priorities(each, {each}, kRouters)[router];
      EXPECT_THAT(drawn, testing::AllOf(Ge(200u), Le(250u)));
      by_priority[drawn] = each;
    }
    ++led[by_priority.rbegin()->second];
  }
  EXPECT_EQ(led.size(), 3u);
  for (const auto& [member, count] : led) EXPECT_THAT(count, Ge(2)) << member.to_string();
}

TEST(VrrpPriorities, RoutersOfTheOthersMostlyStayWhenOneLeaves) {
  std::set<IpAddress> members{ip("192.0.2.1"), ip("192.0.2.2"), ip("192.0.2.3"), ip("192.0.2.4")};
  const auto before = leaders(members);
  members.erase(ip("192.0.2.4"));
  const auto after = leaders(members);
  int moved = 0;
  for (unsigned i = 0; i < kRouters; ++i) {
    moved += before[i] != ip("192.0.2.4") && before[i] != after[i];
  }
  EXPECT_THAT(moved, Le(4));
}

TEST(RenderVrrp, IsThisText) {
  EXPECT_EQ(render_vrrp(small_plan()), R"(# Written by empalme-dataplane; changes are lost.
global_defs {
  router_id empalme
  script_user root
  vrrp_notify_fifo /run/x/events
  vrrp_garp_master_repeat 3
  vrrp_garp_master_delay 1
  vrrp_garp_master_refresh 30
  vrrp_higher_prio_send_advert true
}
track_file ready-0 {
  file /run/x/router-0
  weight 1
}
vrrp_instance router-0 {
  state BACKUP
  version 3
  interface eth0
  virtual_router_id 7
  priority 250
  advert_int 0.20
  preempt_delay 5
  accept
  unicast_src_ip 192.0.2.1
  unicast_peer {
    192.0.2.2
  }
  track_file {
    ready-0
  }
  virtual_ipaddress {
    127.86.0.0/32 dev lo scope host no_track
  }
  virtual_ipaddress_excluded {
    192.0.2.100/32 dev eth0 preferred_lft 0
    2001:db8::100/128 dev eth0 preferred_lft 0
  }
}
)");
}

TEST(RenderVrrp, WhatAdvertsCarryDoesNotDependOnTheAddresses) {
  auto with = small_plan();
  auto without = small_plan();
  without.addresses.clear();
  auto text = render_vrrp(with);
  const auto begin = text.find("  virtual_ipaddress_excluded");
  text.erase(begin, text.find("  }\n", begin) + 4 - begin);
  EXPECT_EQ(text, render_vrrp(without));
}

TEST(RenderVrrp, AFixedPriorityIsThatOfEveryRouter) {
  auto plan = small_plan();
  plan.flags.routers = 3;
  plan.flags.priority = 222;
  const auto text = render_vrrp(plan);
  EXPECT_THAT(text, HasSubstr("priority 222"));
  EXPECT_THAT(text, Not(HasSubstr("priority 2[345]")));
  EXPECT_THAT(text, HasSubstr("virtual_router_id 9"));
}

TEST(RenderVrrp, WithoutPeersAdvertsAreMulticast) {
  auto plan = small_plan();
  plan.peers.clear();
  EXPECT_THAT(render_vrrp(plan), Not(HasSubstr("unicast")));
  EXPECT_THAT(render_vrrp(plan), HasSubstr("mcast_src_ip 192.0.2.1"));
}

// What `keepalived --config-test` has to say about a plan.
std::string complaints(const VrrpPlan& plan) {
  const std::string file = testing::TempDir() + "/vrrp_plan_test." + std::to_string(::getpid());
  std::ofstream(file) << render_vrrp(plan);
  const std::string command = find_program("keepalived") + " --config-test -f " + file + " 2>&1";
  std::string out;
  FILE* pipe = ::popen(command.c_str(), "r");
  for (int each; pipe != nullptr && (each = std::fgetc(pipe)) != EOF;) {
    out += static_cast<char>(each);
  }
  if (pipe == nullptr || ::pclose(pipe) != 0) out += "(failed)";
  std::remove(file.c_str());
  return out;
}

TEST(RenderVrrp, KeepalivedKnowsEveryWord) {
  if (find_program("keepalived").empty()) GTEST_SKIP() << "keepalived is not installed";
  auto plan = small_plan();
  EXPECT_THAT(complaints(plan), Not(HasSubstr("nknown keyword")));
  plan.peers.clear();
  EXPECT_THAT(complaints(plan), Not(AnyOf(HasSubstr("nknown keyword"), HasSubstr("deprecated"))));
}

TEST(ParsePeers, TakesCommasLinesAndComments) {
  const auto peers = parse_peers("192.0.2.1, 192.0.2.2\n# a comment\n192.0.2.3 # another\n");
  ASSERT_TRUE(peers.ok());
  EXPECT_THAT(*peers, ElementsAre(ip("192.0.2.1"), ip("192.0.2.2"), ip("192.0.2.3")));
}

TEST(ParsePeers, NamesWhatIsNoAddress) {
  const auto peers = parse_peers("192.0.2.1,node-2");
  ASSERT_FALSE(peers.ok());
  EXPECT_THAT(peers.error().message, HasSubstr("node-2"));
}

TEST(ParsePeers, RefusesTwoFamilies) { EXPECT_FALSE(parse_peers("192.0.2.1,2001:db8::1").ok()); }

TEST(ParsePeers, NothingIsNoPeers) { EXPECT_THAT(*parse_peers(" \n"), IsEmpty()); }

TEST(VrrpEvents, NameTheRouterAndItsState) {
  EXPECT_EQ(parse_vrrp_event("INSTANCE \"router-12\" MASTER 250\n"),
            (VrrpEvent{12, RouterState::kMaster}));
  EXPECT_EQ(parse_vrrp_event("INSTANCE \"router-0\" BACKUP 240\n"),
            (VrrpEvent{0, RouterState::kBackup}));
  EXPECT_EQ(parse_vrrp_event("INSTANCE \"router-0\" FAULT 240\n"),
            (VrrpEvent{0, RouterState::kDown}));
  EXPECT_EQ(parse_vrrp_event("INSTANCE \"router-0\" STOP 240\n"),
            (VrrpEvent{0, RouterState::kDown}));
}

TEST(VrrpEvents, OthersAreLeftOut) {
  for (const char* line : {"", "GROUP \"x\" MASTER 1", "INSTANCE \"other\" MASTER 1",
                           "INSTANCE \"router-x\" MASTER 1", "INSTANCE \"router-1\" MASTER_RX 1"}) {
    EXPECT_EQ(parse_vrrp_event(line), std::nullopt) << line;
  }
}

}  // namespace
}  // namespace lb::announce
