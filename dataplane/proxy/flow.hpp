// Relayed connections and UDP sessions as operators see them: listed, ended by hand, and told of
// when they end.
//
// Plain values; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "common/model/address.hpp"
#include "common/model/state.hpp"

namespace lb::proxy {

// Who or what ended a connection.
enum class EndReason : uint8_t {
  kClientFin,   // both ended in order, the client first
  kBackendFin,  // the same, the backend first
  kClientReset,
  kBackendReset,
  kClientGone,  // before a backend was connected
  kNoBackend,
  kIdle,     // a timeout of the policy
  kDrained,  // its backend or service was removed, or this process ends
  kDeadPeer,
  kKilled,     // by an operator
  kRefused,    // see Refusal
  kExhausted,  // no port, descriptor or memory was left for it
};
inline constexpr size_t kEndReasons = 12;
const char* to_string(EndReason value);  // "client_fin", ...

// By which rule of the policy a client was refused.
enum class Refusal : uint8_t {
  kSourceRange,  // source_ranges, deny_ranges
  kConnections,  // max_connections
  kSource,       // max_connections_per_source
  kRate,         // max_rate_per_source
  kProxyHeader,  // accept_proxy_from: it did not say, or not well, for whom it speaks
  kClientHello,  // match: it did not say in time, or not as TLS does, which name it wants
  kRoute,        // match: nobody is there for its name, or for where it comes from
  kHandshake,    // tls: no handshake, within the time for it, by which it could be served
};
inline constexpr size_t kRefusals = 8;
const char* to_string(Refusal value);  // "source_range", ...

// Where a connection is; see STATES.md.
enum class FlowPhase : uint8_t {
  kGreeting,
  kSecuring,
  kWaiting,
  kDialling,
  kSecuringBackend,
  kRelaying,
  kResetting,
  kLingering,
};
const char* to_string(FlowPhase value);  // "greeting", ...

struct Flow {
  uint64_t id = 0;  // opaque; not reused while this process lives
  std::string service;
  Protocol protocol = Protocol::kTcp;
  Endpoint listener;
  std::optional<Endpoint> client;
  std::optional<Endpoint> backend;  // none while nobody has been picked
  FlowPhase phase = FlowPhase::kRelaying;
  uint64_t bytes_in = 0;   // from the client
  uint64_t bytes_out = 0;  // to it
  uint64_t age_ms = 0;
  uint64_t idle_ms = 0;
};

// Empty fields match everything.
struct FlowFilter {
  std::string service;
  std::optional<Endpoint> backend;
  std::optional<IpAddress> source;
  size_t limit = 1000;
};

inline bool matches_service(const FlowFilter& filter, const std::string& service) {
  return filter.service.empty() || filter.service == service;
}
// `client` is called only where it matters: to ask the kernel for it is dear.
template <class Client>
bool matches(const FlowFilter& filter, const std::optional<Endpoint>& backend, Client client) {
  if (filter.backend && filter.backend != backend) return false;
  if (!filter.source) return true;
  const std::optional<Endpoint> who = client();
  return who && who->address == *filter.source;
}

// One connection that is over.
struct FlowRecord {
  Flow flow;
  EndReason reason = EndReason::kClientFin;
  std::optional<Refusal> refusal = {};  // where the reason is kRefused
  uint32_t retries = 0;    // backends given up for another; UDP: times that it went on with one
  uint32_t replays = 0;    // of these, after a connect that had worked
  bool hedge_won = false;  // the second dial was the faster one
  uint64_t waited_ms = 0;  // for a backend to be there
  std::optional<uint32_t> connect_ms;  // from accept to a connected backend
};

}  // namespace lb::proxy
