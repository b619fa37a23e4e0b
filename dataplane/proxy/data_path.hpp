// The byte path as one thing: worker threads, their listeners, their relayed connections.
//
// Owned and called by the control thread only; callbacks come back on the executor given at
// construction through `post`. Connections live and die on their worker. Nothing here throws.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/model/state.hpp"
#include "dataplane/proxy/descriptor_line.hpp"
#include "dataplane/proxy/flow.hpp"
#include "dataplane/proxy/listener_config.hpp"
#include "dataplane/tls/certificate_book.hpp"

namespace lb::proxy {

// What one service serves at an address and port. Several share these, and so the sockets, where
// they differ in their match: that is a door.
struct ListenerId {
  Endpoint at;
  Protocol protocol = Protocol::kTcp;
  Match match = {};

  ListenerId door() const { return {at, protocol, {}}; }
  auto operator<=>(const ListenerId&) const = default;
};

// A backend of one port of a service; what is known of it is kept under this.
struct BackendId {
  std::string key;  // of the service
  uint16_t port = 0;
  Protocol protocol = Protocol::kTcp;
  Endpoint backend;

  auto operator<=>(const BackendId&) const = default;
};

// An operator's wish that nothing new goes there; empty fields stand for everything.
struct Drain {
  std::string service;
  std::optional<Endpoint> backend;

