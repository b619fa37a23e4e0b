#include <cerrno>
#include <utility>

#include "dataplane/proxy/relay_engine.hpp"
#include "dataplane/proxy/sockets.hpp"

namespace lb::proxy {

void RelayEngine::plan_hedge(Session& session) {
  const uint32_t after = session.listener->config->policy.hedge_ms;
  if (after == 0 || (session.rescue && session.rescue->hedged)) return;
  session.need_rescue().hedge_at = now_ + after;
}

// The dial has not been answered for a while. A second one counts among the attempts, and goes to
// nobody who is out of use: waiting for the first is better than that.
void RelayEngine::send_hedge(Session& session) {
  Rescue& rescue = *session.rescue;
  const ListenerConfig& config = *session.listener->config;
  rescue.hedge_at = 0;
  if (session.attempts() + 1 >= config.policy.connect_attempts) return;
  const int index = pick(session);
  if (index < 0 || config.records[size_t(index)]->unfit()) return;
  // The last descriptors are not for second dials.
  if (line_.lacking(now_)) return;
  rescue.hedged = true;
  add(counters_.hedges);
  add(session.listener->stats->hedges);
  auto hedge = std::make_unique<Hedge>();
  hedge->backend = config.records[size_t(index)];
  hedge->dial = next_dial(session);
  hedge->ends = now_ + config.policy.connect_timeout_ms;
  hedge->fd = connect_to(session, *hedge->backend, hedge->dial);
  if (!hedge->fd.valid()) {
    const int error = errno;
    note_failure(session, hedge->backend, error);
    // What we have none of says nothing about it: it may still be dialled.
    if (another_may_do(error)) note_tried(session, *hedge->backend);
    return;
  }
  hedge->backend->connections.fetch_add(1, std::memory_order_relaxed);
  rescue.hedge = std::move(hedge);
}

void RelayEngine::on_hedge_event(Session& session, uint8_t dial, uint32_t events) {
  const bool present =
      is_dialling(session.phase) && session.hedging() && session.rescue->hedge->dial == dial;
  if (!present) return;  // of a dial that is over
  if (session.listener->config->backend_tls || session.rescue->hedge->link.tls) {
    return secure_hedge(session, events);
  }
  const bool failing = (events & (EPOLLERR | EPOLLHUP)) != 0;
  const int socket = session.rescue->hedge->fd.get();
  if (failing && unread_bytes(socket) == 0) return hedge_failed(session, take_error(socket));
  if (failing || (events & EPOLLOUT) != 0) hedge_won(session, events);
}

void RelayEngine::hedge_failed(Session& session, int error) {
  const auto backend = session.rescue->hedge->backend;
  note_failure(session, backend, error);
  note_tried(session, *backend);
  drop_hedge(session);
}

// Nobody else is to wait for a backend that is slower than a second dial is: it has timed out.
void RelayEngine::hedge_won(Session& session, uint32_t events) {
  add(counters_.hedges_won);
  add(session.listener->stats->hedges_won);
  if (session.details) session.details->hedge_won = true;
  if (session.phase == Phase::kSecuringBackend) {
    // What it has said may have come in the same moment.
    const bool silent = unread_bytes(session.side[kBackend].get()) == 0;
    if (silent) note_failure(session, session.backend, kTlsTooSlow);
  } else if (!is_answered(session.side[kBackend].get())) {
    note_failure(session, session.backend, ETIMEDOUT);
  }
  note_tried(session, *session.backend);
  release_backend(session);
  promote_hedge(session);
  note_readable(session.from[kBackend], events);
  if (session.phase == Phase::kSecuringBackend) return backend_secured(session);
  const bool is_gone = (events & (EPOLLERR | EPOLLHUP)) != 0;
  is_gone ? on_last_words(session) : on_connected(session);
}

// The second dial takes the place of the first, which is over. False: there is none.
bool RelayEngine::promote_hedge(Session& session) {
  if (!session.hedging()) return false;
  const auto hedge = std::move(session.rescue->hedge);
  session.side[kBackend] = std::move(hedge->fd);
  session.backend = std::move(hedge->backend);
  session.dial = hedge->dial;
  session.from[kBackend] = Direction();
  session.phase = Phase::kDialling;
  drop_link(session);
  if (hedge->link.tls) {
    session.phase = Phase::kSecuringBackend;
    session.details->link = std::move(hedge->link);
    if (hedge->end_in_sight) session.from[kBackend].source_ready(true);
  }
  session.phase_ends = hedge->ends;
  session.rescue->hedge_at = 0;
  if (session.details) session.details->backend = session.backend->endpoint;
  reckon_drain(session);
  rearm(session);
  return true;
}

// It was not needed: its backend has done nothing wrong.
void RelayEngine::drop_hedge(Session& session) {
  if (!session.rescue) return;
  session.rescue->hedge_at = 0;
  const auto hedge = std::move(session.rescue->hedge);
  if (hedge) hedge->backend->connections.fetch_sub(1, std::memory_order_relaxed);
}

}  // namespace lb::proxy
