#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "dataplane/proxy/relay_engine.hpp"
#include "dataplane/proxy/sockets.hpp"

namespace lb::proxy {
namespace {

constexpr uint64_t kFirstLookMs = 5000;  // most connections are over by then, and cost no look

auto tried_by(const Session& session) {
  return [tried = session.tried.get()](const BackendRecord& record) {
    return tried != nullptr &&
           std::find(tried->begin(), tried->end(), record.endpoint) != tried->end();
  };
}

}  // namespace

void RelayEngine::dial_next(Session& session) {
  const Policy& policy = session.listener->config->policy;
  dial_error_ = 0;
  while (session.attempts() < policy.connect_attempts) {
    const int index = pick(session);
    if (index < 0) break;
    if (session.attempts() > 0) {
      add(counters_.retries);
      add(session.listener->stats->retries);
    }
    if (dial(session, session.listener->config->records[size_t(index)])) return;
    if (!another_may_do(dial_error_)) break;
  }
  if (own_want(dial_error_) != nullptr) return lack(session);
  give_up(session);
}

// Where the client was sent last, if that may still be used; else -1.
int RelayEngine::remembered(const Session& session) {
  const ListenerConfig& config = *session.listener->config;
  if (!config.affinity || session.attempts() > 0 || !session.details || !session.details->client) {
    return -1;
  }
  const auto backend = config.affinity->find(session.details->client->address, now_);
  if (!backend) return -1;
  for (size_t i = 0; i < config.records.size(); ++i) {
    if (config.records[i]->endpoint != *backend) continue;
    const auto& candidate = config.candidates[i];
    const bool usable = candidate.weight > 0 && candidate.state == BackendState::kReady &&
                        !config.records[i]->unfit();
    return usable ? static_cast<int>(i) : -1;
  }
  return -1;
}

std::optional<IpAddress> RelayEngine::client_address(const Session& session) {
  const auto client = session.details && session.details->client
                          ? session.details->client
                          : peer_endpoint(session.side[kClient].get());
  return client ? std::optional(client->address) : std::nullopt;
}

int RelayEngine::pick(Session& session) {
  const ListenerConfig& config = *session.listener->config;
  if (const int known = remembered(session); known >= 0) return known;
  const Balance policy = config.policy.balance;
  const bool as_configured = session.attempts() == 0 && !balance::needs_connections(policy) &&
                             std::all_of(config.records.begin(), config.records.end(),
                                         [](const auto& record) { return record->untouched(); });
  const auto& candidates =
      as_configured ? config.candidates : pick_inputs_.candidates(config, tried_by(session));
  const auto input = pick_inputs_.input(policy, [&] { return client_address(session); });
  const auto picked = session.listener->picker->pick(candidates, input, {});
  return picked ? int(*picked) : -1;
}

bool RelayEngine::has_another(const Session& session) {
  const auto& records = session.listener->config->records;
  const auto& candidates = pick_inputs_.candidates(*session.listener->config, tried_by(session));
  for (size_t i = 0; i < candidates.size(); ++i) {
    const bool usable = candidates[i].weight > 0 && !candidates[i].tried &&
                        !candidates[i].ejected && candidates[i].state != BackendState::kNotReady;
    if (usable && records[i] != session.backend) return true;
  }
  return false;
}

void RelayEngine::move_dials(const std::shared_ptr<BackendRecord>& backend) {
  refresh_clock();
  for (const auto& [address, listener] : std::map<Endpoint, Listener>(listeners_)) {
    for (Session* session : std::vector<Session*>(listener->sessions)) {
      const bool waits = session->phase == Phase::kDialling && session->backend == backend;
      // Its present dial may still work: it is given up only for one more that may be made.
      const bool may = session->attempts() + 1 < listener->config->policy.connect_attempts;
      if (waits && may && has_another(*session)) dial_failed(*session, ECANCELED);
    }
  }
  bury();
}

// False when the connect failed at once; the backend then counts as tried.
bool RelayEngine::dial(Session& session, std::shared_ptr<BackendRecord> backend) {
  add(counters_.dials);
  if (session.details) session.details->backend = backend->endpoint;
  net::Fd fd =
      ports_.connect(backend->endpoint, backend->source_v4.load(std::memory_order_relaxed), now_);
  const uint64_t tag = reinterpret_cast<uint64_t>(&session) | 1;
  if (!fd.valid() || !watch(fd.get(), tag, kSessionEvents)) {
    const int error = dial_error_ = errno;
    session.backend = std::move(backend);
    session.backend->connections.fetch_add(1, std::memory_order_relaxed);
    note_failure(session, error);
    note_tried(session);
    release_backend(session);
    return false;
  }
  session.side[kBackend] = std::move(fd);
  session.backend = std::move(backend);
  session.backend->connections.fetch_add(1, std::memory_order_relaxed);
  session.phase_ends = now_ + session.listener->config->policy.connect_timeout_ms;
  rearm(session);
  return true;
}

// What was our own want (see own_want(), or a dial that we moved) is not the backend's fault.
void RelayEngine::note_failure(Session& session, int error) {
  const EjectionPolicy& limits = session.listener->config->policy.ejection;
  bool ejected = false;
  if (error == ETIMEDOUT) {
    add(counters_.connect_timeouts);
    add(stats_of(session).timeouts);
    ejected = session.backend->failed(Ejection::kTimeout, limits.timeouts);
  } else if (error == ECONNREFUSED) {
    add(counters_.refused);
    add(stats_of(session).refused);
    ejected = session.backend->failed(Ejection::kRefused, limits.refused);
  } else if (auto* want = own_want(error); want != nullptr) {
    add(*want);
  } else if (error != ECANCELED) {
    add(counters_.connect_errors);
    add(stats_of(session).errors);
  }
  if (!ejected) return;
  add(counters_.ejections);
  add(stats_of(session).ejections);
  tell_ejection(session);
}

void RelayEngine::dial_failed(Session& session, int error) {
  note_failure(session, error);
  note_tried(session);
  release_backend(session);
  session.side[kBackend].reset();
  session.phase_ends = 0;
  dial_next(session);
}

BackendStats& RelayEngine::stats_of(const Session& session) const {
  auto& stats = session.backend->stats;
  return stats[worker_index_ % stats.size()];
}

void RelayEngine::note_tried(Session& session) {
  if (!session.tried) session.tried = std::make_unique<std::vector<Endpoint>>();
  session.tried->push_back(session.backend->endpoint);
  if (session.details) ++session.details->retries;
}

void RelayEngine::give_up(Session& session) {
  add(counters_.no_backend);
  add(session.listener->stats->no_backend);
  end_for(session, EndReason::kNoBackend);
  reset_both(session);
}

void RelayEngine::connected(Session& session) {
  session.phase = Phase::kRelaying;
  session.phase_ends = 0;
  session.last_active = now_;
  session.tried.reset();
  session.backend->succeeded();
  add(stats_of(session).connections);
  session.listener->stats->connect.observe(now_ - session.began, kConnectBounds);
  if (session.details) session.details->connect_ms = static_cast<uint32_t>(now_ - session.began);
  const ListenerConfig& config = *session.listener->config;
  if (config.affinity && session.details && session.details->client) {
    config.affinity->remember(session.details->client->address, session.backend->endpoint, now_,
                              uint64_t{config.policy.affinity_seconds} * 1000);
  }
  session.check_at = now_ + kFirstLookMs;
  rearm(session);
}

void RelayEngine::release_backend(Session& session) {
  if (session.backend) session.backend->connections.fetch_sub(1, std::memory_order_relaxed);
  session.backend.reset();
}

}  // namespace lb::proxy
