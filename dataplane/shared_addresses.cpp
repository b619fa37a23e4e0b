#include "dataplane/shared_addresses.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>

#include "common/net/interfaces.hpp"
#include "common/ops/log.hpp"

namespace lb::dataplane {
namespace {

constexpr char kPrefix[] = "empalme_dataplane_vrrp_";

const char* to_string(announce::RouterState state) {
  switch (state) {
    case announce::RouterState::kMaster:
      return "master";
    case announce::RouterState::kBackup:
      return "backup";
    case announce::RouterState::kDown:
      return "down";
  }
  return "";
}

std::vector<IpAddress> listed_peers(const announce::VrrpFlags& flags) {
  auto out = flags.peers;
  std::ifstream file(flags.peers_file);
  const std::string text(std::istreambuf_iterator<char>(file), {});
  if (const auto more = announce::parse_peers(text)) {
    out.insert(out.end(), more->begin(), more->end());
  }
  return out;
}

// keepalived repeats this one with every advert while a better data plane waits before it returns.
bool is_noise(const std::string& line) { return line.find("- discarding") != std::string::npos; }

announce::VrrpOptions hooks(const Config& config, const IpAddress& self, SetFilter set_filter) {
  announce::VrrpOptions out;
  out.flags = config.vrrp;
  out.files.folder =
      (config.state_dir.empty() ? net::default_socket_folder() : config.state_dir) + "/vrrp";
  out.self = self;
  out.set_filter = std::move(set_filter);
  out.report = ops::log_error;
  out.on_transition = [](unsigned router, announce::RouterState state) {
    ops::log(ops::Level::kInfo, std::string("virtual router is ") + to_string(state) + " here",
             {{"router", uint64_t{router}}});
  };
  out.on_line = [](const std::string& line) {
    ops::log(is_noise(line) ? ops::Level::kDebug : ops::Level::kInfo, line,
             {{"program", "keepalived"}});
  };
  return out;
}

}  // namespace

Result<IpAddress> own_address(const announce::VrrpFlags& flags) {
  const auto peers = listed_peers(flags);
  std::optional<IpAddress> first;
  for (const auto& each : net::interface_addresses()) {
    if (each.interface != flags.interface) continue;
    if (std::find(peers.begin(), peers.end(), each.address) != peers.end()) return each.address;
    const bool fits = peers.empty() || each.address.is_v4() == peers.front().is_v4();
    // What is left of an address of ours from before is a host address.
    if (fits && !first && each.prefix_length < (each.address.is_v4() ? 32 : 128)) {
      first = each.address;
    }
  }
  if (first) return *first;
  return Error{"NoInterface", "--announce vrrp:" + flags.interface +
                                  ": the interface has no address of the peers' family"};
}

Result<std::unique_ptr<announce::VrrpAnnouncer>> open_shared_addresses(asio::io_context& io,
                                                                       const Config& config,
                                                                       SetFilter set_filter,
                                                                       bool wait_for_begin) {
  const auto program = announce::find_program("keepalived");
  if (program.empty()) {
    return Error{"Keepalived",
                 "--announce vrrp:NAME needs keepalived, which is not installed (Debian: "
                 "apt-get install keepalived)"};
  }
  const auto self = own_address(config.vrrp);
  if (!self) return self.error();
  auto options = hooks(config, *self, std::move(set_filter));
  options.command = {program};
  options.wait_for_begin = wait_for_begin;
  return announce::VrrpAnnouncer::open(io, announce::make_link_layer(io, config.vrrp.interface),
                                       std::move(options));
}

void add_vrrp_metrics(Metrics& out, const announce::VrrpAnnouncer& announcer) {
  ops::Metric state{std::string(kPrefix) + "router_state",
                    "2: master here, 1: backup, 0: neither.",
                    ops::MetricType::kGauge,
                    {}};
  const auto& routers = announcer.routers();
  for (size_t i = 0; i < routers.size(); ++i) {
    state.samples.push_back({static_cast<double>(routers[i]), {{"router", std::to_string(i)}}});
  }
  out.push_back(std::move(state));
  const auto counters = announcer.vrrp_counters();
  const auto add = [&out](const char* name, const char* help, ops::MetricType type,
                          uint64_t value) {
    out.push_back({std::string(kPrefix) + name, help, type, {{static_cast<double>(value), {}}}});
  };
  constexpr auto kCounter = ops::MetricType::kCounter;
  add("addresses_held", "Addresses of routers that are master here.", ops::MetricType::kGauge,
      announcer.addresses_held());
  add("transitions_total", "Changes of a router's state here.", kCounter, counters.transitions);
  add("keepalived_starts_total", "Starts of keepalived.", kCounter, counters.starts);
  add("keepalived_start_failures_total", "Times the system refused to start keepalived.", kCounter,
      counters.start_failures);
  add("keepalived_silent_starts_total", "Starts of keepalived that never said they were complete.",
      kCounter, counters.silent_starts);
  add("keepalived_deaths_total", "Times keepalived ended unasked.", kCounter, counters.deaths);
  add("keepalived_reloads_total", "Configurations handed to keepalived.", kCounter,
      counters.reloads);
  add("begin_failures_total", "Times keepalived's files could not be taken over from a process.",
      kCounter, counters.begin_failures);
  add("leftovers_removed_total", "Addresses removed behind keepalived.", kCounter,
      counters.leftovers_removed);
  add("late_takeovers_total",
      "Times a router was not yet ours when the process before gave it out of its hands.", kCounter,
      counters.late_takeovers);
  add("successors_lost_total", "Times the process that took over ended before we had left.",
      kCounter, counters.successors_lost);
  add("peer_errors_total", "Times the file of peers could not be used.", kCounter,
      counters.peer_errors);
  add("write_failures_total", "Files for keepalived that could not be written.", kCounter,
      counters.write_failures);
}

}  // namespace lb::dataplane
