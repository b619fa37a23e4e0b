#include <algorithm>

#include "dataplane/balance/selection.hpp"
#include "dataplane/proxy/relay_engine.hpp"
#include "dataplane/proxy/sockets.hpp"

namespace lb::proxy {

// The budget of attempts is one for the whole connection; with the last of them nothing is kept.
void RelayEngine::begin_keeping(Session& session) {
  if (session.keeping()) {
    return add(stats_of(*session.backend).bytes_in, session.rescue->kept->bytes().size());
  }
  const Policy& policy = session.listener->config->policy;
  const bool may =
      policy.retry_before_first_byte && session.attempts() + 1 < policy.connect_attempts;
  if (!may) return session.rescue.reset();
  session.need_rescue().kept.emplace();
}

void RelayEngine::keep_no_longer(Session& session) {
  add(counters_.keep_overflows);
  add(session.listener->stats->keep_overflows);
  session.rescue.reset();
}

// The backend's first byte has come, or its end in order without one.
void RelayEngine::on_answer(Session& session) {
  session.backend->succeeded();
  session.rescue.reset();
}

void RelayEngine::on_backend_failure(Session& session) {
  if (!has_answered(session)) {
    note_late_refusal(session);
    note_instant_reset(session);
    if (replay(session)) return;
  }
  on_failure(session, kBackend);
}

// A reset is often met in sending, with an answer still unread. In TLS only reading tells whether
// it is one: tickets are none.
bool RelayEngine::has_answered(Session& session) {
  Direction& from = session.from[kBackend];
  if (from.bytes() != 0 || from.ended()) return true;
  if (peer(session, kBackend).tls == nullptr) return has_unread(session.side[kBackend].get());
  from.source_ready(true);
  (void)pump(session, kBackend);
  note_bytes(session, kBackend, from.bytes());
  return from.bytes() != 0;
}

// A client that has gone may be what the backend resets for, and so may whatever it has sent:
// otherwise clients could say which backends are left out.
void RelayEngine::note_instant_reset(Session& session) {
  if (session.from[kClient].bytes() != 0) return;
  const uint64_t limit = session.listener->config->policy.connect_timeout_ms;
  const uint64_t connected_at = session.check_at - kFirstLookMs;
  const bool is_new = !session.keepalive && now_ < connected_at + std::min(limit, kFirstLookMs);
  if (!is_new || session.from[kClient].ended()) return;
  if (peer_end(session.side[kClient].get()) != PeerEnd::kNone) return;
  count_instant_reset(session, session.backend);
}

void RelayEngine::count_instant_reset(const Session& session,
                                      const std::shared_ptr<BackendRecord>& backend) {
  add(counters_.instant_resets);
  add(stats_of(*backend).instant_resets);
  count_failure(session, backend, Ejection::kInstantReset);
}

// The backend is gone before its first byte. True: another is dialled and gets all that the client
// has sent, its end included. False: nobody is left, or replays are not wanted.
bool RelayEngine::replay(Session& session) {
  if (!session.keeping()) return false;
  const ListenerConfig& config = *session.listener->config;
  if (session.attempts() + 1 >= config.policy.connect_attempts) return false;
  const auto& candidates = untried(session, tried_by(session));
  if (balance::Selection(candidates, config.options).empty()) return false;
  add(counters_.replays);
  add(session.listener->stats->replays);
  if (session.details) ++session.details->replays;
  note_tried(session, *session.backend);
  release_backend(session);
  start_over(session);
  dial_next(session);
  return true;
}

// As before the first connect, but for what is kept; see say_again().
void RelayEngine::start_over(Session& session) {
  session.from[kBackend].abandon(resources_);
  session.from[kBackend] = Direction();
  session.from[kClient].abandon(resources_);
  drop_link(session);
  session.side[kBackend].reset();
  session.stalled &= stall_bit(kClient);
  // A FIN of the backend's is over with it, the client's is not.
  session.fin_seen = session.shut[kBackend] || session.from[kClient].ended();
  session.shut[kBackend] = false;
  session.nodelay = session.keepalive = session.unacknowledged = false;
  session.checked_bytes = 0;
  session.rescue->replayed = true;
  session.phase = Phase::kDialling;
  session.phase_ends = 0;
}

}  // namespace lb::proxy
