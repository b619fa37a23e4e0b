#include <algorithm>

#include "dataplane/proxy/proxy_header.hpp"
#include "dataplane/proxy/stats.hpp"
#include "dataplane/proxy/udp_relay.hpp"

namespace lb::proxy {
namespace {

// One more, unless that were above `most` (0: any number); exact whichever workers ask at once.
bool count_one_more(std::atomic<uint64_t>& connections, uint32_t most) {
  if (most == 0) {
    connections.fetch_add(1, std::memory_order_relaxed);
    return true;
  }
  uint64_t now = connections.load(std::memory_order_relaxed);
  while (now < most) {
    if (connections.compare_exchange_weak(now, now + 1, std::memory_order_relaxed)) return true;
  }
  return false;
}

}  // namespace

bool UdpRelay::may_open(const UdpListener& listener, const UdpPeer& client, uint64_t datagrams) {
  if (listener.closing) {
    add(counters_.closing, datagrams);
  } else if (!admitted(listener, client)) {
    add(counters_.source_refused, datagrams);
    add(listener.stats->source_refused, datagrams);
  } else if (listener.table.size() >= hooks_.session_limit || live_ >= hooks_.worker_limit) {
    add(counters_.session_limit, datagrams);
  } else if (lacking()) {
    add(counters_.own_wants, datagrams);
  } else {
    return true;
  }
  return false;
}

bool UdpRelay::admitted(const UdpListener& listener, const UdpPeer& client) {
  const auto& ranges = listener.config->policy.source_ranges;
  if (ranges.empty()) return true;
  const IpAddress address = address_of(client);
  return std::any_of(ranges.begin(), ranges.end(),
                     [&](const Cidr& range) { return range.contains(address); });
}

// After true, count_out() must follow once.
bool UdpRelay::count_in(const UdpListener& listener, const UdpPeer& client, uint64_t datagrams) {
  const ListenerConfig& config = *listener.config;
  const Policy& policy = config.policy;
  if (count_one_more(config.counts->connections, policy.max_connections)) {
    const SourceLimits::Limits limits{policy.max_connections_per_source,
                                      policy.max_rate_per_source};
    // Without a place in the listener's count it is not in its source's either.
    try {
      if (!config.limits || config.limits->enter(address_of(client), now_, limits) == Admit::kYes) {
        return true;
      }
    } catch (const std::bad_alloc&) {
      config.counts->connections.fetch_sub(1, std::memory_order_relaxed);
      throw;
    }
    config.counts->connections.fetch_sub(1, std::memory_order_relaxed);
  }
  add(counters_.limit_refused, datagrams);
  add(listener.stats->limit_refused, datagrams);
  return false;
}

void UdpRelay::count_out(UdpSession& session) {
  if (session.limits) session.limits->leave(address_of(session.client));
  session.limits.reset();
  session.counts->connections.fetch_sub(1, std::memory_order_release);
}

// What its backend is told of the client. On a wildcard the destination is the address asked.
void UdpRelay::introduce(UdpSession& session) {
  const ListenerConfig& config = *session.listener->config;
  session.introduction.clear();
  if (config.policy.proxy_protocol == ProxyProtocol::kOff) return;
  Endpoint local = config.address;
  if (local.address.is_wildcard()) {
    local.address = address_of(session.key.local, local.address.family());
  }
  const Endpoint client{address_of(session.client), port_of(session.client)};
  session.introduction = encode_proxy_v2(client, local, Protocol::kUdp);
}

}  // namespace lb::proxy
