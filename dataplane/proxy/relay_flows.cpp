#include <sys/socket.h>

#include <algorithm>

#include "dataplane/proxy/newest.hpp"
#include "dataplane/proxy/relay_engine.hpp"
#include "dataplane/proxy/sockets.hpp"

namespace lb::proxy {
namespace {

constexpr unsigned kWorkerShift = 48;  // serial numbers of a worker fit below

FlowPhase shown(Phase phase) {
  switch (phase) {
    case Phase::kGreeting:
      return FlowPhase::kGreeting;
    case Phase::kSecuring:
      return FlowPhase::kSecuring;
    case Phase::kWaiting:
      return FlowPhase::kWaiting;
    case Phase::kDialling:
      return FlowPhase::kDialling;
    case Phase::kSecuringBackend:
      return FlowPhase::kSecuringBackend;
    case Phase::kResetting:
      return FlowPhase::kResetting;
    case Phase::kLingering:
      return FlowPhase::kLingering;
    case Phase::kRelaying:
    case Phase::kDead:
      break;
  }
  return FlowPhase::kRelaying;
}

bool is_in_order(EndReason reason) {
  return reason == EndReason::kClientFin || reason == EndReason::kBackendFin;
}

std::optional<Endpoint> client_of(const Session& session) {
  if (session.details && session.details->client) return session.details->client;
  const net::Fd& client = session.side[kClient];
  return client.valid() ? peer_endpoint(client.get()) : std::nullopt;
}

std::optional<Endpoint> backend_of(const Session& session) {
  return session.backend ? std::optional(session.backend->endpoint) : std::nullopt;
}

}  // namespace

uint64_t RelayEngine::flow_id(const Session& session) const {
  return uint64_t{worker_index_} << kWorkerShift | session.serial;
}

Flow RelayEngine::describe(const Session& session) const {
  Flow out;
  out.id = flow_id(session);
  out.service = session.listener->config->key;
  out.listener = session.listener->config->address;
  out.client = client_of(session);
  out.backend = backend_of(session);
  out.phase = shown(session.phase);
  out.bytes_in = session.from[kClient].bytes();
  out.bytes_out = session.from[kBackend].bytes();
  out.age_ms = now_ - session.began;
  out.idle_ms = now_ - std::min(now_, session.last_active);
  return out;
}

void RelayEngine::list_flows(const FlowFilter& filter, std::vector<Flow>& out) {
  refresh_clock();
  Newest<Session> newest(filter.limit);
  each_listener([&](const Listener& listener) {
    if (!matches_service(filter, listener->config->key)) return;
    for (const Session* session : listener->sessions) {
      const auto client = [session] { return client_of(*session); };
      if (newest.wants(*session) && matches(filter, backend_of(*session), client)) {
        newest.offer(*session);
      }
    }
  });
  for (const Session* session : newest.all()) out.push_back(describe(*session));
}

bool RelayEngine::kill(uint64_t id) {
  if (id >> kWorkerShift != worker_index_) return false;
  refresh_clock();
  Session* found = nullptr;
  each_listener([&](const Listener& listener) {
    for (Session* session : listener->sessions) {
      if (flow_id(*session) == id) found = session;
    }
  });
  if (found == nullptr) return false;
  add(counters_.killed);
  end_for(*found, EndReason::kKilled);
  reset_both(*found);
  bury();
  return true;
}

// A FIN is half of an end, and the other half may be out of order still. What follows the first
// reason that is no FIN is its consequence.
void RelayEngine::end_for(Session& session, EndReason reason) {
  const bool replaces = is_in_order(session.end) && !is_in_order(reason);
  if (!session.end_known || replaces) session.end = reason;
  session.end_known = true;
}

void RelayEngine::record_end(const Session& session) {
  PortStats& stats = *session.listener->stats;
  stats.count(session.end);
  stats.life.observe(now_ - session.began, kLifeBounds);
  if (session.details && session.details->logged && hooks_.on_close) tell_end(session);
}

// An end needs no memory but for being told of.
void RelayEngine::tell_end(const Session& session) try {
  FlowRecord record;
  record.flow = describe(session);
  record.flow.backend = session.details->backend;
  record.reason = session.end;
  record.refusal = session.details->refusal;
  record.retries = session.details->retries;
  record.replays = session.details->replays;
  record.hedge_won = session.details->hedge_won;
  record.waited_ms = session.details->waited_ms;
  record.connect_ms = session.details->connect_ms;
  hooks_.on_close(record);
} catch (const std::bad_alloc&) {
  add(counters_.no_memory);
}

// It never became a session, and has no id.
void RelayEngine::tell_refusal(const LiveListener& listener, const std::optional<Endpoint>& client,
                               Refusal rule) try {
  FlowRecord record;
  record.flow.service = listener.config->key;
  record.flow.listener = listener.config->address;
  record.flow.client = client;
  record.flow.phase = FlowPhase::kGreeting;
  record.reason = EndReason::kRefused;
  record.refusal = rule;
  hooks_.on_close(record);
} catch (const std::bad_alloc&) {
  add(counters_.no_memory);
}

}  // namespace lb::proxy
