#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <set>

#include "common/model/client_access.hpp"
#include "dataplane/proxy/client_hello.hpp"
#include "dataplane/proxy/proxy_header.hpp"
#include "dataplane/proxy/relay_engine.hpp"
#include "dataplane/proxy/sockets.hpp"

namespace lb::proxy {
namespace {

std::optional<IpAddress> address_of(const std::optional<Endpoint>& client) {
  return client ? std::optional(client->address) : std::nullopt;
}

std::shared_ptr<const Routes> make_routes(const Door& door) {
  std::vector<Match> matches;
  std::vector<Listener> listeners;
  std::set<Cidr> proxies;
  for (const auto& [match, listener] : door.listeners) {
    matches.push_back(match);
    listeners.push_back(listener);
    const auto& trusted = listener->config->policy.accept_proxy_from;
    proxies.insert(trusted.begin(), trusted.end());
  }
  return std::make_shared<const Routes>(
      Routes{balance::RouteTable(matches), std::move(listeners), {proxies.begin(), proxies.end()}});
}

// RFC 8446, section 6: fatal, unrecognized_name.
constexpr std::array<uint8_t, 7> kUnrecognizedName{21, 3, 3, 0, 2, 2, 112};

}  // namespace

// Made when they are first asked for: many listeners may come to a door one after the other.
const Routes& RelayEngine::routes_of(LiveListener& lobby) {
  static const Door kNowhere;
  if (!lobby.routes) lobby.routes = make_routes(lobby.door != nullptr ? *lobby.door : kNowhere);
  return *lobby.routes;
}

// Where no byte of it can make a difference, none is waited for.
void RelayEngine::let_into_lobby(const Listener& lobby, net::Fd& client) {
  const Routes& routes = routes_of(*lobby);
  auto details = std::make_unique<SessionDetails>();
  details->client = peer_endpoint(client.get());
  const bool may_speak_for_others = contains(routes.proxies, address_of(details->client));
  if (details->client && !routes.table.by_name() && !may_speak_for_others) {
    const auto route = routes.table.find("", address_of(details->client));
    if (!route) return refuse(*lobby, client, Refusal::kRoute);
    return let_in(Listener(routes.listeners[*route]), client);
  }
  lobby->counts->enter(0);
  EnteredPlace place(*lobby->counts);
  if (!details->client) return let_go(lobby, client, place, std::move(details));
  begin(lobby, client, place, std::move(details), true);
}

// Looks at what has come without taking it, until that says for whom it is.
void RelayEngine::continue_choosing(Session& session) {
  std::array<uint8_t, kMaxHelloBytes> bytes;
  const ssize_t got = ::recv(session.side[kClient].get(), bytes.data(), bytes.size(), MSG_PEEK);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got < 0) return left_early(session);
  if (got == 0) return said_too_little(session);
  const std::span<const uint8_t> seen{bytes.data(), static_cast<size_t>(got)};
  const Routes& routes = routes_of(*session.listener);
  const bool may_speak_for_others = !session.details->introduced_by &&
                                    contains(routes.proxies, address_of(session.details->client));
  if (may_speak_for_others) return take_proxy_header(session, seen);
  if (!routes.table.by_name()) return choose(session, "", false);
  choose_by_hello(session, seen);
}

// Who may speak for others need not: not everybody here asks for it.
void RelayEngine::take_proxy_header(Session& session, std::span<const uint8_t> bytes) {
  using Verdict = ParseResult::Verdict;
  const ParseResult header = parse_proxy_header(bytes);
  if (header.verdict == Verdict::kNeedMore) {
    return session.fin_seen ? refuse(session, Refusal::kProxyHeader) : void();
  }
  if (header.verdict != Verdict::kDone) {
    if (!routes_of(*session.listener).table.by_name()) return choose(session, "", false);
    return choose_by_hello(session, bytes);
  }
  std::array<uint8_t, kMaxProxyV2> taken;
  const bool good = header.protocol.value_or(Protocol::kTcp) == Protocol::kTcp &&
                    ::recv(session.side[kClient].get(), taken.data(), header.consumed, 0) ==
                        static_cast<ssize_t>(header.consumed);
  if (!good) return refuse(session, Refusal::kProxyHeader);
  session.details->introduced_by = session.details->client;
  if (header.client) session.details->client = header.client;
  session.details->destination = header.destination;
  // Where names decide nothing the choice is made: the server may be the one to speak first.
  if (!routes_of(*session.listener).table.by_name()) return choose(session, "", false);
  continue_choosing(session);
}

