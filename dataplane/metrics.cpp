#include "dataplane/metrics.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

namespace lb::dataplane {
namespace {

constexpr char kPrefix[] = "empalme_dataplane_";

template <class Counters>
struct Row {
  const char* name;
  const char* help;
  uint64_t Counters::*value;
};

using PathRow = Row<proxy::DataPathCounters>;
constexpr PathRow kPathRows[] = {
    {"connections_accepted_total", "Client connections accepted",
     &proxy::DataPathCounters::accepted},
    {"connections_closed_total", "Client connections ended", &proxy::DataPathCounters::closed},
    {"received_bytes_total", "Bytes from clients to backends", &proxy::DataPathCounters::bytes_in},
    {"sent_bytes_total", "Bytes from backends to clients", &proxy::DataPathCounters::bytes_out},
    {"spliced_bytes_total", "Bytes moved without copying", &proxy::DataPathCounters::splice_bytes},
    {"copied_bytes_total", "Bytes moved through a buffer", &proxy::DataPathCounters::copy_bytes},
    {"dials_total", "Connection attempts to backends", &proxy::DataPathCounters::dials},
    {"dials_refused_total", "Attempts that a backend refused",
     &proxy::DataPathCounters::connect_refused},
    {"dials_timed_out_total", "Attempts that took too long",
     &proxy::DataPathCounters::connect_timeouts},
    {"dials_failed_total", "Attempts that failed otherwise",
     &proxy::DataPathCounters::connect_errors},
    {"retries_total", "Attempts on another backend", &proxy::DataPathCounters::retries},
    {"no_backend_total", "Connections for which no backend was left",
     &proxy::DataPathCounters::no_backend},
    {"client_resets_total", "Connections reset by the client",
     &proxy::DataPathCounters::resets_from_client},
    {"backend_resets_total", "Connections reset by the backend",
     &proxy::DataPathCounters::resets_from_backend},
    {"sources_refused_total", "Clients outside the source ranges",
     &proxy::DataPathCounters::source_refused},
    {"readmissions_total", "Backends taken back after an ejection",
     &proxy::DataPathCounters::readmissions},
    {"readmissions_put_off_total",
     "Asking an ejected backend had to wait for descriptors or its turn",
     &proxy::DataPathCounters::readmissions_put_off},
    {"ejections_total", "Backends left out after failures", &proxy::DataPathCounters::ejections},
    {"drain_resets_total", "Connections reset when their drain ended",
     &proxy::DataPathCounters::drain_resets},
    {"dead_peers_total", "Connections ended because a peer was gone",
     &proxy::DataPathCounters::dead_peers},
    {"connections_passed_on_total", "Connections handed to a less loaded worker",
     &proxy::DataPathCounters::passed_on},
    {"idle_timeouts_total", "Connections ended for being idle",
     &proxy::DataPathCounters::idle_timeouts},
    {"limit_refused_total", "Clients above a limit of their service",
     &proxy::DataPathCounters::limit_refused},
    {"proxy_headers_refused_total", "Trusted proxies that did not say for whom they speak",
     &proxy::DataPathCounters::proxy_headers_refused},
    {"client_hellos_refused_total",
     "Clients that did not say in time, as TLS does, which name they want",
     &proxy::DataPathCounters::client_hellos_refused},
    {"unrouted_total", "Clients for whose name or source no service of their address and port is",
     &proxy::DataPathCounters::unrouted},
    {"tls_handshakes_total", "TLS handshakes that were finished here",
     &proxy::DataPathCounters::tls_handshakes},
    {"tls_resumed_total", "Of these, those by a ticket of an earlier one",
     &proxy::DataPathCounters::tls_resumed},
    {"tls_refused_total", "Clients with whom no handshake came about",
     &proxy::DataPathCounters::tls_refused},
    {"tls_unknown_names_total", "Of these, clients that asked for a name without a certificate",
     &proxy::DataPathCounters::tls_unknown_names},
    {"tls_no_protocol_total", "Of these, clients that speak no protocol that is served (ALPN)",
     &proxy::DataPathCounters::tls_no_protocol},
    {"tls_client_certificates_refused_total",
     "Of these, clients without a certificate of the authorities that are asked for",
     &proxy::DataPathCounters::tls_client_certificates_refused},
    {"tls_timeouts_total", "Of these, clients that were too slow",
     &proxy::DataPathCounters::tls_timeouts},
    {"tls_overflows_total", "Of these, clients above 2,048 of a worker that agree on keys at once",
     &proxy::DataPathCounters::tls_overflows},
    {"tls_cut_off_total", "Clients that ended without saying so in TLS first",
     &proxy::DataPathCounters::tls_cut_off},
    {"backend_tls_handshakes_total", "TLS handshakes with backends that were finished",
     &proxy::DataPathCounters::backend_tls_handshakes},
    {"backend_tls_resumed_total", "Of these, those that took up an earlier session again",
     &proxy::DataPathCounters::backend_tls_resumed},
    {"backend_tls_failures_total", "Connects to backends that failed for TLS",
     &proxy::DataPathCounters::backend_tls_failures},
    {"backend_tls_unverified_total", "Of these, certificates of backends that were not verified",
     &proxy::DataPathCounters::backend_tls_unverified},
    {"backend_tls_timeouts_total", "Of these, backends that were too slow",
     &proxy::DataPathCounters::backend_tls_timeouts},
    {"backend_tls_cut_off_total", "Backends that ended without saying so in TLS first",
     &proxy::DataPathCounters::backend_tls_cut_off},
    {"connections_killed_total", "Connections ended by an operator",
     &proxy::DataPathCounters::killed},
    {"instant_resets_total", "Connections that a backend reset instead of answering",
     &proxy::DataPathCounters::instant_resets},
    {"replays_total", "Requests sent again to another backend before any answer",
     &proxy::DataPathCounters::replays},
    {"replay_overflows_total", "Connections whose first bytes became too many to be kept",
     &proxy::DataPathCounters::keep_overflows},
    {"hedges_total", "Second dials sent while the first was unanswered",
     &proxy::DataPathCounters::hedges},
    {"hedges_won_total", "Second dials that were the faster ones",
     &proxy::DataPathCounters::hedges_won},
    {"waits_total", "Connections that had to wait for a backend", &proxy::DataPathCounters::waits},
    {"wait_timeouts_total", "Connections that waited for a backend in vain",
     &proxy::DataPathCounters::wait_timeouts},
    {"wait_overflows_total", "Connections reset because too many were waiting for a backend",
     &proxy::DataPathCounters::wait_overflows},
    {"clients_gone_while_waiting_total", "Clients that left while they waited for a backend",
     &proxy::DataPathCounters::clients_gone_while_waiting},
    {"accept_pauses_total", "Times accepting was paused", &proxy::DataPathCounters::accept_paused},
    {"sockets_untuned_total", "Sockets without the congestion control or busy polling asked for",
     &proxy::DataPathCounters::untuned},
    {"stalls_total",
     "Times a side was not read from, since the other did not take what it had sent",
     &proxy::DataPathCounters::stalls},
    {"pipe_fallbacks_total", "Times bytes were copied for want of a pipe",
     &proxy::DataPathCounters::pipe_fallbacks},
    {"no_port_total", "Dials for which no local port was left", &proxy::DataPathCounters::no_port},
    {"no_descriptor_total", "Dials for which no descriptor was left",
     &proxy::DataPathCounters::no_descriptor},
    {"no_memory_total", "Connections and tasks given up for want of memory",
     &proxy::DataPathCounters::no_memory},
    {"spare_source_dials_total", "Dials made from a spare source for want of a port",
     &proxy::DataPathCounters::spare_source_dials},
    {"memory_trims_total", "Times the memory of ended connections was given back",
     &proxy::DataPathCounters::memory_trims},
    {"late_clients_reset_total", "Clients handed to a worker after their listener had gone there",
     &proxy::DataPathCounters::late_resets},
    {"listeners_unwatched_total", "Times a worker could not listen at a listener's sockets",
     &proxy::DataPathCounters::unwatched},
    {"source_limits_full_total", "Clients refused since no more sources can be told apart",
     &proxy::DataPathCounters::source_limits_full},
    {"source_limits_evicted_total", "Sources forgotten to make room for others",
     &proxy::DataPathCounters::source_limits_evicted},
    {"source_limits_evicted_early_total", "Of these, sources whose rate was then forgotten",
     &proxy::DataPathCounters::source_limits_evicted_early},
    {"affinity_evicted_total", "Clients whose backend was forgotten to make room for others",
     &proxy::DataPathCounters::affinity_evicted},
    {"clients_gone_while_dialling_total", "Clients that left before a backend was connected",
     &proxy::DataPathCounters::client_gone_while_dialling},
};

constexpr PathRow kUdpRows[] = {
    {"udp_sessions_opened_total", "UDP sessions begun", &proxy::DataPathCounters::udp_opened},
    {"udp_sessions_closed_total", "UDP sessions ended", &proxy::DataPathCounters::udp_closed},
    {"udp_received_datagrams_total", "Datagrams passed to backends",
     &proxy::DataPathCounters::udp_datagrams_in},
    {"udp_sent_datagrams_total", "Datagrams passed to clients",
     &proxy::DataPathCounters::udp_datagrams_out},
    {"udp_sessions_moved_total", "UDP sessions that went on with another backend",
     &proxy::DataPathCounters::udp_moved},
    {"udp_refusals_total", "Ports that a backend called unreachable",
     &proxy::DataPathCounters::udp_refused},
    {"udp_idle_timeouts_total", "UDP sessions ended for being idle",
     &proxy::DataPathCounters::udp_idle_timeouts},
    {"udp_sessions_evicted_total", "UDP sessions without any answer that made room for new ones",
     &proxy::DataPathCounters::udp_evicted},
};

// Datagrams that were not passed on, by cause.
struct UdpDrop {
  const char* cause;
  uint64_t proxy::DataPathCounters::*value;
};
constexpr UdpDrop kUdpDrops[] = {
    {"no_backend", &proxy::DataPathCounters::udp_no_backend},
    {"source_refused", &proxy::DataPathCounters::udp_source_refused},
    {"session_limit", &proxy::DataPathCounters::udp_session_limit},
    {"limit", &proxy::DataPathCounters::udp_limit_refused},
    {"too_large", &proxy::DataPathCounters::udp_too_large},
    {"queue_overflow", &proxy::DataPathCounters::udp_queue_overflows},
    {"own_want", &proxy::DataPathCounters::udp_own_wants},
    {"other", &proxy::DataPathCounters::udp_dropped},
};

using CheckRow = Row<health::ProberCounters>;
constexpr CheckRow kCheckRows[] = {
    {"checks_total", "Health checks begun", &health::ProberCounters::probes},
    {"check_successes_total", "Health checks that went well", &health::ProberCounters::successes},
    {"check_failures_total", "Health checks that failed", &health::ProberCounters::failures},
    {"check_timeouts_total", "Of these, those that took too long",
     &health::ProberCounters::timeouts},
    {"check_own_wants_total", "Health checks that failed for want of something of ours",
     &health::ProberCounters::own_wants},
    {"check_delays_total", "Health checks that had to wait for their turn",
     &health::ProberCounters::delayed},
    {"check_cuts_total", "Health checks put off so that other services' could be made",
     &health::ProberCounters::cut},
    {"health_transitions_total", "Times a backend became up or down",
     &health::ProberCounters::transitions},
};

using AnnounceRow = Row<announce::AnnounceCounters>;
constexpr AnnounceRow kAnnounceRows[] = {
    {"addresses_added_total", "Addresses put on the interface", &announce::AnnounceCounters::added},
    {"addresses_removed_total", "Addresses taken off", &announce::AnnounceCounters::removed},
    {"address_renewals_total", "Lifetimes renewed", &announce::AnnounceCounters::renewals},
    {"address_renewal_failures_total", "Renewals that the kernel refused",
     &announce::AnnounceCounters::renewal_failures},
    {"address_probes_total", "ARP and ND probes sent", &announce::AnnounceCounters::probes},
    {"address_conflicts_total", "Addresses found in use on the network",
     &announce::AnnounceCounters::conflicts},
    {"address_announcements_total", "Gratuitous ARP and unsolicited NA sent",
     &announce::AnnounceCounters::announcements},
    {"link_changes_total", "Times the carrier returned or the hardware address changed",
     &announce::AnnounceCounters::link_changes},
    {"filter_failures_total", "Times the packet filter could not be set",
     &announce::AnnounceCounters::filter_failures},
};

void add(Metrics& out, const char* name, const char* help, ops::MetricType type, double value) {
  out.push_back({std::string(kPrefix) + name, std::string(help) + ".", type, {{value}}});
}

void add_counter(Metrics& out, const char* name, const char* help, uint64_t value) {
  add(out, name, help, ops::MetricType::kCounter, static_cast<double>(value));
}

void add_gauge(Metrics& out, const char* name, const char* help, uint64_t value) {
  add(out, name, help, ops::MetricType::kGauge, static_cast<double>(value));
}

}  // namespace

void add_path_metrics(Metrics& out, const proxy::DataPathCounters& counters) {
  add_gauge(out, "connections", "Connections open now", counters.active);
  add_gauge(out, "pipes", "Pipes open now", counters.pipes);
  add_gauge(out, "spare_sources_avoided",
            "Spare sources that are not dialled from, since they are announced",
            counters.spare_sources_avoided);
  for (const auto& row : kPathRows) add_counter(out, row.name, row.help, counters.*row.value);
  add_gauge(out, "udp_sessions", "UDP sessions now", counters.udp_active);
  for (const auto& row : kUdpRows) add_counter(out, row.name, row.help, counters.*row.value);
  ops::Metric drops{std::string(kPrefix) + "udp_dropped_datagrams_total",
                    "Datagrams that were not passed on, by cause.",
                    ops::MetricType::kCounter,
                    {}};
  for (const auto& drop : kUdpDrops) {
    drops.samples.push_back({static_cast<double>(counters.*drop.value), {{"cause", drop.cause}}});
  }
  out.push_back(std::move(drops));
}

void add_queue_metrics(Metrics& out, std::optional<uint64_t> overflows) {
  if (!overflows) return;
  add_counter(
      out, "listen_overflows_total",
      "Connections that the kernel dropped because a listener's queue was full, in the whole "
      "network namespace",
      *overflows);
}

void add_watch_metrics(Metrics& out, bool addresses_watched) {
  add_gauge(out, "addresses_unwatched",
            "1: this host's addresses are only looked at when the state changes",
            addresses_watched ? 0 : 1);
}

void add_descriptor_metrics(Metrics& out, const proxy::DescriptorShares& shares, uint64_t open) {
  add_gauge(out, "descriptors", "Descriptors open now", open);
  add_gauge(out, "descriptor_limit", "Descriptors that may be open", uint64_t(shares.limit));
  add_gauge(out, "descriptor_reserve", "Of these, those that traffic leaves to administration",
            uint64_t(shares.reserve()));
}

void add_message_metrics(Metrics& out, uint64_t lost) {
  add_counter(out, "messages_dropped_total", "Messages left out because standard error is not read",
              lost);
}

void add_check_metrics(Metrics& out, const health::ProberCounters& counters) {
  add_gauge(out, "checks_in_flight", "Health checks under way", counters.in_flight);
  for (const auto& row : kCheckRows) add_counter(out, row.name, row.help, counters.*row.value);
}

void add_state_metrics(Metrics& out, const Coordinator& coordinator,
                       const std::map<std::string, uint64_t>& refusals) {
  const auto& held = *coordinator.held();
  add_gauge(out, "state_epoch", "Epoch of the state that is held", held.version.epoch);
  add_gauge(out, "state_generation", "Generation of the state that is held",
            held.version.generation);
  add_gauge(out, "services", "Services in the state that is held", held.services.size());
  add_gauge(out, "failures", "Listeners and backends that could not be programmed",
            coordinator.failed().size());
  ops::Metric refused{std::string(kPrefix) + "changes_refused_total",
                      "Changes refused, by reason.",
                      ops::MetricType::kCounter,
                      {}};
  for (const auto& [reason, count] : refusals) {
    refused.samples.push_back({static_cast<double>(count), {{"reason", reason}}});
  }
  if (!refused.samples.empty()) out.push_back(std::move(refused));
}

void add_log_metrics(Metrics& out, const FlowLog& log) {
  add_counter(out, "log_lines_total", "Connections written to the log", log.lines());
  add_counter(out, "log_dropped_total", "Connections left out because the log is not read",
              log.dropped());
}

void add_store_metrics(Metrics& out, const StateStore& store) {
  add_counter(out, "state_saves_total", "Times the state was saved", store.saves());
  add_counter(out, "state_save_failures_total", "Times saving failed", store.save_failures());
  add_counter(out, "state_load_failures_total",
              "Saved states that could not be used, wholly or in part.", store.load_failures());
}

namespace {

// Until when, and the name: those that run out first, for they are what is looked for.
std::vector<std::pair<int64_t, std::string_view>> first_to_end(const Certificates& certificates,
                                                               size_t most) {
  std::vector<std::pair<int64_t, std::string_view>> out;
  for (const auto& [name, certificate] : certificates.book().all()) {
    out.emplace_back(certificate->validity().until, name);
  }
  std::sort(out.begin(), out.end());
  if (out.size() > most) out.resize(most);
  return out;
}

}  // namespace

void add_certificate_metrics(Metrics& out, const Certificates& certificates, size_t most) {
  ops::Metric until{std::string(kPrefix) + "certificate_not_after_seconds",
                    "Until when a pushed certificate is valid, since 1970.",
                    ops::MetricType::kGauge,
                    {}};
  for (const auto& [when, name] : first_to_end(certificates, most)) {
    until.samples.push_back({double(when), {{"certificate", std::string(name)}}});
  }
  add_gauge(out, "certificates_without_series",
            "Certificates whose series are left out because there are too many",
            certificates.book().all().size() - until.samples.size());
  if (!until.samples.empty()) out.push_back(std::move(until));
  add_counter(out, "certificates_refused_total", "Pushed certificates that were refused",
              certificates.refused());
  add_counter(out, "certificate_save_failures_total",
              "Times a certificate could not be kept for a restart", certificates.save_failures());
}

void add_announce_metrics(Metrics& out, const announce::AnnounceCounters& counters,
                          size_t announced) {
  add_gauge(out, "addresses", "Addresses announced now", announced);
  for (const auto& row : kAnnounceRows) add_counter(out, row.name, row.help, counters.*row.value);
}

void add_server_metrics(Metrics& out,
                        const std::map<std::string, net::HttpServerCounters>& servers) {
  for (const auto& row : net::http_server_metrics()) {
    ops::Metric metric{std::string(kPrefix) + row.name,
                       std::string(row.help) + ".",
                       ops::MetricType::kCounter,
                       {}};
    for (const auto& [server, counters] : servers) {
      metric.samples.push_back({static_cast<double>(counters.*row.value), {{"server", server}}});
    }
    out.push_back(std::move(metric));
  }
}

}  // namespace lb::dataplane
