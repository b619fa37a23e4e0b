#include "dataplane/metrics_text.hpp"

namespace lb::dataplane {
namespace {

using Counters = proxy::DataPathCounters;

struct Row {
  const char* name;
  const char* help;
  uint64_t Counters::*value;
};

constexpr Row kCounters[] = {
    {"connections_accepted_total", "Client connections accepted", &Counters::accepted},
    {"connections_closed_total", "Client connections ended", &Counters::closed},
    {"received_bytes_total", "Bytes from clients to backends", &Counters::bytes_in},
    {"sent_bytes_total", "Bytes from backends to clients", &Counters::bytes_out},
    {"spliced_bytes_total", "Bytes moved without copying", &Counters::splice_bytes},
    {"copied_bytes_total", "Bytes moved through a buffer", &Counters::copy_bytes},
    {"dials_total", "Connection attempts to backends", &Counters::dials},
    {"dials_refused_total", "Attempts that a backend refused", &Counters::connect_refused},
    {"dials_timed_out_total", "Attempts that took too long", &Counters::connect_timeouts},
    {"dials_failed_total", "Attempts that failed otherwise", &Counters::connect_errors},
    {"retries_total", "Attempts on another backend", &Counters::retries},
    {"no_backend_total", "Connections for which no backend was left", &Counters::no_backend},
    {"client_resets_total", "Connections reset by the client", &Counters::resets_from_client},
    {"backend_resets_total", "Connections reset by the backend", &Counters::resets_from_backend},
    {"ejections_total", "Backends left out after failures", &Counters::ejections},
    {"drain_resets_total", "Connections reset when their drain ended", &Counters::drain_resets},
    {"dead_peers_total", "Connections ended because a peer was gone", &Counters::dead_peers},
    {"idle_timeouts_total", "Connections ended for being idle", &Counters::idle_timeouts},
    {"accept_pauses_total", "Times accepting was paused", &Counters::accept_paused},
    {"pipe_fallbacks_total", "Connections copied for want of a pipe", &Counters::pipe_fallbacks},
    {"clients_gone_while_dialling_total", "Clients that left before a backend was connected",
     &Counters::client_gone_while_dialling},
};

void append(std::string& out, const Row& row, const char* type, const Counters& counters) {
  const std::string name = std::string("empalme_dataplane_") + row.name;
  out += "# HELP " + name + " " + row.help + ".\n# TYPE " + name + " " + type + "\n";
  out += name + " " + std::to_string(counters.*row.value) + "\n";
}

}  // namespace

std::string metrics_text(const Counters& counters) {
  std::string out;
  append(out, {"connections", "Connections open now", &Counters::active}, "gauge", counters);
  for (const Row& row : kCounters) append(out, row, "counter", counters);
  return out;
}

}  // namespace lb::dataplane