  auto operator<=>(const Drain&) const = default;
};
bool drained(const std::set<Drain>& drains, const std::string& service, const Endpoint& backend);

struct DataPathOptions {
  unsigned workers = 1;  // one thread, one epoll engine each
  bool announcing =
      false;              // we put the addresses on the node ourselves: bind before they are there
  std::string zone = {};  // where we are; empty: nothing is near
  DescriptorShares descriptors = {};          // see descriptor_line.hpp
  std::vector<IpAddress> spare_sources = {};  // see dial_ports.hpp
  unsigned max_groups = 256;  // listeners with a socket on every worker (descriptors are finite)
  std::function<void(std::function<void()>)> post;          // runs a function on the control thread
  std::shared_ptr<tls::CertificateBook> certificates = {};  // null: TLS ends nowhere
  // Connections that are over, from any worker's thread; every `log_each`-th one, 0 for none.
  std::function<void(const FlowRecord&)> on_close = {};
  uint32_t log_each = 0;
  // On the control thread: failures have put a backend out of use ("Refused", "Timeout",
  // "InstantReset", "Unreachable", "Tls"), or it is back (empty).
  std::function<void(const BackendId& backend, const std::string& reason)> on_ejection = {};
  // On the control thread: TLS with a backend has failed; once an hour for each reason.
  std::function<void(const BackendId& backend, const std::string& reason)> on_tls_failure = {};
  // On the control thread: so few backends of a listener are usable that all are used, or no more.
  std::function<void(const std::string& key, const ListenerId&, bool panic)> on_panic = {};
  // On the control thread: a spare source is passed over, since it is announced, or no more.
  std::function<void(const IpAddress& source, bool avoided)> on_source = {};
  // On the control thread: status() or failures() says something else than before, outside an
  // apply(). Counts alone are no change.
  std::function<void()> on_change = {};
  // On the control thread, each second: for what want of memory has interrupted there.
  std::function<void()> on_pulse = {};
};

struct BackendStatus {
  Endpoint backend;
  bool ejected = false;
  std::string health;  // of active checks: "up", "down", or "unknown"
  std::string reason;  // why it is ejected (as in on_ejection) or down; empty otherwise
  uint64_t connections = 0;
};

struct PortStatus {
  IpAddress address;
  uint16_t port = 0;
  Protocol protocol = Protocol::kTcp;
  bool programmed = false;
  std::string reason;  // why not, empty when programmed
  uint64_t connections = 0;
  std::vector<BackendStatus> backends;
  bool panic = false;  // all are used, since too few are usable
  Match match = {};
};

struct ServiceStatus {
  std::string key;
  std::vector<PortStatus> ports;
};

// Sums over all workers since start. Every drop, retry and degraded mode has a counter here.
struct DataPathCounters {
  uint64_t accepted = 0, closed = 0, active = 0;
  uint64_t bytes_in = 0, bytes_out = 0, splice_bytes = 0, copy_bytes = 0;
  uint64_t dials = 0, connect_refused = 0, connect_timeouts = 0, connect_errors = 0, retries = 0;
  uint64_t no_backend = 0, resets_from_client = 0, resets_from_backend = 0;
  uint64_t readmissions = 0, readmissions_put_off = 0, source_refused = 0;
  uint64_t ejections = 0, drain_resets = 0, dead_peers = 0, idle_timeouts = 0;
  uint64_t accept_paused = 0, pipe_fallbacks = 0, stalls = 0, client_gone_while_dialling = 0;
  uint64_t passed_on = 0;  // to a less loaded worker
  uint64_t killed = 0;     // by an operator
  uint64_t limit_refused = 0, proxy_headers_refused = 0;
  uint64_t client_hellos_refused = 0, unrouted = 0;
  // TLS that ends here.
  uint64_t tls_handshakes = 0, tls_resumed = 0, tls_refused = 0, tls_unknown_names = 0;
  uint64_t tls_no_protocol = 0, tls_client_certificates_refused = 0, tls_timeouts = 0;
  uint64_t tls_overflows = 0, tls_cut_off = 0;
  // TLS towards backends.
  uint64_t backend_tls_handshakes = 0, backend_tls_resumed = 0, backend_tls_failures = 0;
  uint64_t backend_tls_unverified = 0, backend_tls_timeouts = 0, backend_tls_cut_off = 0;
  uint64_t untuned = 0;  // sockets that the kernel would not tune as the policy asks
  uint64_t instant_resets = 0, replays = 0, keep_overflows = 0, hedges = 0, hedges_won = 0;
  uint64_t waits = 0, wait_timeouts = 0, wait_overflows = 0, clients_gone_while_waiting = 0;
  // Wants of this host: no local port to dial from, no descriptor, no memory.
  uint64_t no_port = 0, no_descriptor = 0, no_memory = 0;
  uint64_t spare_source_dials = 0;     // that had no port on the routed source
  uint64_t spare_sources_avoided = 0;  // now, since they are announced
  uint64_t pipes = 0;                  // now
  uint64_t memory_trims = 0;           // see memory_trim.hpp
  uint64_t late_resets = 0;  // clients handed to a worker where their listener was gone already
  uint64_t unwatched = 0;    // times that a worker could not listen at a listener's sockets
  // See source_totals.hpp.
  uint64_t source_limits_full = 0, source_limits_evicted = 0, source_limits_evicted_early = 0;
  uint64_t affinity_evicted = 0;
  // UDP. Bytes are in bytes_in and bytes_out, ejections in ejections.
  uint64_t udp_opened = 0, udp_closed = 0, udp_active = 0;
  uint64_t udp_datagrams_in = 0, udp_datagrams_out = 0;
  uint64_t udp_moved = 0, udp_refused = 0, udp_idle_timeouts = 0, udp_evicted = 0;
  uint64_t udp_no_backend = 0, udp_source_refused = 0, udp_session_limit = 0;
  uint64_t udp_limit_refused = 0, udp_too_large = 0;
  uint64_t udp_queue_overflows = 0, udp_own_wants = 0, udp_dropped = 0;
};

// Sums over workers and, for a port, over its addresses.
struct BackendTotals {
  Endpoint backend;
  uint64_t active = 0, connections = 0, bytes_in = 0, bytes_out = 0;
  uint64_t refused = 0, timeouts = 0, errors = 0, ejections = 0, instant_resets = 0, tls = 0;
  uint64_t turned_up = 0, turned_down = 0;  // by its check
  bool up = true;  // ready, with a weight, not drained, called down or ejected
  // Why it is ejected (as in on_ejection) or else called down, in one word; empty otherwise.
  std::string why_down = {};
};
template <size_t kBounds>
struct HistogramTotals {
  std::array<uint64_t, kBounds + 1> counts{};
  uint64_t sum_ms = 0;
};
struct GroupTotals {
  std::string name;
  uint64_t connections = 0;  // made
  uint64_t weight = 0;       // now, as is the next one
  uint64_t usable = 0;       // backends: ready, with a weight, not drained, called down or ejected
};

struct PortTotals {
  std::string key;
  uint16_t port = 0;
  Protocol protocol = Protocol::kTcp;
  uint64_t active = 0, accepted = 0, closed = 0, bytes_in = 0, bytes_out = 0;
  uint64_t retries = 0, no_backend = 0;
  uint64_t panic = 0;  // 1: a listener of it uses all its backends, since too few are usable
  uint64_t replays = 0, keep_overflows = 0, hedges = 0, hedges_won = 0;
  uint64_t waiting = 0;  // for a backend, now
  uint64_t waits = 0, wait_timeouts = 0, wait_overflows = 0, clients_gone_while_waiting = 0;
  uint64_t drains = 0;        // backends that were served, and left or are drained
  uint64_t drain_resets = 0;  // connections that outlived their drain
  HistogramTotals<kConnectBounds.size()> connect;
  HistogramTotals<kLifeBounds.size()> life;
  std::array<uint64_t, kEndReasons> ended{};  // by EndReason; together they are `closed`
  std::array<uint64_t, kRefusals> refused{};  // by Refusal; UDP: datagrams
  std::vector<BackendTotals> backends;
  std::vector<GroupTotals> groups;
};

class SocketHandover;

class DataPath {
 public:
  virtual ~DataPath() = default;

