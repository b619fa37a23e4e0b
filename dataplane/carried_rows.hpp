// Which counters go over to the process that takes over, and by which names.
//
// A name is what the other process reads: none is ever given another meaning. Plain tables.
#pragma once

#include <cstdint>

#include "dataplane/health/prober.hpp"
#include "dataplane/proxy/data_path.hpp"

namespace lb::dataplane {

template <class Totals>
struct Row {
  const char* name;
  uint64_t Totals::*value;
};

using Path = proxy::DataPathCounters;
inline constexpr Row<Path> kPathRows[] = {
    {"accepted", &Path::accepted},
    {"closed", &Path::closed},
    {"bytes_in", &Path::bytes_in},
    {"bytes_out", &Path::bytes_out},
    {"splice_bytes", &Path::splice_bytes},
    {"copy_bytes", &Path::copy_bytes},
    {"dials", &Path::dials},
    {"connect_refused", &Path::connect_refused},
    {"connect_timeouts", &Path::connect_timeouts},
    {"connect_errors", &Path::connect_errors},
    {"retries", &Path::retries},
    {"no_backend", &Path::no_backend},
    {"resets_from_client", &Path::resets_from_client},
    {"resets_from_backend", &Path::resets_from_backend},
    {"readmissions", &Path::readmissions},
    {"readmissions_put_off", &Path::readmissions_put_off},
    {"source_refused", &Path::source_refused},
    {"ejections", &Path::ejections},
    {"drain_resets", &Path::drain_resets},
    {"dead_peers", &Path::dead_peers},
    {"idle_timeouts", &Path::idle_timeouts},
    {"accept_paused", &Path::accept_paused},
    {"stalls", &Path::stalls},
    {"pipe_fallbacks", &Path::pipe_fallbacks},
    {"client_gone_while_dialling", &Path::client_gone_while_dialling},
    {"passed_on", &Path::passed_on},
    {"killed", &Path::killed},
    {"limit_refused", &Path::limit_refused},
    {"proxy_headers_refused", &Path::proxy_headers_refused},
    {"client_hellos_refused", &Path::client_hellos_refused},
    {"unrouted", &Path::unrouted},
    {"tls_handshakes", &Path::tls_handshakes},
    {"tls_resumed", &Path::tls_resumed},
    {"tls_refused", &Path::tls_refused},
    {"tls_unknown_names", &Path::tls_unknown_names},
    {"tls_no_protocol", &Path::tls_no_protocol},
    {"tls_client_certificates_refused", &Path::tls_client_certificates_refused},
    {"tls_timeouts", &Path::tls_timeouts},
    {"tls_overflows", &Path::tls_overflows},
    {"tls_cut_off", &Path::tls_cut_off},
    {"backend_tls_handshakes", &Path::backend_tls_handshakes},
    {"backend_tls_resumed", &Path::backend_tls_resumed},
    {"backend_tls_failures", &Path::backend_tls_failures},
    {"backend_tls_unverified", &Path::backend_tls_unverified},
    {"backend_tls_timeouts", &Path::backend_tls_timeouts},
    {"backend_tls_cut_off", &Path::backend_tls_cut_off},
    {"late_resets", &Path::late_resets},
    {"unwatched", &Path::unwatched},
    {"source_limits_full", &Path::source_limits_full},
    {"source_limits_evicted", &Path::source_limits_evicted},
    {"source_limits_evicted_early", &Path::source_limits_evicted_early},
    {"affinity_evicted", &Path::affinity_evicted},
    {"untuned", &Path::untuned},
    {"instant_resets", &Path::instant_resets},
    {"replays", &Path::replays},
    {"keep_overflows", &Path::keep_overflows},
    {"hedges", &Path::hedges},
    {"hedges_won", &Path::hedges_won},
    {"waits", &Path::waits},
    {"wait_timeouts", &Path::wait_timeouts},
    {"wait_overflows", &Path::wait_overflows},
    {"clients_gone_while_waiting", &Path::clients_gone_while_waiting},
    {"no_port", &Path::no_port},
    {"no_descriptor", &Path::no_descriptor},
    {"no_memory", &Path::no_memory},
    {"spare_source_dials", &Path::spare_source_dials},
    {"memory_trims", &Path::memory_trims},
    {"udp_opened", &Path::udp_opened},
    {"udp_closed", &Path::udp_closed},
    {"udp_datagrams_in", &Path::udp_datagrams_in},
    {"udp_datagrams_out", &Path::udp_datagrams_out},
    {"udp_moved", &Path::udp_moved},
    {"udp_refused", &Path::udp_refused},
    {"udp_idle_timeouts", &Path::udp_idle_timeouts},
    {"udp_evicted", &Path::udp_evicted},
    {"udp_no_backend", &Path::udp_no_backend},
    {"udp_source_refused", &Path::udp_source_refused},
    {"udp_session_limit", &Path::udp_session_limit},
    {"udp_limit_refused", &Path::udp_limit_refused},
    {"udp_too_large", &Path::udp_too_large},
    {"udp_queue_overflows", &Path::udp_queue_overflows},
    {"udp_own_wants", &Path::udp_own_wants},
    {"udp_dropped", &Path::udp_dropped},
};

using PortTotals = proxy::PortTotals;
inline constexpr Row<PortTotals> kPortRows[] = {
    {"accepted", &PortTotals::accepted},
    {"closed", &PortTotals::closed},
    {"bytes_in", &PortTotals::bytes_in},
    {"bytes_out", &PortTotals::bytes_out},
    {"retries", &PortTotals::retries},
    {"no_backend", &PortTotals::no_backend},
    {"replays", &PortTotals::replays},
    {"keep_overflows", &PortTotals::keep_overflows},
    {"hedges", &PortTotals::hedges},
    {"hedges_won", &PortTotals::hedges_won},
    {"waits", &PortTotals::waits},
    {"wait_timeouts", &PortTotals::wait_timeouts},
    {"wait_overflows", &PortTotals::wait_overflows},
    {"clients_gone_while_waiting", &PortTotals::clients_gone_while_waiting},
    {"drains", &PortTotals::drains},
    {"drain_resets", &PortTotals::drain_resets},
};

using BackendTotals = proxy::BackendTotals;
inline constexpr Row<BackendTotals> kBackendRows[] = {
    {"connections", &BackendTotals::connections},
    {"bytes_in", &BackendTotals::bytes_in},
    {"bytes_out", &BackendTotals::bytes_out},
    {"refused", &BackendTotals::refused},
    {"timeouts", &BackendTotals::timeouts},
    {"errors", &BackendTotals::errors},
    {"ejections", &BackendTotals::ejections},
    {"instant_resets", &BackendTotals::instant_resets},
    {"tls", &BackendTotals::tls},
    {"turned_up", &BackendTotals::turned_up},
    {"turned_down", &BackendTotals::turned_down},
};

using GroupTotals = proxy::GroupTotals;
inline constexpr Row<GroupTotals> kGroupRows[] = {{"connections", &GroupTotals::connections}};

using Checks = health::ProberCounters;
inline constexpr Row<Checks> kCheckRows[] = {
    {"probes", &Checks::probes},       {"successes", &Checks::successes},
    {"failures", &Checks::failures},   {"timeouts", &Checks::timeouts},
    {"own_wants", &Checks::own_wants}, {"transitions", &Checks::transitions},
    {"delayed", &Checks::delayed},     {"cut", &Checks::cut},
};

}  // namespace lb::dataplane
