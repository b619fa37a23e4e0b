// Which virtual router an address belongs to, which data plane prefers which router, and the
// configuration of keepalived that follows (keepalived.conf(5), VRRPv3: RFC 9568).
//
// Pure; any thread. Every data plane computes the same from the same members, so none has to ask.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/model/address.hpp"
#include "common/model/result.hpp"

namespace lb::announce {

// What the flags say.
struct VrrpFlags {
  std::string interface;
  std::vector<IpAddress> peers;
  std::string peers_file;  // empty: none
  unsigned routers = 16;
  unsigned advert_ms = 200;  // multiples of 10, at most 40950
  unsigned first_id = 1;     // virtual_router_id of router 0
  unsigned priority = 0;     // 0: spread; else of every router here
};

// Depends on the address alone: nothing moves when another address comes or goes.
unsigned router_of(const IpAddress& address, unsigned routers);

// Our priority for each router, 200 to 254, so that each of `members` (which holds `self`) comes
// first for as many routers as the others, or one more; a hash of (member, router) decides. With
// nobody but `self` known the priorities are drawn by that hash alone, and the spread is a rough
// one.
std::vector<unsigned> vrrp_priorities(const IpAddress& self, const std::set<IpAddress>& members,
                                      unsigned routers);

// Where keepalived finds and leaves things.
struct VrrpFiles {
  std::string folder;

  std::string config() const { return folder + "/keepalived.conf"; }
  std::string pid() const { return folder + "/keepalived.pid"; }
  std::string vrrp_pid() const { return folder + "/vrrp.pid"; }
  std::string events() const { return folder + "/events"; }
  std::string track(unsigned router) const { return folder + "/router-" + std::to_string(router); }
};

struct VrrpPlan {
  VrrpFlags flags;
  VrrpFiles files;
  IpAddress self;
  std::set<IpAddress> peers;  // without self; empty: adverts are multicast
  std::set<IpAddress> addresses;
};

// The whole configuration; equal plans give equal text.
std::string render_vrrp(const VrrpPlan& plan);

// Addresses between commas, spaces and line ends; '#' begins a comment.
Result<std::vector<IpAddress>> parse_peers(std::string_view text);

enum class RouterState : uint8_t { kDown, kBackup, kMaster };

struct VrrpEvent {
  unsigned router = 0;
  RouterState state = RouterState::kDown;

  bool operator==(const VrrpEvent&) const = default;
};
// One line of vrrp_notify_fifo; empty for what is not about a router of ours.
std::optional<VrrpEvent> parse_vrrp_event(std::string_view line);

}  // namespace lb::announce
