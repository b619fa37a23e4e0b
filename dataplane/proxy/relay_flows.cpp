#include <sys/socket.h>

#include <algorithm>

#include "dataplane/proxy/relay_engine.hpp"
#include "dataplane/proxy/sockets.hpp"

namespace lb::proxy {
namespace {

constexpr unsigned kWorkerShift = 48;  // serial numbers of a worker fit below

}  // namespace

uint64_t RelayEngine::flow_id(const Session& session) const {
  return uint64_t{worker_index_} << kWorkerShift | session.serial;
}

Flow RelayEngine::describe(const Session& session) const {
  Flow out;
  out.id = flow_id(session);
  out.service = session.listener->config->key;
  out.listener = session.listener->config->address;
  if (session.details && session.details->client) {
    out.client = session.details->client;
  } else if (session.side[kClient].valid()) {
    out.client = peer_endpoint(session.side[kClient].get());
  }
  if (session.backend) out.backend = session.backend->endpoint;
  out.dialling = session.phase == Phase::kDialling;
  out.waiting = session.phase == Phase::kWaiting;
  out.bytes_in = session.from[kClient].bytes();
  out.bytes_out = session.from[kBackend].bytes();
  out.age_ms = now_ - session.began;
  out.idle_ms = now_ - std::min(now_, session.last_active);
  return out;
}

void RelayEngine::list_flows(const FlowFilter& filter, std::vector<Flow>& out) {
  refresh_clock();
  const auto list = [&](const LiveListener& listener) {
    for (const Session* session : listener.sessions) {
      Flow flow = describe(*session);
      if (matches(filter, flow)) out.push_back(std::move(flow));
    }
  };
  for (const auto& [address, listener] : listeners_) list(*listener);
  for (const auto& listener : closed_) list(*listener);
}

bool RelayEngine::kill(uint64_t id) {
  if (id >> kWorkerShift != worker_index_) return false;
  refresh_clock();
  const auto find_in = [&](const LiveListener& listener) -> Session* {
    for (Session* session : listener.sessions) {
      if (flow_id(*session) == id) return session;
    }
    return nullptr;
  };
  Session* found = nullptr;
  for (const auto& [address, listener] : listeners_) {
    if (found == nullptr) found = find_in(*listener);
  }
  for (const auto& listener : closed_) {
    if (found == nullptr) found = find_in(*listener);
  }
  if (found == nullptr) return false;
  add(counters_.killed);
  end_for(*found, EndReason::kKilled);
  reset_both(*found);
  bury();
  return true;
}

// The first reason is the true one: what follows is its consequence.
void RelayEngine::end_for(Session& session, EndReason reason) {
  if (!session.end_known) session.end = reason;
  session.end_known = true;
}

void RelayEngine::record_end(const Session& session) {
  PortStats& stats = *session.listener->stats;
  add(stats.closed);
  stats.life.observe(now_ - session.began, kLifeBounds);
  if (session.details && session.details->logged && hooks_.on_close) tell_end(session);
}

// An end needs no memory but for being told of.
void RelayEngine::tell_end(const Session& session) try {
  FlowRecord record;
  record.flow = describe(session);
  record.flow.backend = session.details->backend;
  record.reason = session.end;
  record.retries = session.details->retries;
  record.replays = session.details->replays;
  record.hedge_won = session.details->hedge_won;
  record.waited_ms = session.details->waited_ms;
  record.connect_ms = session.details->connect_ms;
  hooks_.on_close(record);
} catch (const std::bad_alloc&) {
  add(counters_.no_memory);
}

}  // namespace lb::proxy
