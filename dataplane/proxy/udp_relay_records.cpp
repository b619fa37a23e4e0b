#include <algorithm>

#include "dataplane/proxy/newest.hpp"
#include "dataplane/proxy/stats.hpp"
#include "dataplane/proxy/udp_relay.hpp"

namespace lb::proxy {
namespace {

constexpr unsigned kWorkerShift = 48;             // as for connections
constexpr uint64_t kUdpFlow = uint64_t{1} << 47;  // which have serial numbers below this

Endpoint client_of(const UdpSession& session) {
  return {address_of(session.client), port_of(session.client)};
}

std::optional<Endpoint> backend_of(const UdpSession& session) {
  return session.backend ? std::optional(session.backend->endpoint) : std::nullopt;
}

}  // namespace

uint64_t UdpRelay::flow_id(const UdpSession& session) const {
  return uint64_t{worker_index_} << kWorkerShift | kUdpFlow | session.serial;
}

Flow UdpRelay::describe(const UdpSession& session) const {
  Flow out;
  out.id = flow_id(session);
  out.service = session.listener->config->key;
  out.protocol = Protocol::kUdp;
  out.listener = session.listener->config->address;
  out.client = client_of(session);
  out.backend = backend_of(session);
  out.bytes_in = session.bytes_in;
  out.bytes_out = session.bytes_out;
  out.age_ms = now_ - session.began;
  out.idle_ms = now_ - session.last_active;
  return out;
}

void UdpRelay::list_flows(const FlowFilter& filter, std::vector<Flow>& out) {
  now_ = hooks_.now_ms();
  Newest<UdpSession> newest(filter.limit);
  const auto look = [&](const UdpSession& session) {
    if (newest.wants(session) &&
        matches(filter, backend_of(session), [&] { return std::optional(client_of(session)); })) {
      newest.offer(session);
    }
  };
  const auto look_at = [&](const UdpListener& listener) {
    if (matches_service(filter, listener.config->key)) listener.table.for_each(look);
  };
  for (const auto& [address, listener] : listeners_) look_at(*listener);
  for (const auto& listener : closed_) look_at(*listener);
  for (const UdpSession* session : newest.all()) out.push_back(describe(*session));
}

bool UdpRelay::kill(uint64_t id) {
  now_ = hooks_.now_ms();
  UdpSession* found = nullptr;
  const auto look = [&](UdpSession& session) {
    if (flow_id(session) == id) found = &session;
  };
  for (const auto& [address, listener] : listeners_) listener->table.for_each(look);
  for (const auto& listener : closed_) listener->table.for_each(look);
  if (found == nullptr) return false;
  add(counters_.killed);
  finish(*found, EndReason::kKilled);
  bury();
  return true;
}

void UdpRelay::record_end(const UdpSession& session, EndReason reason) {
  PortStats& stats = *session.listener->stats;
  stats.count(reason);
  stats.life.observe(now_ - session.began, kLifeBounds);
  if (session.logged && hooks_.on_close) tell_end(session, reason);
}

// An end needs no memory but for being told of.
void UdpRelay::tell_end(const UdpSession& session, EndReason reason) try {
  FlowRecord record;
  record.flow = describe(session);
  record.reason = reason;
  // Who has a session is held to nothing else.
  if (reason == EndReason::kRefused) record.refusal = Refusal::kSourceRange;
  record.retries = session.moves;
  hooks_.on_close(record);
} catch (const std::bad_alloc&) {
  add(counters_.no_memory);
}

}  // namespace lb::proxy
