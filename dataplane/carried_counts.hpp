// What a process tells its successor, in the handoff's list of counters, and what the successor
// makes of it: totals that go on from where they were, backends that are known to be down, and
// what operators have drained.
//
// A name is words joined by '|', the key of a service last: "path|accepted", "check|probes",
// "port|80|tcp|accepted|KEY", "backend|80|tcp|10.0.0.1:80|refused|KEY",
// "group|80|tcp|connections|4|blue|KEY" (4: what the name has of bytes, which may be any);
// "down|80|tcp|10.0.0.1:80|KEY" and "drain|10.0.0.1:80|KEY" say that something holds. Counts of
// what is open now are not told: the process that leaves keeps its connections, and counts their
// end and their bytes no more. "left|tcp" and "left|udp" say how many these were, over all
// handoffs. Names that are not known are passed over. Control thread; nothing throws.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "common/model/state.hpp"
#include "dataplane/handoff/handoff_message.hpp"
#include "dataplane/health/prober.hpp"
#include "dataplane/proxy/data_path.hpp"

namespace lb::dataplane {

// Into `out`, as is all that follows; what a message cannot hold is left out. Totals are those that
// are shown, with those of earlier processes.
void encode_totals(const proxy::DataPathCounters& path, const std::vector<proxy::PortTotals>& ports,
                   handoff::Counters& out);
void encode_checks(const health::ProberCounters& checks, handoff::Counters& out);
void encode_down(const std::vector<proxy::ServiceStatus>& status, handoff::Counters& out);
std::vector<proxy::BackendId> decode_down(const handoff::Counters& from);
void encode_drained(const std::set<proxy::Drain>& drains, handoff::Counters& out);
std::set<proxy::Drain> decode_drained(const handoff::Counters& from);

class CarriedCounts {
 public:
  // Replaces what was there.
  void take(const handoff::Counters& from);
  // Series of what is no longer there end: if it comes back, it begins at 0.
  void keep_only(const DesiredState& state);

  // Our own numbers, and on top of them what was carried.
  proxy::DataPathCounters with(proxy::DataPathCounters path) const;
  health::ProberCounters with(health::ProberCounters checks) const;
  std::vector<proxy::PortTotals> with(std::vector<proxy::PortTotals> ports) const;

  // Over all processes since the first.
  uint64_t taken() const { return taken_; }
  uint64_t left_tcp() const { return left_tcp_; }
  uint64_t left_udp() const { return left_udp_; }
  void encode_own(handoff::Counters& out, const proxy::DataPathCounters& path) const;

 private:
  using PortKey = std::tuple<std::string, uint16_t, Protocol>;
  struct Port {
    proxy::PortTotals totals;
    std::map<Endpoint, proxy::BackendTotals> backends;
    std::map<std::string, proxy::GroupTotals> groups;
  };

  void take_one(const std::vector<std::string>& words, const std::string& key, uint64_t value);
  void take_group(const std::vector<std::string>& words, const std::string& name_and_key,
                  uint64_t value);

  proxy::DataPathCounters path_;
  health::ProberCounters checks_;
  std::map<PortKey, Port> ports_;
  uint64_t taken_ = 0, left_tcp_ = 0, left_udp_ = 0;
};

}  // namespace lb::dataplane
