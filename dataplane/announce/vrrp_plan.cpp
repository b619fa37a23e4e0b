#include "dataplane/announce/vrrp_plan.hpp"

#include <algorithm>
#include <charconv>
#include <sstream>

namespace lb::announce {
namespace {

constexpr unsigned kHighest = 250;  // 255 means the owner of the address, whom nobody may outrank
constexpr unsigned kLowest = 200;
constexpr unsigned kDraws = kHighest - kLowest + 1;
constexpr std::string_view kRouterName = "router-";

// FNV-1a with a finisher: near addresses and small numbers must not stay near. It is part of the
// contract between data planes, so it never changes.
uint64_t hash(std::string_view bytes) {
  uint64_t out = 0xcbf29ce484222325u;
  for (const char each : bytes) out = (out ^ static_cast<uint8_t>(each)) * 0x100000001b3u;
  out = (out ^ (out >> 30)) * 0xbf58476d1ce4e5b9u;
  out = (out ^ (out >> 27)) * 0x94d049bb133111ebu;
  return out ^ (out >> 31);
}

uint64_t liking(const IpAddress& member, unsigned router) {
  return hash(member.to_string() + "/" + std::to_string(router));
}

std::vector<IpAddress> ranked(const std::set<IpAddress>& members, unsigned router) {
  std::vector<IpAddress> out(members.begin(), members.end());
  std::sort(out.begin(), out.end(), [&](const IpAddress& a, const IpAddress& b) {
    return liking(a, router) > liking(b, router);
  });
  return out;
}

// Puts the first one that may still lead a router first. Nobody leads more than its share.
class Shares {
 public:
  Shares(size_t routers, size_t members) : share_(routers / members), extra_(routers % members) {}

  void lead(std::vector<IpAddress>& order) {
    const auto chosen = std::find_if(order.begin(), order.end(),
                                     [this](const IpAddress& each) { return may_lead(each); });
    if (led_[*chosen]++ == share_) --extra_;
    std::rotate(order.begin(), chosen, chosen + 1);
  }

 private:
  bool may_lead(const IpAddress& member) {
    const size_t led = led_[member];
    return led < share_ || (led == share_ && extra_ > 0);
  }

