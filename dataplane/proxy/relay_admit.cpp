#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "common/model/client_access.hpp"
#include "dataplane/proxy/proxy_header.hpp"
#include "dataplane/proxy/relay_engine.hpp"
#include "dataplane/proxy/sockets.hpp"

namespace lb::proxy {
namespace {

constexpr uint64_t kGreetingMs = 5000;  // for a trusted proxy to say for whom it speaks

std::optional<IpAddress> address_of(const std::optional<Endpoint>& client) {
  return client ? std::optional(client->address) : std::nullopt;
}

// Whether the connection's course depends on who the client is.
bool needs_client(const ListenerConfig& config) {
  return config.keeps_client() || has_access_list(config.policy);
}

}  // namespace

// For want of memory the client is reset, and nothing else happens.
void RelayEngine::welcome(const Listener& listener, int client) {
  net::Fd held(client);
  try {
    listener->is_lobby ? let_into_lobby(listener, held) : let_in(listener, held);
  } catch (const std::bad_alloc&) {
    add(counters_.no_memory);
    turn_away(held);
  }
}

void RelayEngine::let_in(const Listener& listener, net::Fd& client) {
  const ListenerConfig& config = *listener->config;
  if (!listener->counts->enter(config.policy.max_connections)) {
    return refuse(*listener, client, Refusal::kConnections);
  }
  EnteredPlace place(*listener->counts);
  if (!needs_client(config)) return begin(listener, client, place, nullptr);
  auto details = std::make_unique<SessionDetails>();
  details->client = peer_endpoint(client.get());
  if (!details->client) return let_go(listener, client, place, std::move(details));
  const bool speaks_for_others =
      contains(config.policy.accept_proxy_from, address_of(details->client));
  if (!speaks_for_others) {
    const auto refusal = admit(config, *details);
    if (refusal) return refuse(*listener, client, *refusal);
  }
  if (!config.keeps_client()) details.reset();
  begin(listener, client, place, std::move(details), speaks_for_others);
}

// It was reset while it waited in the queue. Nobody can say any more who it was, so no rule has
// refused it.
void RelayEngine::let_go(const Listener& listener, net::Fd& client, EnteredPlace& place,
                         std::unique_ptr<SessionDetails> details) {
  Session& session = enlist(listener, client, std::move(details));
  place.hand_over();
  session.details->logged = hooks_.log_each != 0 && session.serial % hooks_.log_each == 0;
  left_early(session);
}

void RelayEngine::turn_away(net::Fd& client) {
  if (client.valid()) reset_on_close(client.get());
  client.reset();
}

void RelayEngine::refuse(const LiveListener& listener, net::Fd& client, Refusal rule) {
  count_refusal(*listener.stats, rule);
  const bool logged = hooks_.log_each != 0 && ++refused_ % hooks_.log_each == 0;
  if (logged && hooks_.on_close) tell_refusal(listener, peer_endpoint(client.get()), rule);
  turn_away(client);
}

std::atomic<uint64_t>& RelayEngine::counter_of(Refusal rule) {
  switch (rule) {
    case Refusal::kSourceRange:
      return counters_.source_refused;
    case Refusal::kProxyHeader:
      return counters_.proxy_headers_refused;
    case Refusal::kClientHello:
      return counters_.client_hellos_refused;
    case Refusal::kRoute:
      return counters_.unrouted;
    case Refusal::kHandshake:
      return counters_.tls_refused;
    case Refusal::kConnections:
    case Refusal::kSource:
    case Refusal::kRate:
      break;
  }
  return counters_.limit_refused;
}

void RelayEngine::count_refusal(PortStats& port, Refusal rule) {
  add(counter_of(rule));
  port.count(rule);
}

// Which rule forbids it; none: it is let in, and where there are limits, leave() must follow.
std::optional<Refusal> RelayEngine::admit(const ListenerConfig& config,
                                          SessionDetails& details) const {
  if (!lets_in(config.policy, address_of(details.client))) return Refusal::kSourceRange;
  if (!config.limits || !details.client) return std::nullopt;
  const SourceLimits::Limits limits{config.policy.max_connections_per_source,
                                    config.policy.max_rate_per_source};
  const Admit verdict = config.limits->enter(details.client->address, now_, limits);
  if (verdict == Admit::kYes) details.limits = config.limits;
  return refusal_of(verdict);
}

void RelayEngine::begin(const Listener& listener, net::Fd& client, EnteredPlace& place,
                        std::unique_ptr<SessionDetails> details, bool speaks_for_others) {
  Session& session = enlist(listener, client, std::move(details));
  place.hand_over();
  guarded(session, [&] { start(session, speaks_for_others); });
}

// Asks for memory before it takes anything. The caller has entered for it.
Session& RelayEngine::enlist(const Listener& listener, net::Fd& client,
                             std::unique_ptr<SessionDetails> details) {
  auto owned = std::make_unique<Session>();
  keep_track_of(listener);
  listener->sessions.push_back(owned.get());
  Session* session = owned.release();
  session->listener = listener;
  session->details = std::move(details);
  session->side[kClient] = std::move(client);
  session->index = static_cast<uint32_t>(listener->sessions.size() - 1);
  session->serial = ++serial_;
  session->began = session->last_active = now_;
  session->counted = true;
  ++live_;
  add(counters_.accepted);
  add(listener->stats->accepted);
  return *session;
}

void RelayEngine::start(Session& session, bool speaks_for_others) {
  if (hooks_.log_each != 0 && session.serial % hooks_.log_each == 0) log_session(session);
  const int client = session.side[kClient].get();
  if (!watch(client, client_tag(session), kSessionEvents)) return lack_memory(session);
  if (!speaks_for_others) return let_through(session, false);
  session.phase = Phase::kGreeting;
  session.phase_ends = now_ + kGreetingMs;
  rearm(session);
}

// After a reset nobody can say any more who the client was.
void RelayEngine::log_session(Session& session) {
  if (!session.details) session.details = std::make_unique<SessionDetails>();
  session.details->logged = true;
  if (!session.details->client) {
    session.details->client = peer_endpoint(session.side[kClient].get());
  }
}

// Looks at what has come without taking it, until the header is whole. Each arrival is a new edge.
void RelayEngine::continue_greeting(Session& session) {
  if (session.listener->is_lobby) return continue_choosing(session);
  std::array<uint8_t, kMaxProxyV2> bytes;
  const int client = session.side[kClient].get();
  const ssize_t got = ::recv(client, bytes.data(), bytes.size(), MSG_PEEK);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) return greeting_failed(session);
  const ParseResult header = parse_proxy_header({bytes.data(), static_cast<size_t>(got)});
  if (header.verdict == ParseResult::Verdict::kNeedMore) {
    // Its client has ended: nothing more will come.
    return session.fin_seen ? greeting_failed(session) : void();
  }
  const bool good = header.verdict == ParseResult::Verdict::kDone &&
                    header.protocol.value_or(Protocol::kTcp) == Protocol::kTcp;
  if (!good ||
      ::recv(client, bytes.data(), header.consumed, 0) != static_cast<ssize_t>(header.consumed)) {
    return greeting_failed(session);
  }
  if (header.client) session.details->client = header.client;
  session.details->destination = header.destination;
  const auto refusal = admit(*session.listener->config, *session.details);
  if (refusal) return refuse(session, *refusal);
  let_through(session, true);
}

