#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <iterator>

#include "dataplane/balance/another.hpp"
#include "dataplane/balance/selection.hpp"
#include "dataplane/proxy/affinity.hpp"
#include "dataplane/proxy/relay_engine.hpp"
#include "dataplane/proxy/sockets.hpp"

namespace lb::proxy {
namespace {

// What connect(2) says of a backend to which no way leads, ours or that of a router (icmp(7)), or
// to which a filter lets nothing through.
bool is_unreachable(int error) {
  constexpr int kErrors[] = {EHOSTUNREACH, ENETUNREACH, EHOSTDOWN, ENONET,
                             ENOPROTOOPT,  ENETDOWN,    EACCES,    EPERM};
  return std::find(std::begin(kErrors), std::end(kErrors), error) != std::end(kErrors);
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
  if (!is_first_dial(session) || !session.details || !session.details->client) return -1;
  return remembered_backend(*session.listener->config, session.details->client->address, now_);
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
  if (!is_first_dial(session)) {
    const auto another = pick_another(session);
    return another ? int(*another) : -1;
  }
  const bool as_configured = !balance::needs_connections(policy) &&
                             std::all_of(config.records.begin(), config.records.end(),
                                         [](const auto& record) { return record->untouched(); });
  const auto& candidates =
      as_configured ? config.candidates : pick_inputs_.candidates(config, tried_by(session), now_);
  const auto input = pick_inputs_.input(config, [&] { return client_address(session); });
  const auto picked = session.listener->picker->pick(candidates, input, config.options);
  return picked ? int(*picked) : -1;
}

// Where there are groups: the one that was dialled last.
std::optional<uint16_t> RelayEngine::last_group(const Session& session) const {
  const ListenerConfig& config = *session.listener->config;
  if (config.groups.empty()) return std::nullopt;
  for (size_t i = 0; i < config.records.size(); ++i) {
    const bool last = session.backend
                          ? config.records[i] == session.backend
                          : session.rescue && !session.rescue->tried.empty() &&
                                config.records[i]->endpoint == session.rescue->tried.back();
    if (last) return config.candidates[i].group;
  }
  return std::nullopt;
}

// Maglev's choices are no neighbours already, and the same client's are the same again.
std::optional<size_t> RelayEngine::pick_another(const Session& session) {
  const ListenerConfig& config = *session.listener->config;
  auto& candidates = untried(session, tried_by(session));
  const auto group = last_group(session);
  const bool stays = !group || balance::stay_in_group(candidates, *group);
  balance::leave_out_nodes(candidates, config.nodes, config.options);
  const Balance policy = config.policy.balance;
  if (stays && !balance::needs_client_hash(policy)) {
    return balance::draw_another(candidates, pick_inputs_.random(), config.options);
  }
  const auto input = pick_inputs_.input(config, [&] { return client_address(session); });
  return session.listener->picker->pick(candidates, input, config.options);
}

// Whether a pick would now prefer others to the backend that is being dialled.
bool RelayEngine::has_another(const Session& session) {
  const auto& records = session.listener->config->records;
  const ListenerConfig& config = *session.listener->config;
  const auto before = [&](const BackendRecord& record) { return was_tried(session, record); };
  const auto& candidates = untried(session, before);
  const balance::Selection selection(candidates, config.options);
  for (size_t i = 0; i < candidates.size(); ++i) {
    if (records[i] == session.backend && selection.has(candidates[i])) return false;
  }
  return !selection.empty();
}

void RelayEngine::move_dials(const std::shared_ptr<BackendRecord>& backend) {
  refresh_clock();
  std::vector<Listener> open;
  for (const auto& [address, door] : doors_) {
    for (const auto& [match, listener] : door->listeners) open.push_back(listener);
  }
  for (const auto& listener : open) {
    for (Session* session : std::vector<Session*>(listener->sessions)) {
      // Whoever has a second dial under way does not wait for this one.
      const bool waits =
          is_dialling(session->phase) && session->backend == backend && !session->hedging();
      // Its present dial may still work: it is given up only for one more that may be made.
      const bool may = session->attempts() + 1 < listener->config->policy.connect_attempts;
      if (!waits || !may || !has_another(*session)) continue;
      guarded(*session, [&] { dial_failed(*session, ECANCELED); });
    }
  }
  bury();
}

// False when the connect failed at once; the backend then counts as tried.
bool RelayEngine::dial(Session& session, std::shared_ptr<BackendRecord> backend) {
  if (session.details) session.details->backend = backend->endpoint;
  const uint8_t number = next_dial(session);
  net::Fd fd = connect_to(session, *backend, number);
  if (!fd.valid()) {
    dial_error_ = errno;
    note_failure(session, backend, dial_error_);
    note_tried(session, *backend);
    return false;
  }
  session.dial = number;
  session.side[kBackend] = std::move(fd);
  session.backend = std::move(backend);
  session.backend->connections.fetch_add(1, std::memory_order_relaxed);
  session.phase_ends = now_ + session.listener->config->policy.connect_timeout_ms;
  if (session.drain_ends != 0) reckon_drain(session);
  plan_hedge(session);
  rearm(session);
  return true;
}

// Begins a connect and watches it; on failure errno says why.
net::Fd RelayEngine::connect_to(const Session& session, const BackendRecord& backend,
                                uint8_t number) {
  add(counters_.dials);
  bool tuned = true;
  net::Fd fd = ports_.connect(backend.endpoint, backend.source_v4.load(std::memory_order_relaxed),
                              now_, session.listener->config->tuning, &tuned);
  if (!tuned) add(counters_.untuned);
  if (!fd.valid() || watch(fd.get(), backend_tag(session, number), kSessionEvents)) return fd;
  const int error = errno;
  fd.reset();
  errno = error;
  return fd;
}

// What was our own want (see own_want(), or a dial that we moved) is not the backend's fault.
void RelayEngine::note_failure(const Session& session,
                               const std::shared_ptr<BackendRecord>& backend, int error) {
  if (error < 0) return note_tls_failure(session, backend, error);
  BackendStats& stats = stats_of(*backend);
  if (error == ETIMEDOUT) {
    add(counters_.connect_timeouts);
    add(stats.timeouts);
    count_failure(session, backend, Ejection::kTimeout);
  } else if (error == ECONNREFUSED) {
    add(counters_.refused);
    add(stats.refused);
    count_failure(session, backend, Ejection::kRefused);
  } else if (error == ECONNRESET || error == EPIPE) {
    // It took the connection and reset it before we had looked.
    count_instant_reset(session, backend);
  } else if (auto* want = own_want(error); want != nullptr) {
    add(*want);
  } else if (error != ECANCELED) {
    add(counters_.connect_errors);
    add(stats.errors);
    if (is_unreachable(error)) count_failure(session, backend, Ejection::kUnreachable);
  }
}

// Ejects the backend when its row of failures is long enough.
void RelayEngine::count_failure(const Session& session,
                                const std::shared_ptr<BackendRecord>& backend, Ejection cause) {
  const Policy& policy = session.listener->config->policy;
  const auto limit =
      cause == Ejection::kTimeout ? policy.ejection.timeouts : policy.ejection.refused;
  if (!backend->failed(cause, limit)) return;
  add(counters_.ejections);
  add(stats_of(*backend).ejections);
  tell_ejection(backend, policy);
}

void RelayEngine::on_dialling_event(Session& session, int side, uint32_t events) {
  if (side == kClient) {
    if ((events & EPOLLERR) == 0) return;
    add(counters_.client_gone);
    end_for(session, EndReason::kClientGone);
    return reset_both(session);
  }
  if (session.phase == Phase::kSecuringBackend) return shake_backend(session);
  const bool secures = session.listener->config->backend_tls != nullptr;
  if ((events & (EPOLLERR | EPOLLHUP)) != 0) {
    const int backend = session.side[kBackend].get();
    if (!secures && unread_bytes(backend) != 0) return on_last_words(session);
    return dial_failed(session, take_error(backend));
  }
  if ((events & EPOLLOUT) == 0) return;
  if (secures) return greet_backend(session);
  session.fin_seen = session.fin_seen || (events & EPOLLRDHUP) != 0;
  on_connected(session);
}

void RelayEngine::on_connected(Session& session) {
  connected(session);
  const bool said = say_again(session) && introduce(session, session.side[kBackend].get());
  if (!said) return on_backend_failure(session);
  run(session, kClient);
  if (session.phase == Phase::kRelaying) run(session, kBackend);
}

void RelayEngine::drop_link(Session& session) {
  if (session.details) session.details->link = {};
}

void RelayEngine::dial_failed(Session& session, int error) {
  note_failure(session, session.backend, error);
  note_tried(session, *session.backend);
  release_backend(session);
  drop_link(session);
  session.side[kBackend].reset();
  session.phase = Phase::kDialling;
  // What was told of the socket that failed, its end above all, is not true of the next.
  session.from[kBackend] = Direction();
  session.phase_ends = 0;
  if (!promote_hedge(session)) dial_next(session);
}

BackendStats& RelayEngine::stats_of(BackendRecord& backend) const {
  auto& stats = backend.stats;
  return stats[worker_index_ % stats.size()];
}

void RelayEngine::note_tried(Session& session, const BackendRecord& backend) {
  session.need_rescue().tried.push_back(backend.endpoint);
  if (session.details) ++session.details->retries;
}

void RelayEngine::give_up(Session& session) {
  if (!wait_for_backend(session)) nobody_is_left(session);
}

void RelayEngine::nobody_is_left(Session& session) {
  add(counters_.no_backend);
  add(session.listener->stats->no_backend);
  end_for(session, EndReason::kNoBackend);
  reset_both(session);
}

void RelayEngine::connected(Session& session) {
  session.phase = Phase::kRelaying;
  session.phase_ends = 0;
  session.last_active = now_;
  session.backend->connected();
  add(stats_of(*session.backend).connections);
  session.listener->config->count_for_group(*session.backend);
  // Its first one: what comes later is a replay's.
  if (!session.rescue || !session.rescue->replayed) {
    session.listener->stats->connect.observe(now_ - session.began, kConnectBounds);
    if (session.details) session.details->connect_ms = static_cast<uint32_t>(now_ - session.began);
  }
  drop_hedge(session);
  begin_keeping(session);
  if (session.details && session.details->client) {
    remember_backend(*session.listener->config, session.details->client->address,
                     session.backend->endpoint, now_);
  }
  session.check_at = now_ + kFirstLookMs;
  rearm(session);
}

// It took the connection, spoke, and was gone before we looked. That is its answer, and the
// client's.
void RelayEngine::on_last_words(Session& session) {
  connected(session);
  run(session, kBackend);
  if (session.phase == Phase::kRelaying) on_failure(session, kBackend);
}

void RelayEngine::release_backend(Session& session) {
  if (session.backend) session.backend->connections.fetch_sub(1, std::memory_order_relaxed);
  session.backend.reset();
}

}  // namespace lb::proxy