  size_t share_;
  size_t extra_;  // routers that are left over, one for each of as many members
  std::map<IpAddress, size_t> led_;
};

unsigned priority_at(size_t rank, size_t members) {
  const size_t step =
      std::clamp<size_t>((kHighest - kLowest) / std::max<size_t>(members, 1), 1, 10);
  return static_cast<unsigned>(
      std::max<size_t>(kHighest - std::min<size_t>(step * rank, 50), kLowest));
}

// Who was master on the other side of a partition says so once more as it steps back: only then
// does the one that stays announce its addresses again to clients that were told otherwise.
void render_globals(std::ostream& out, const VrrpPlan& plan) {
  out << "# Written by empalme-dataplane; changes are lost.\n"
         "global_defs {\n"
         "  router_id empalme\n"
         "  script_user root\n"
         "  vrrp_notify_fifo "
      << plan.files.events()
      << "\n"
         "  vrrp_garp_master_repeat 3\n"
         "  vrrp_garp_master_delay 1\n"
         "  vrrp_garp_master_refresh 30\n"
         "  vrrp_higher_prio_send_advert true\n"
         "}\n";
}

std::string seconds(unsigned ms) {
  std::ostringstream out;
  out << ms / 1000 << '.' << (ms % 1000) / 100 << (ms % 100) / 10;
  return out.str();
}

void render_peers(std::ostream& out, const VrrpPlan& plan) {
  const bool multicast = plan.peers.empty();
  out << (multicast ? "  mcast_src_ip " : "  unicast_src_ip ") << plan.self.to_string() << "\n";
  if (multicast) return;
  out << "  unicast_peer {\n";
  for (const auto& peer : plan.peers) out << "    " << peer.to_string() << "\n";
  out << "  }\n";
}

// Adverts name the addresses outside the excluded block and are dropped where the number differs.
// The one placeholder is the same everywhere, so that data planes between two states understand
// each other.
void render_addresses(std::ostream& out, const VrrpPlan& plan, unsigned router) {
  if (plan.self.is_v4()) {
    out << "  virtual_ipaddress {\n    127.86." << router / 256 << '.' << router % 256
        << "/32 dev lo scope host no_track\n  }\n";
  } else {
    out << "  virtual_ipaddress {\n    fe80::5a5a:" << std::hex << router + 1 << std::dec
        << "/128 dev lo no_track\n  }\n";
  }
  std::string lines;
  for (const auto& address : plan.addresses) {
    if (router_of(address, plan.flags.routers) != router) continue;
    lines += "    " + address.to_string() + (address.is_v4() ? "/32" : "/128") + " dev " +
             plan.flags.interface + " preferred_lft 0\n";
  }
  if (!lines.empty()) out << "  virtual_ipaddress_excluded {\n" << lines << "  }\n";
}

void render_router(std::ostream& out, const VrrpPlan& plan, unsigned router, unsigned priority) {
  out << "track_file ready-" << router << " {\n  file " << plan.files.track(router)
      << "\n  weight 1\n}\n"
      << "vrrp_instance " << kRouterName << router << " {\n"
      << "  state BACKUP\n"
         "  version 3\n"
         "  interface "
      << plan.flags.interface << "\n  virtual_router_id " << plan.flags.first_id + router
      << "\n  priority " << priority << "\n  advert_int " << seconds(plan.flags.advert_ms)
      << "\n  preempt_delay 5\n  accept\n";
  render_peers(out, plan);
  out << "  track_file {\n    ready-" << router << "\n  }\n";
  render_addresses(out, plan, router);
  out << "}\n";
}

}  // namespace

unsigned router_of(const IpAddress& address, unsigned routers) {
  return static_cast<unsigned>(hash(address.to_string()) % routers);
}

std::vector<unsigned> vrrp_priorities(const IpAddress& self, const std::set<IpAddress>& members,
                                      unsigned routers) {
  Shares shares(routers, members.size());
  std::vector<unsigned> out;
  for (unsigned router = 0; router < routers; ++router) {
    if (members.size() < 2) {
      out.push_back(kLowest + static_cast<unsigned>(liking(self, router) % kDraws));
      continue;
    }
    auto order = ranked(members, router);
    shares.lead(order);
    const auto rank = std::find(order.begin(), order.end(), self) - order.begin();
    out.push_back(priority_at(static_cast<size_t>(rank), members.size()));
  }
  return out;
}

std::string render_vrrp(const VrrpPlan& plan) {
  auto members = plan.peers;
  members.insert(plan.self);
  auto priorities = vrrp_priorities(plan.self, members, plan.flags.routers);
  if (plan.flags.priority != 0) priorities.assign(plan.flags.routers, plan.flags.priority);
  std::ostringstream out;
  render_globals(out, plan);
  for (unsigned router = 0; router < plan.flags.routers; ++router) {
    render_router(out, plan, router, priorities[router]);
  }
  return out.str();
}

Result<std::vector<IpAddress>> parse_peers(std::string_view text) {
  std::vector<IpAddress> out;
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    line = line.substr(0, line.find('#'));
    std::replace(line.begin(), line.end(), ',', ' ');
    std::istringstream words(line);
    for (std::string word; words >> word;) {
      const auto address = IpAddress::parse(word);
      if (!address) return Error{"VrrpPeers", "'" + word + "' is no address of a peer"};
      out.push_back(*address);
    }
  }
  const bool mixed = std::any_of(out.begin(), out.end(), [&](const IpAddress& each) {
    return each.is_v4() != out.front().is_v4();
  });
  if (mixed) return Error{"VrrpPeers", "the addresses of peers are of two families"};
  return out;
}

std::optional<VrrpEvent> parse_vrrp_event(std::string_view line) {
  const std::string begin = "INSTANCE \"" + std::string(kRouterName);
  if (!line.starts_with(begin)) return {};
  line.remove_prefix(begin.size());
  VrrpEvent out;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), out.router);
  if (error != std::errc{}) return {};
  line.remove_prefix(static_cast<size_t>(end - line.data()));
  if (line.starts_with("\" MASTER ")) {
    out.state = RouterState::kMaster;
  } else if (line.starts_with("\" BACKUP ")) {
    out.state = RouterState::kBackup;
  } else if (!line.starts_with("\" FAULT ") && !line.starts_with("\" STOP ")) {
    return {};
  }
  return out;
}

}  // namespace lb::announce
