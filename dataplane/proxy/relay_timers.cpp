#include <algorithm>
#include <cerrno>

#include "dataplane/proxy/relay_engine.hpp"
#include "dataplane/proxy/sockets.hpp"

namespace lb::proxy {
namespace {

constexpr uint64_t kLookAfterMs = 5000;  // between two looks at whether peers still live

// How long nothing may move, in ms; 0: for ever. A dial, and all before it, has limits of its own:
// one that is not answered must be known for that, not for a client that says nothing.
uint64_t idle_limit(const Session& session) {
  if (session.phase != Phase::kRelaying) return 0;
  const uint64_t idle = uint64_t{session.listener->config->policy.idle_timeout_s} * 1000;
  const bool half_closed = session.fin_seen || session.shut[kClient] || session.shut[kBackend];
  const uint64_t half = uint64_t{session.listener->config->policy.half_closed_timeout_s} * 1000;
  if (!half_closed || half == 0) return idle;
  return idle == 0 ? half : std::min(idle, half);
}

// UINT64_MAX: no second dial is to come.
uint64_t hedge_at(const Session& session) {
  const bool planned =
      is_dialling(session.phase) && session.rescue && session.rescue->hedge_at != 0;
  return planned ? session.rescue->hedge_at : UINT64_MAX;
}

}  // namespace

void RelayEngine::on_timer(Session& session) {
  if (session.phase == Phase::kDead) return;
  if (session.drain_ends != 0 && now_ >= session.drain_ends) {
    add(counters_.drain_resets);
    add(session.listener->stats->drain_resets);
    end_for(session, EndReason::kDrained);
    return reset_both(session);
  }
  if (session.phase == Phase::kResetting) return continue_reset(session);
  if (session.phase == Phase::kLingering) return continue_lingering(session);
  const uint64_t idle = idle_limit(session);
  const bool phase_over = session.phase_ends != 0 && now_ >= session.phase_ends;
  if (phase_over && session.phase == Phase::kGreeting) return greeting_failed(session);
  if (phase_over && session.phase == Phase::kSecuring) return handshake_timed_out(session);
  if (phase_over && session.phase == Phase::kDialling) return dial_failed(session, ETIMEDOUT);
  if (phase_over && session.phase == Phase::kSecuringBackend) {
    return dial_failed(session, kTlsTooSlow);
  }
  if (phase_over && session.phase == Phase::kWaiting) return waited_in_vain(session);
  if (hedge_at(session) <= now_) send_hedge(session);
  if (phase_over || is_quiet(session, idle)) {
    add(counters_.idle_timeouts);
    end_for(session, EndReason::kIdle);
    return reset_both(session);
  }
  if (session.phase == Phase::kRelaying && now_ >= session.check_at) look_after(session);
  if (timed_by_policy(session.phase)) rearm(session);
}

// What our kernels hold drains without an event: they are asked before anybody is called idle.
bool RelayEngine::is_quiet(Session& session, uint64_t limit_ms) const {
  if (limit_ms == 0 || now_ < session.last_active + limit_ms) return false;
  for (const auto& side : session.side) {
    const uint64_t sent = now_ - std::min(now_, ms_since_sending(side.get()));
    session.last_active = std::max(session.last_active, sent);
  }
  return now_ >= session.last_active + limit_ms;
}

// Keepalive does not see a peer that died with data in flight: the kernel's own counts do. Asked
// only where something has moved since the last look, or was not acknowledged then.
void RelayEngine::look_after(Session& session) {
  session.check_at = now_ + kLookAfterMs;
  if (!session.keepalive) {
    session.keepalive = true;
    set_keepalive(session.side[kBackend].get());
  }
  const uint64_t moved = session.from[kClient].bytes() + session.from[kBackend].bytes();
  if (moved == session.checked_bytes && !session.unacknowledged) return;
  session.checked_bytes = moved;
  session.unacknowledged = false;
  for (const auto& side : session.side) {
    const PeerState peer = peer_state(side.get());
    session.unacknowledged = session.unacknowledged || peer.unacknowledged;
    if (!is_dead(peer)) continue;
    add(counters_.dead_peers);
    end_for(session, EndReason::kDeadPeer);
    return on_failure(session, &side == &session.side[kClient] ? kClient : kBackend);
  }
}

void RelayEngine::rearm(Session& session) {
  if (session.phase == Phase::kDead) return;
  const uint64_t idle = idle_limit(session);
  uint64_t at = UINT64_MAX;
  if (session.phase_ends != 0) at = std::min(at, session.phase_ends);
  if (session.drain_ends != 0) at = std::min(at, session.drain_ends);
  if (idle != 0) at = std::min(at, session.last_active + idle);
  if (session.phase == Phase::kRelaying) at = std::min(at, session.check_at);
  at = std::min(at, hedge_at(session));
  if (at == UINT64_MAX) return wheel_.cancel(session);
  wheel_.arm(session, at);
}

}  // namespace lb::proxy
