#include <algorithm>

#include "common/model/client_access.hpp"
#include "dataplane/proxy/proxy_header.hpp"
#include "dataplane/proxy/stats.hpp"
#include "dataplane/proxy/udp_relay.hpp"

namespace lb::proxy {
bool UdpRelay::may_open(const UdpListener& listener, const UdpPeer& client, uint64_t datagrams) {
  if (listener.closing) {
    add(counters_.closing, datagrams);
  } else if (!admitted(listener, client)) {
    add(counters_.source_refused, datagrams);
    listener.stats->count(Refusal::kSourceRange, datagrams);
  } else if (lacking()) {
    add(counters_.own_wants, datagrams);
  } else if (full(listener) && to_evict_for(listener) == nullptr) {
    add(counters_.session_limit, datagrams);
  } else {
    return true;
  }
  return false;
}

bool UdpRelay::full(const UdpListener& listener) const {
  return listener.table.size() >= hooks_.session_limit || live_ >= hooks_.worker_limit;
}

// Whose datagrams are in hand is spared.
UdpSession* UdpRelay::to_evict_for(const UdpListener& listener) const {
  const UdpListener* from = &listener;
  const auto look = [&](const UdpListener& each) {
    const bool more = each.table.size() > from->table.size();
    if (more && each.unanswered.oldest(latest_) != nullptr) from = &each;
  };
  if (listener.table.size() < hooks_.session_limit) {
    for (const auto& [address, each] : listeners_) look(*each);
    for (const auto& each : closed_) look(*each);
  }
  return from->unanswered.oldest(latest_);
}

void UdpRelay::make_room(const UdpListener& listener) {
  UdpSession* session = full(listener) ? to_evict_for(listener) : nullptr;
  if (session == nullptr) return;
  add(counters_.evicted);
  finish(*session, EndReason::kExhausted);
}

bool UdpRelay::admitted(const UdpListener& listener, const UdpPeer& client) {
  const Policy& policy = listener.config->policy;
  return !has_access_list(policy) || lets_in(policy, address_of(client));
}

// After true, count_out() must follow once.
bool UdpRelay::count_in(const UdpListener& listener, const UdpPeer& client, uint64_t datagrams) {
  const auto refusal = enter(*listener.config, client);
  if (!refusal) return true;
  add(counters_.limit_refused, datagrams);
  listener.stats->count(*refusal, datagrams);
  return false;
}

// Which limit forbids it.
std::optional<Refusal> UdpRelay::enter(const ListenerConfig& config, const UdpPeer& client) const {
  const Policy& policy = config.policy;
  if (!config.counts->enter(policy.max_connections)) return Refusal::kConnections;
  EnteredPlace place(*config.counts);
  const SourceLimits::Limits limits{policy.max_connections_per_source, policy.max_rate_per_source};
  // Without a place in the listener's count it is not in its source's either.
  const auto refusal = config.limits
                           ? refusal_of(config.limits->enter(address_of(client), now_, limits))
                           : std::nullopt;
  if (!refusal) place.hand_over();
  return refusal;
}

void UdpRelay::count_out(UdpSession& session) {
  if (session.limits) session.limits->leave(address_of(session.client));
  session.limits.reset();
  session.counts->leave();
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