void RelayEngine::greeting_failed(Session& session) {
  if (session.listener->is_lobby) return said_too_little(session);
  refuse(session, Refusal::kProxyHeader);
}

void RelayEngine::refuse(Session& session, Refusal rule) {
  count_refusal(*session.listener->stats, rule);
  session.details->refusal = rule;
  end_for(session, EndReason::kRefused);
  reset_both(session);
}

// Tells the backend who the client is, ahead of its first byte. False: that could not be sent.
bool RelayEngine::introduce(Session& session, int backend) {
  const ProxyProtocol version = session.listener->config->policy.proxy_protocol;
  if (version == ProxyProtocol::kOff) return true;
  const auto* details = session.details.get();
  const auto local = details != nullptr && details->destination
                         ? details->destination
                         : local_endpoint(session.side[kClient].get());
  std::string header;
  if (details == nullptr || !details->client || !local) {
    header = proxy_local_header(version);
  } else {
    header = version == ProxyProtocol::kV1
                 ? encode_proxy_v1(*details->client, *local)
                 : encode_proxy_v2(*details->client, *local, Protocol::kTcp);
  }
  // The client's first byte is our second write, and must not wait for the first one's answer.
  session.nodelay = true;
  set_nodelay(backend);
  return ::send(backend, header.data(), header.size(), MSG_NOSIGNAL) ==
         static_cast<ssize_t>(header.size());
}

void RelayEngine::leave(Session& session) {
  if (session.details) session.details->leave();
}

}  // namespace lb::proxy