  // Null where listening sockets cannot go over to another process; see socket_handover.hpp.
  virtual SocketHandover* handover() { return nullptr; }

  // Makes `state` what is served: closes before it opens, touches only what changed. `done` gets
  // the listeners and backends that could not be programmed, after every worker has applied it.
  // Failed listeners are retried each second. One call at a time.
  virtual void apply(std::shared_ptr<const DesiredState> state,
                     std::function<void(std::vector<Failure>)> done) = 0;

  virtual std::vector<ServiceStatus> status() const = 0;
  // Of these services, at the cost of no others; unknown keys are passed over.
  virtual std::vector<ServiceStatus> status_of(const std::set<std::string>& keys) const = 0;
  virtual DataPathCounters counters() const = 0;

  // Listeners that are not served now. Shrinks as retries succeed.
  virtual std::vector<Failure> failures() const = 0;

  // Doors that are open now.
  virtual std::set<ListenerId> listening() const = 0;

  // Replaces what operators have drained; connections go on. `done` once every worker knows.
  virtual void set_drains(std::set<Drain> drains, std::function<void()> done) = 0;

  // Live connections and UDP sessions that the filter lets pass, the newest first, at most
  // filter.limit.
  // For want of memory `done` is dropped uncalled.
  virtual void flows(FlowFilter filter, std::function<void(std::vector<Flow>)> done) = 0;
  // Ends one; false: there is none with that id.
  virtual void kill(uint64_t id, std::function<void(bool)> done) = 0;

  // What is counted by service and backend; see metrics.
  virtual std::vector<PortTotals> totals() const = 0;

  // What an active check has found; kept for as long as a listener uses the backend.
  virtual void set_health(const BackendId& backend, Health health, std::string reason) = 0;

  // Has dials not leave from one of these addresses, which we announce or are about to; see
  // dial_source.hpp and spare_sources.hpp.
  virtual void avoid_sources(const std::set<IpAddress>& ours) = 0;

  // Addresses with an open listener or a live connection: an announcer may drop only others.
  virtual std::set<IpAddress> addresses_in_use() const = 0;

  // Stops accepting (what has connected is served) and calls `done` once the last connection is
  // over, at the latest when the deadline has come.
  virtual void drain(unsigned grace_ms, std::function<void()> done) = 0;

  // Resets what is left and joins. Synchronous.
  virtual void stop() = 0;
};

std::unique_ptr<DataPath> make_data_path(DataPathOptions options);

}  // namespace lb::proxy
