#include <sys/socket.h>

#include "dataplane/proxy/relay_engine.hpp"
#include "dataplane/proxy/sockets.hpp"

namespace lb::proxy {
namespace {

constexpr uint64_t kHandshakeMs = 10'000;  // for a client to agree on keys with us

constexpr size_t kMostHandshake = 128 << 10;  // that a client has to say for it, at once
constexpr size_t kMostSecuring = 2048;        // of one worker: each costs a key's work
constexpr size_t kMostPending = 256 << 10;    // of what one side gets, answers to it among that

using tls::Outcome;

}  // namespace

// Whoever has been let in. `spoken`: something of the client's is there already, for which no edge
// will come.
void RelayEngine::let_through(Session& session, bool spoken) {
  if (spoken) session.from[kClient].source_ready(session.fin_seen);
  session.phase_ends = 0;
  const auto& terms = session.listener->config->tls;
  if (!terms) {
    session.phase = Phase::kDialling;
    return dial_next(session);
  }
  if (!session.details) session.details = std::make_unique<SessionDetails>();
  if (securing_ >= kMostSecuring) {
    add(counters_.tls_overflows);
    return refuse(session, Refusal::kHandshake);
  }
  session.details->tls = tls::TlsStream::accept(terms, session.side[kClient].get());
  session.phase = Phase::kSecuring;
  ++securing_;
  session.phase_ends = now_ + kHandshakeMs;
  rearm(session);
  if (spoken) shake_hands(session);
}

// The backend is dialled only for a client that has shown that it speaks TLS with us, and once all
// that we had to say to that is on its way.
void RelayEngine::shake_hands(Session& session) {
  tls::TlsStream& tls = *session.details->tls;
  Direction& to_client = session.from[kBackend];
  tls.wake(session.from[kClient].end_in_sight());
  tls.allow(kMostHandshake);
  resources_.wire.clear();
  const Outcome outcome = tls.shake_hands(resources_.wire);
  to_client.owe(resources_.wire);
  const bool sent = to_client.flush(session.side[kClient].get(), resources_);
  if (outcome != Outcome::kDone && outcome != Outcome::kWaiting) {
    return handshake_failed(session, outcome);
  }
  if (!sent) return left_early(session);
  if (outcome == Outcome::kDone && !to_client.has_pending()) secured(session);
}

void RelayEngine::secured(Session& session) {
  add(counters_.tls_handshakes);
  if (session.details->tls->resumed()) add(counters_.tls_resumed);
  session.phase = Phase::kDialling;
  --securing_;
  session.phase_ends = 0;
  // What came with the end of the handshake has been read from the socket already.
  session.from[kClient].source_ready(session.fin_seen);
  dial_next(session);
}

// A client that leaves is no offence; one that was told why it is refused gets the time to read it.
void RelayEngine::handshake_failed(Session& session, Outcome outcome) {
  const tls::TlsStream& tls = *session.details->tls;
  const bool left = outcome == Outcome::kCutOff || outcome == Outcome::kEnded;
  if (left || tls.socket_failed()) return left_early(session);
  switch (tls.handshake_error()) {
    case tls::HandshakeError::kUnknownName:
      add(counters_.tls_unknown_names);
      break;
    case tls::HandshakeError::kNoProtocol:
      add(counters_.tls_no_protocol);
      break;
    case tls::HandshakeError::kCertificate:
      add(counters_.tls_client_certificates_refused);
      break;
    case tls::HandshakeError::kOther:
      break;
  }
  count_refusal(*session.listener->stats, Refusal::kHandshake);
  session.details->refusal = Refusal::kHandshake;
  end_for(session, EndReason::kRefused);
  // The kernel would reset the connection for what is unread, and the alert might be lost.
  discard_input(session.side[kClient].get());
  finish(session);
}

void RelayEngine::handshake_timed_out(Session& session) {
  add(counters_.tls_timeouts);
  refuse(session, Refusal::kHandshake);
}

Peer RelayEngine::peer(const Session& session, int side) {
  const int socket = session.side[side].get();
  if (!session.details) return {socket};
  return {socket, (side == kClient ? session.details->tls : session.details->link.tls).get()};
}

// Reading may have made an answer, such as to a change of keys, which comes before all that
// follows. False: that side takes none of them.
bool RelayEngine::reply(Session& session, int side) {
  const Peer to = peer(session, side);
  if (to.tls == nullptr || !to.tls->has_reply()) return true;
  Direction& towards = session.from[1 - side];
  towards.owe(to.tls->take_reply());
  (void)towards.flush(to.fd, resources_);
  // Its end may have waited for that.
  if (towards.ended()) enqueue(session);
  return towards.pending_bytes() <= kMostPending;
}

// Before a socket is shut from our side; but who was cut off itself must not be taken for one that
// has said all. False: not all of it is with the kernel yet, or that side is gone.
bool RelayEngine::say_goodbye(Session& session, int side) {
  const Peer to = peer(session, side);
  const tls::TlsStream* from = peer(session, 1 - side).tls;
  if (to.tls == nullptr || (from != nullptr && from->cut_off())) return true;
  Direction& towards = session.from[1 - side];
  resources_.wire.clear();
  if (to.tls->holds_back()) return false;
  to.tls->finish(resources_.wire);
  towards.owe(resources_.wire);
  if (towards.flush(to.fd, resources_)) return !towards.has_pending();
  if (session.phase == Phase::kRelaying) {
    side == kClient ? on_failure(session, kClient) : on_backend_failure(session);
  }
  return false;
}

}  // namespace lb::proxy
