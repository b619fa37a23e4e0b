#include <algorithm>

#include "dataplane/proxy/stats.hpp"
#include "dataplane/proxy/udp_relay.hpp"

namespace lb::proxy {
namespace {

constexpr unsigned kWorkerShift = 48;             // as for connections
constexpr uint64_t kUdpFlow = uint64_t{1} << 47;  // which have serial numbers below this

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
  out.client = Endpoint{address_of(session.client), port_of(session.client)};
  if (session.backend) out.backend = session.backend->endpoint;
  out.bytes_in = session.bytes_in;
  out.bytes_out = session.bytes_out;
  out.age_ms = now_ - session.began;
  out.idle_ms = now_ - session.last_active;
  return out;
}

void UdpRelay::list_flows(const FlowFilter& filter, std::vector<Flow>& out) {
  now_ = hooks_.now_ms();
  const auto list = [&](const UdpListener& listener) {
    for (const UdpSession* session : listener.table.all()) {
      Flow flow = describe(*session);
      if (matches(filter, flow)) out.push_back(std::move(flow));
    }
  };
  for (const auto& [address, listener] : listeners_) list(*listener);
  for (const auto& listener : closed_) list(*listener);
}

bool UdpRelay::kill(uint64_t id) {
  now_ = hooks_.now_ms();
  std::vector<UdpSession*> all;
  const auto gather = [&](const UdpListener& listener) {
    const auto of_it = listener.table.all();
    all.insert(all.end(), of_it.begin(), of_it.end());
  };
  for (const auto& [address, listener] : listeners_) gather(*listener);
  for (const auto& listener : closed_) gather(*listener);
  const auto found = std::find_if(
      all.begin(), all.end(), [&](const UdpSession* session) { return flow_id(*session) == id; });
  if (found == all.end()) return false;
  add(counters_.killed);
  finish(**found, EndReason::kKilled);
  bury();
  return true;
}

void UdpRelay::record_end(const UdpSession& session, EndReason reason) {
  PortStats& stats = *session.listener->stats;
  add(stats.closed);
  stats.life.observe(now_ - session.began, kLifeBounds);
  if (session.logged && hooks_.on_close) tell_end(session, reason);
}

// An end needs no memory but for being told of.
void UdpRelay::tell_end(const UdpSession& session, EndReason reason) try {
  FlowRecord record;
  record.flow = describe(session);
  record.reason = reason;
  record.retries = session.moves;
  hooks_.on_close(record);
} catch (const std::bad_alloc&) {
  add(counters_.no_memory);
}

}  // namespace lb::proxy