void RelayEngine::choose_by_hello(Session& session, std::span<const uint8_t> bytes) {
  using Verdict = ClientHello::Verdict;
  const ClientHello hello = parse_client_hello(bytes);
  if (hello.verdict == Verdict::kDone) return choose(session, hello.server_name, true);
  if (hello.verdict == Verdict::kNotTls) return choose(session, "", false);
  const bool more = hello.verdict == Verdict::kNeedMore && !session.fin_seen;
  if (!more) refuse(session, Refusal::kClientHello);
}

// Its time is over, or its client has ended. Servers that speak first may be behind one that asks
// for no name, and whoever only looks whether a port is open is no offence.
void RelayEngine::said_too_little(Session& session) {
  uint8_t byte = 0;
  const ssize_t got = ::recv(session.side[kClient].get(), &byte, 1, MSG_PEEK);
  if (got > 0) return refuse(session, Refusal::kClientHello);
  const Routes& routes = routes_of(*session.listener);
  if (routes.table.find("", address_of(session.details->client))) return choose(session, "", false);
  if (got < 0) return refuse(session, Refusal::kClientHello);
  left_early(session);
}

void RelayEngine::left_early(Session& session) {
  add(counters_.client_gone);
  end_for(session, EndReason::kClientGone);
  finish(session);
}

void RelayEngine::choose(Session& session, const std::string& name, bool tls) {
  const Routes& routes = routes_of(*session.listener);
  const auto route = routes.table.find(name, address_of(session.details->client));
  if (!route) return refuse_route(session, tls);
  const Listener listener = routes.listeners[*route];
  // One that is closed takes nobody but from a lobby that closed with it.
  const bool late = listener->closed && session.drain_ends == 0;
  late ? refuse_route(session, tls) : hand_to(session, listener);
}

// Whoever asks in TLS is answered in it; what has come is taken first, since the kernel would reset
// the connection otherwise, and the answer might be lost.
void RelayEngine::refuse_route(Session& session, bool tls) {
  if (!tls) return refuse(session, Refusal::kRoute);
  count_refusal(*session.listener->stats, Refusal::kRoute);
  session.details->refusal = Refusal::kRoute;
  end_for(session, EndReason::kRefused);
  const int client = session.side[kClient].get();
  discard_input(client);
  (void)::send(client, kUnrecognizedName.data(), kUnrecognizedName.size(), MSG_NOSIGNAL);
  finish(session);
}

// From here on it is as if it had been accepted there.
void RelayEngine::hand_to(Session& session, const Listener& listener) {
  move_to(session, listener);
  const ListenerConfig& config = *listener->config;
  SessionDetails& details = *session.details;
  const auto& by = details.introduced_by;
  const bool trusted =
      contains(config.policy.accept_proxy_from, address_of(by ? by : details.client));
  if (trusted != by.has_value()) return refuse(session, Refusal::kProxyHeader);
  if (!session.counted) return refuse(session, Refusal::kConnections);
  if (const auto refusal = admit(config, details)) return refuse(session, *refusal);
  if (!config.keeps_client() && !details.logged) session.details.reset();
  let_through(session, true);
}

// What asks for memory comes first.
void RelayEngine::move_to(Session& session, const Listener& listener) {
  keep_track_of(listener);
  listener->sessions.push_back(&session);
  leave_list(session);
  session.listener->counts->leave();
  session.listener = listener;
  session.index = static_cast<uint32_t>(listener->sessions.size() - 1);
  session.counted = listener->counts->enter(listener->config->policy.max_connections);
  add(listener->stats->accepted);
}

}  // namespace lb::proxy
