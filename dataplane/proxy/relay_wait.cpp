#include <algorithm>
#include <iterator>
#include <utility>

#include "dataplane/proxy/relay_engine.hpp"
#include "dataplane/proxy/sockets.hpp"

namespace lb::proxy {
namespace {

constexpr size_t kMostWaiting = 1024;  // of one worker; each holds a descriptor

// No more than there would be places left: alone 512, beside one that has its share 256, and so on.
// So there is always room for a listener that nobody waits at yet.
bool has_place(const LiveListener& listener, size_t waiting) {
  return waiting < kMostWaiting && listener.waiting.size() < kMostWaiting - waiting;
}

// Somebody may be dialled with a good prospect. Those out of use are tried for want of a better
// one, but are nothing that a client would wait for.
bool has_usable(const ListenerConfig& config) {
  for (size_t i = 0; i < config.records.size(); ++i) {
    const auto& candidate = config.candidates[i];
    const bool may = candidate.weight > 0 && candidate.state != BackendState::kNotReady &&
                     !config.groups.reserved(candidate.group);
    if (may && !config.records[i]->unfit()) return true;
  }
  return false;
}

}  // namespace

// Called when there is nobody to dial, or the attempts are used up. True: the client waits now, or
// was seen to be gone.
bool RelayEngine::wait_for_backend(Session& session) {
  const ListenerConfig& config = *session.listener->config;
  const Policy& policy = config.policy;
  if (policy.when_empty != WhenEmpty::kWait || policy.empty_wait_ms == 0) return false;
  if (has_usable(config)) return false;
  Rescue& rescue = session.need_rescue();
  if (rescue.wait_ends == 0) rescue.wait_ends = now_ + policy.empty_wait_ms;
  if (now_ >= rescue.wait_ends) return false;
  if (!has_place(*session.listener, waiting_)) {
    add(counters_.wait_overflows);
    add(session.listener->stats->wait_overflows);
    return false;
  }
  enter_queue(session);
  if (client_has_left(session)) {
    leave_while_waiting(session);
  } else {
    rearm(session);
  }
  return true;
}

void RelayEngine::enter_queue(Session& session) {
  Rescue& rescue = *session.rescue;
  auto& queue = session.listener->waiting;
  rescue.place = queue.insert(queue.end(), &session);  // may want memory: before anything changes
  session.phase = Phase::kWaiting;
  session.phase_ends = rescue.wait_ends;
  rescue.waits_since = now_;
  // Whoever comes back may have been tried before.
  rescue.tried.clear();
  rescue.hedged = false;
  ++waiting_;
  add(counters_.waits);
  add(session.listener->stats->waits);
}

void RelayEngine::leave_queue(Session& session) {
  session.listener->waiting.erase(session.rescue->place);
  --waiting_;
  add(session.listener->stats->waits_over);
  if (session.details) session.details->waited_ms += now_ - session.rescue->waits_since;
}

// A client that has ended without a word is not coming back for an answer.
bool RelayEngine::client_has_left(const Session& session) {
  const int client = session.side[kClient].get();
  const PeerEnd end = peer_end(client);
  if (end != PeerEnd::kFin) return end == PeerEnd::kReset;
  const bool may_end_first = session.listener->config->policy.half_close;
  const auto* tls = session.details ? session.details->tls.get() : nullptr;
  const bool has_spoken = session.from[kClient].bytes() != 0 || has_unread(client) ||
                          (tls != nullptr && tls->holds_more());
  return !may_end_first || !has_spoken;
}

void RelayEngine::on_waiting_event(Session& session, int side) {
  if (side == kClient && client_has_left(session)) leave_while_waiting(session);
}

void RelayEngine::leave_while_waiting(Session& session) {
  add(counters_.wait_gone);
  add(session.listener->stats->wait_gone);
  end_for(session, EndReason::kClientGone);
  reset_both(session);
}

void RelayEngine::waited_in_vain(Session& session) {
  add(counters_.wait_timeouts);
  add(session.listener->stats->wait_timeouts);
  nobody_is_left(session);
}

// Those that come back to the queue meanwhile are not looked at again.
void RelayEngine::dial_waiting(LiveListener& listener) {
  for (size_t left = listener.waiting.size(); left > 0 && has_usable(*listener.config); --left) {
    Session& session = *listener.waiting.front();
    leave_queue(session);
    session.phase = Phase::kDialling;
    session.phase_ends = 0;
    guarded(session, [&] { dial_next(session); });
  }
}

void RelayEngine::backends_changed() {
  if (waiting_ == 0) return;
  refresh_clock();
  each_listener([this](const Listener& listener) { dial_waiting(*listener); });
  bury();
}

}  // namespace lb::proxy
