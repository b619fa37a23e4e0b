#include <sys/socket.h>

#include <utility>

#include "dataplane/proxy/relay_engine.hpp"
#include "dataplane/proxy/sockets.hpp"

namespace lb::proxy {
namespace {

constexpr int kTurns = 64;
constexpr uint64_t kCheckMs = 10;
constexpr uint64_t kPatienceMs = 5000;  // for a peer to take what came before the end

}  // namespace

void RelayEngine::on_end(Session& session, int direction) {
  const int sink = 1 - direction;
  const Policy& policy = session.listener->config->policy;
  if (!say_goodbye(session, sink)) return;
  end_for(session, direction == kClient ? EndReason::kClientFin : EndReason::kBackendFin);
  if (session.from[sink].ended()) return finish(session);
  if (!policy.half_close) return end_both(session);
  if (session.shut[sink]) return;
  session.shut[sink] = true;
  shutdown(session.side[sink].get(), SHUT_WR);
  if (policy.half_closed_timeout_s != 0) rearm(session);
}

void RelayEngine::on_failure(Session& session, int dead_side) {
  add(dead_side == kClient ? counters_.resets_from_client : counters_.resets_from_backend);
  end_for(session, dead_side == kClient ? EndReason::kClientReset : EndReason::kBackendReset);
  session.phase = Phase::kResetting;
  session.survivor = static_cast<uint8_t>(1 - dead_side);
  session.from[session.survivor].abandon(resources_);
  session.from[dead_side].source_ready(true);
  session.phase_ends = now_ + kPatienceMs;
  continue_reset(session);
}

// The survivor first gets all that its peer had sent; a reset before that would destroy it.
void RelayEngine::continue_reset(Session& session) {
  const int dead_side = 1 - session.survivor;
  const Peer survivor = peer(session, session.survivor);
  const uint64_t before = session.from[dead_side].bytes();
  PumpResult flow = PumpResult::kMore;
  for (int turn = 0; turn < kTurns && flow == PumpResult::kMore; ++turn) {
    flow = session.from[dead_side].pump(peer(session, dead_side), survivor, resources_);
  }
  note_bytes(session, dead_side, session.from[dead_side].bytes() - before);
  // Patience is for whoever takes nothing: each byte that moves starts it again.
  const uint64_t left = static_cast<uint64_t>(unsent_bytes(survivor.fd));
  const uint64_t moved = session.from[dead_side].bytes() - left;
  if (moved != session.checked_bytes) session.phase_ends = now_ + kPatienceMs;
  session.checked_bytes = moved;
  const bool delivered = !session.from[dead_side].has_pending() && all_delivered(survivor.fd);
  if (flow == PumpResult::kSinkFailed || (flow != PumpResult::kMore && delivered) ||
      now_ >= session.phase_ends) {
    return reset_both(session);
  }
  wheel_.arm(session, now_ + kCheckMs);
}

// One side has ended and its bytes are with the other's kernel: the session is over, and so are its
// counts. Closing a socket with input unread would reset it and destroy what it has still to send.
void RelayEngine::end_both(Session& session) {
  session.phase = Phase::kLingering;
  session.phase_ends = now_ + kPatienceMs;
  for (int side : {kClient, kBackend}) {
    if (!session.from[1 - side].has_pending()) (void)say_goodbye(session, side);
  }
  for (int side : {kClient, kBackend}) session.from[side].abandon(resources_);
  session.listener->counts->lingering.fetch_add(1, std::memory_order_relaxed);
  session.checked_bytes = UINT64_MAX;
  session.backend->succeeded();
  release_counts(session);
  continue_lingering(session);
}

void RelayEngine::continue_lingering(Session& session) {
  bool delivered = true;
  uint64_t left = 0;
  for (const auto& side : session.side) {
    discard_input(side.get());
    delivered = delivered && all_delivered(side.get());
    left += static_cast<uint64_t>(unsent_bytes(side.get()));
  }
  if (delivered) return finish(session);
  // Patience is for whoever takes nothing, however long what is left may take.
  if (left < session.checked_bytes) session.phase_ends = now_ + kPatienceMs;
  session.checked_bytes = left;
  if (now_ >= session.phase_ends) return reset_both(session);
  for (int side : {kClient, kBackend}) {
    if (!std::exchange(session.shut[side], true)) shutdown(session.side[side].get(), SHUT_WR);
  }
  wheel_.arm(session, now_ + kCheckMs);
}

void RelayEngine::release_counts(Session& session) {
  release_backend(session);
  if (!std::exchange(session.counted, false)) return;
  session.listener->counts->leave();
}

void RelayEngine::reset_both(Session& session) {
  for (const auto& side : session.side) {
    if (side.valid()) reset_on_close(side.get());
  }
  finish(session);
}

// Of the listener's sessions.
void RelayEngine::leave_list(Session& session) {
  auto& sessions = session.listener->sessions;
  sessions[session.index] = sessions.back();
  sessions[session.index]->index = session.index;
  sessions.pop_back();
}

void RelayEngine::finish(Session& session) {
  if (session.phase == Phase::kDead) return;
  const bool lingered = session.phase == Phase::kLingering;
  if (session.phase == Phase::kWaiting) leave_queue(session);
  if (session.phase == Phase::kSecuring) --securing_;
  session.phase = Phase::kDead;
  record_end(session);
  leave(session);
  wheel_.cancel(session);
  if (session.queued) std::erase(queue_, &session);
  for (int side : {kClient, kBackend}) {
    session.from[side].abandon(resources_);
    session.side[side].reset();
  }
  drop_hedge(session);
  // Last: whoever counts may take the address away, and no reset leaves after that.
  release_counts(session);
  if (lingered) session.listener->counts->lingering.fetch_sub(1, std::memory_order_release);
  leave_list(session);
  --live_;
  add(counters_.closed);
  // The wheel has let go of it.
  session.next = std::exchange(dead_, &session);
}

}  // namespace lb::proxy
