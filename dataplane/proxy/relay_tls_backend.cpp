#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "dataplane/proxy/relay_engine.hpp"
#include "dataplane/proxy/sockets.hpp"

namespace lb::proxy {
namespace {

constexpr size_t kMostHandshake = 128 << 10;  // that a backend has to say for it, at once

using tls::Outcome;

// False: the socket takes nothing any more.
bool send_some(int socket, std::string& text) {
  size_t sent = 0;
  while (sent < text.size()) {
    const ssize_t n = ::send(socket, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno != EAGAIN) return false;
    if (n < 0) break;
    sent += static_cast<size_t>(n);
  }
  text.erase(0, sent);
  if (text.empty()) std::string().swap(text);
  return true;
}

// Reads before it sends: a backend that is gone may have said why.
Outcome go_on(BackendLink& link, int socket, bool end_in_sight) {
  link.tls->wake(end_in_sight);
  link.tls->allow(kMostHandshake);
  const Outcome out = link.tls->shake_hands(link.unsent);
  const bool sent = send_some(socket, link.unsent);
  const bool good = out == Outcome::kDone || out == Outcome::kWaiting;
  return good && !sent ? Outcome::kFailed : out;
}

// One that lives for ever.
const char* reason_of(const tls::TlsStream& tls, Outcome outcome) {
  if (outcome == Outcome::kMore) return "too much was said in the handshake";
  if (outcome == Outcome::kCutOff || outcome == Outcome::kEnded) {
    return "the connection was ended in the handshake";
  }
  if (tls.complaint() != nullptr) return tls.complaint();
  return "the connection was reset in the handshake";
}

}  // namespace

// Once the connect is done. The header comes ahead of TLS, in plain. False: it cannot be sent.
bool RelayEngine::begin_link(Session& session, BackendLink& link, int socket,
                             const BackendRecord& backend) {
  const tls::TlsStream* client = session.details->tls.get();
  link.tls =
      tls::TlsStream::connect(session.listener->config->backend_tls, socket, backend.endpoint,
                              client != nullptr ? client->protocol() : std::string_view());
  // What ends a handshake must not wait for an acknowledgement, nor must what follows it.
  set_nodelay(socket);
  return introduce(session, socket);
}

void RelayEngine::greet_backend(Session& session) {
  if (!session.details) session.details = std::make_unique<SessionDetails>();
  session.phase = Phase::kSecuringBackend;
  session.phase_ends = now_ + session.listener->config->policy.connect_timeout_ms;
  const int socket = session.side[kBackend].get();
  if (!begin_link(session, session.details->link, socket, *session.backend)) {
    return dial_failed(session, ECONNRESET);
  }
  rearm(session);
  shake_backend(session);
}

void RelayEngine::shake_backend(Session& session) {
  BackendLink& link = session.details->link;
  const Outcome outcome =
      go_on(link, session.side[kBackend].get(), session.from[kBackend].end_in_sight());
  if (outcome == Outcome::kWaiting) return;
  if (outcome == Outcome::kDone) return backend_secured(session);
  dial_failed(session, tls_error(session.backend, link, outcome));
}

// As connected() is without TLS. What came with the end of the handshake has been read already.
void RelayEngine::backend_secured(Session& session) {
  BackendLink& link = session.details->link;
  const int backend = session.side[kBackend].get();
  Direction& from = session.from[kBackend];
  add(counters_.backend_tls_handshakes);
  if (link.tls->resumed()) add(counters_.backend_tls_resumed);
  session.nodelay = true;
  session.fin_seen =
      session.fin_seen || (from.end_in_sight() && peer_end(backend) == PeerEnd::kFin);
  from.source_ready(false);
  connected(session);
  session.from[kClient].owe(std::exchange(link.unsent, {}));
  if (!say_again(session)) return on_backend_failure(session);
  run(session, kClient);
  if (session.phase == Phase::kRelaying) run(session, kBackend);
}

// The second dial is ahead once it has agreed on keys: a connect says little of a backend that is
// busy with those of others.
void RelayEngine::secure_hedge(Session& session, uint32_t events) {
  Hedge& hedge = *session.rescue->hedge;
  const int socket = hedge.fd.get();
  hedge.end_in_sight = hedge.end_in_sight || (events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP)) != 0;
  if (!hedge.link.tls) {
    if ((events & (EPOLLERR | EPOLLHUP)) != 0) return hedge_failed(session, take_error(socket));
    if ((events & EPOLLOUT) == 0) return;
    if (!session.details) session.details = std::make_unique<SessionDetails>();
    hedge.ends = now_ + session.listener->config->policy.connect_timeout_ms;
    if (!begin_link(session, hedge.link, socket, *hedge.backend)) {
      return hedge_failed(session, ECONNRESET);
    }
  }
  const Outcome outcome = go_on(hedge.link, socket, hedge.end_in_sight);
  if (outcome == Outcome::kWaiting) return;
  if (outcome == Outcome::kDone) return hedge_won(session, events);
  hedge_failed(session, tls_error(hedge.backend, hedge.link, outcome));
}

// What a dial has failed for, told once.
int RelayEngine::tls_error(const std::shared_ptr<BackendRecord>& backend, const BackendLink& link,
                           Outcome outcome) {
  tell_tls_failure(backend, reason_of(*link.tls, outcome));
  const tls::HandshakeError error = link.tls->handshake_error();
  if (error == tls::HandshakeError::kCertificate) add(counters_.backend_tls_unverified);
  return error == tls::HandshakeError::kNoProtocol ? kTlsMismatch : kTlsFailed;
}

// Of the protocols that are ours it is clients who choose: with one that a backend does not speak
// they must not be able to say which backends are left out.
void RelayEngine::note_tls_failure(const Session& session,
                                   const std::shared_ptr<BackendRecord>& backend, int error) {
  add(counters_.backend_tls_failures);
  add(stats_of(*backend).tls);
  if (error == kTlsFailed) count_failure(session, backend, Ejection::kTls);
  if (error != kTlsTooSlow) return;
  add(counters_.backend_tls_timeouts);
  tell_tls_failure(backend, "the handshake has taken too long");
  count_failure(session, backend, Ejection::kTimeout);
}

// With TLS 1.3 a backend may refuse us after our handshake is done.
void RelayEngine::note_late_refusal(const Session& session) {
  const tls::TlsStream* tls = peer(session, kBackend).tls;
  if (tls == nullptr || tls->complaint() == nullptr) return;
  add(counters_.backend_tls_failures);
  add(stats_of(*session.backend).tls);
  tell_tls_failure(session.backend, tls->complaint());
}

void RelayEngine::tell_tls_failure(const std::shared_ptr<BackendRecord>& backend,
                                   const char* reason) try {
  if (!hooks_.on_tls_failure || !backend->told.is_news(reason, now_)) return;
  hooks_.on_tls_failure(backend, reason);
} catch (const std::bad_alloc&) {
  add(counters_.no_memory);
}

// What was said to a backend that is gone. False: TLS does not take it.
bool RelayEngine::say_again(Session& session) {
  if (!session.keeping() || !session.rescue->replayed) return true;
  const std::string& bytes = session.rescue->kept->bytes();
  tls::TlsStream* tls = peer(session, kBackend).tls;
  if (tls == nullptr) {
    session.from[kClient].repeat(bytes, resources_);
    return true;
  }
  resources_.wire.clear();
  if (!tls->write(bytes.data(), bytes.size(), resources_.wire)) return false;
  session.from[kClient].owe(resources_.wire);
  return true;
}

}  // namespace lb::proxy
