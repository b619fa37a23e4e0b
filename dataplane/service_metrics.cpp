#include "dataplane/service_metrics.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <utility>

namespace lb::dataplane {
namespace {

using ops::Metric;
using ops::MetricType;
using Labels = std::vector<std::pair<std::string, std::string>>;

template <class Totals>
struct Row {
  const char* name;
  const char* help;
  MetricType type;
  uint64_t Totals::*value;
};

constexpr Row<proxy::PortTotals> kPortRows[] = {
    {"empalme_service_connections", "Connections open now.", MetricType::kGauge,
     &proxy::PortTotals::active},
    {"empalme_service_connections_accepted_total", "Connections accepted.", MetricType::kCounter,
     &proxy::PortTotals::accepted},
    {"empalme_service_connections_closed_total", "Connections ended.", MetricType::kCounter,
     &proxy::PortTotals::closed},
    {"empalme_service_received_bytes_total", "Bytes from clients.", MetricType::kCounter,
     &proxy::PortTotals::bytes_in},
    {"empalme_service_sent_bytes_total", "Bytes to clients.", MetricType::kCounter,
     &proxy::PortTotals::bytes_out},
    {"empalme_service_retries_total", "Connects tried again on another backend.",
     MetricType::kCounter, &proxy::PortTotals::retries},
    {"empalme_service_no_backend_total", "Clients for whom no backend was left.",
     MetricType::kCounter, &proxy::PortTotals::no_backend},
    {"empalme_service_panic", "1: all backends are used, since too few are usable.",
     MetricType::kGauge, &proxy::PortTotals::panic},
    {"empalme_service_replays_total", "Requests sent again to another backend before any answer.",
     MetricType::kCounter, &proxy::PortTotals::replays},
    {"empalme_service_replay_overflows_total",
     "Connections whose first bytes became too many to be kept.", MetricType::kCounter,
     &proxy::PortTotals::keep_overflows},
    {"empalme_service_hedges_total", "Second dials sent while the first was unanswered.",
     MetricType::kCounter, &proxy::PortTotals::hedges},
    {"empalme_service_hedges_won_total", "Second dials that were the faster ones.",
     MetricType::kCounter, &proxy::PortTotals::hedges_won},
    {"empalme_service_connections_waiting", "Connections that wait for a backend now.",
     MetricType::kGauge, &proxy::PortTotals::waiting},
    {"empalme_service_waits_total", "Connections that had to wait for a backend.",
     MetricType::kCounter, &proxy::PortTotals::waits},
    {"empalme_service_wait_timeouts_total", "Connections that waited for a backend in vain.",
     MetricType::kCounter, &proxy::PortTotals::wait_timeouts},
    {"empalme_service_wait_overflows_total",
     "Connections reset because too many were waiting for a backend.", MetricType::kCounter,
     &proxy::PortTotals::wait_overflows},
    {"empalme_service_clients_gone_while_waiting_total",
     "Clients that left while they waited for a backend.", MetricType::kCounter,
     &proxy::PortTotals::clients_gone_while_waiting},
    {"empalme_service_drains_total", "Backends that were used and are so no longer: gone, drained.",
     MetricType::kCounter, &proxy::PortTotals::drains},
    {"empalme_service_drain_resets_total", "Connections ended because their drain was over.",
     MetricType::kCounter, &proxy::PortTotals::drain_resets},
};

constexpr Row<proxy::BackendTotals> kBackendRows[] = {
    {"empalme_backend_connections", "Connections open now.", MetricType::kGauge,
     &proxy::BackendTotals::active},
    {"empalme_backend_connections_total", "Connections made.", MetricType::kCounter,
     &proxy::BackendTotals::connections},
    {"empalme_backend_received_bytes_total", "Bytes to the backend.", MetricType::kCounter,
     &proxy::BackendTotals::bytes_in},
    {"empalme_backend_sent_bytes_total", "Bytes from the backend.", MetricType::kCounter,
     &proxy::BackendTotals::bytes_out},
    {"empalme_backend_instant_resets_total", "Connections it reset instead of answering.",
     MetricType::kCounter, &proxy::BackendTotals::instant_resets},
    {"empalme_backend_ejections_total", "Times it was left out after failures.",
     MetricType::kCounter, &proxy::BackendTotals::ejections},
};

struct Cause {
  const char* name;
  uint64_t proxy::BackendTotals::*value;
};
constexpr Cause kTurns[] = {{"up", &proxy::BackendTotals::turned_up},
                            {"down", &proxy::BackendTotals::turned_down}};
constexpr Cause kCauses[] = {{"refused", &proxy::BackendTotals::refused},
                             {"timeout", &proxy::BackendTotals::timeouts},
                             {"tls", &proxy::BackendTotals::tls},
                             {"other", &proxy::BackendTotals::errors}};

constexpr proxy::Refusal kLimits[] = {proxy::Refusal::kConnections, proxy::Refusal::kSource,
                                      proxy::Refusal::kRate};

Labels labels_of(const proxy::PortTotals& port) {
  return {{"service", port.key},
          {"port", std::to_string(port.port)},
          {"protocol", to_string(port.protocol)}};
}

Labels with(Labels labels, const char* name, std::string value) {
  labels.emplace_back(name, std::move(value));
  return labels;
}

// As Prometheus wants it: each bucket holds those below it too.
template <size_t kBounds>
ops::HistogramSample histogram(const proxy::HistogramTotals<kBounds>& from,
                               const std::array<uint64_t, kBounds>& bounds, Labels labels) {
  ops::HistogramSample out;
  out.labels = std::move(labels);
  uint64_t below = 0;
  for (size_t i = 0; i < kBounds; ++i) {
    below += from.counts[i];
    out.buckets.emplace_back(static_cast<double>(bounds[i]) / 1000, below);
  }
  out.count = below + from.counts[kBounds];
  out.sum = static_cast<double>(from.sum_ms) / 1000;
  return out;
}

using Ports = std::vector<const proxy::PortTotals*>;

void add_histograms(std::vector<Metric>& out, const Ports& ports) {
  Metric connect{"empalme_service_connect_seconds",
                 "From accept until a backend was connected.",
                 MetricType::kHistogram,
                 {}};
  Metric life{
      "empalme_service_connection_seconds", "From accept to the end.", MetricType::kHistogram, {}};
  for (const auto* port : ports) {
    if (port->protocol != Protocol::kTcp) continue;
    connect.histograms.push_back(histogram(port->connect, proxy::kConnectBounds, labels_of(*port)));
    life.histograms.push_back(histogram(port->life, proxy::kLifeBounds, labels_of(*port)));
  }
  if (connect.histograms.empty()) return;
  out.push_back(std::move(connect));
  out.push_back(std::move(life));
}

double refused(const proxy::PortTotals& port, proxy::Refusal rule) {
  return static_cast<double>(port.refused[static_cast<size_t>(rule)]);
}

// Of a dozen ways and rules most never happen: each has a series from its first on.
void add_refusals(std::vector<Metric>& out, const Ports& ports) {
  Metric sources{"empalme_service_sources_refused_total",
                 "Clients outside the source ranges.",
                 MetricType::kCounter,
                 {}};
  Metric limits{"empalme_service_limit_refused_total",
                "Clients above a limit, by which.",
                MetricType::kCounter,
                {}};
  Metric headers{"empalme_service_proxy_headers_refused_total",
                 "Trusted proxies that did not say for whom they speak.",
                 MetricType::kCounter,
                 {}};
  for (const auto* port : ports) {
    const Labels labels = labels_of(*port);
    sources.samples.push_back({refused(*port, proxy::Refusal::kSourceRange), labels});
    headers.samples.push_back({refused(*port, proxy::Refusal::kProxyHeader), labels});
    for (const auto limit : kLimits) {
      if (port->refused[static_cast<size_t>(limit)] == 0) continue;
      limits.samples.push_back({refused(*port, limit), with(labels, "limit", to_string(limit))});
    }
  }
  for (Metric* each : {&sources, &limits, &headers}) out.push_back(std::move(*each));
}

void add_ends(std::vector<Metric>& out, const Ports& ports) {
  Metric ends{"empalme_service_connections_ended_total",
              "Connections ended, by how.",
              MetricType::kCounter,
              {}};
  for (const auto* port : ports) {
    for (size_t i = 0; i < proxy::kEndReasons; ++i) {
      const auto how = static_cast<proxy::EndReason>(i);
      if (port->ended[i] == 0) continue;
      ends.samples.push_back(
          {static_cast<double>(port->ended[i]), with(labels_of(*port), "how", to_string(how))});
    }
  }
  out.push_back(std::move(ends));
}

// A backend or a group.
template <class Member>
struct Shown {
  const proxy::PortTotals* port;
  const Member* member;
};

// A series for as long as there is a reason.
void add_reasons(std::vector<Metric>& out, const std::vector<Shown<proxy::BackendTotals>>& shown) {
  Metric down{"empalme_backend_down",
              "1: called down by its check or left out after failures, by why.",
              MetricType::kGauge,
              {}};
  for (const auto& [port, backend] : shown) {
    if (backend->why_down.empty()) continue;
    const Labels labels = with(labels_of(*port), "backend", backend->backend.to_string());
    down.samples.push_back({1.0, with(labels, "reason", backend->why_down)});
  }
  if (!down.samples.empty()) out.push_back(std::move(down));
}

void add_backends(std::vector<Metric>& out, const std::vector<Shown<proxy::BackendTotals>>& shown) {
  for (const auto& row : kBackendRows) {
    Metric metric{row.name, row.help, row.type, {}};
    for (const auto& [port, backend] : shown) {
      metric.samples.push_back({static_cast<double>(backend->*row.value),
                                with(labels_of(*port), "backend", backend->backend.to_string())});
    }
    out.push_back(std::move(metric));
  }
  Metric up{"empalme_backend_up", "1: may be given new connections.", MetricType::kGauge, {}};
  Metric failures{"empalme_backend_connect_failures_total",
                  "Connects that failed, by cause.",
                  MetricType::kCounter,
                  {}};
  Metric turns{"empalme_backend_health_transitions_total",
               "Times its check has called it down, and up again.",
               MetricType::kCounter,
               {}};
  for (const auto& [port, backend] : shown) {
    const Labels labels = with(labels_of(*port), "backend", backend->backend.to_string());
    for (const auto& turn : kTurns) {
      turns.samples.push_back(
          {static_cast<double>(backend->*turn.value), with(labels, "to", turn.name)});
    }
    up.samples.push_back({backend->up ? 1.0 : 0.0, labels});
    for (const auto& cause : kCauses) {
      failures.samples.push_back(
          {static_cast<double>(backend->*cause.value), with(labels, "cause", cause.name)});
    }
  }
  out.push_back(std::move(up));
  add_reasons(out, shown);
  out.push_back(std::move(failures));
  out.push_back(std::move(turns));
}

void add_groups(std::vector<Metric>& out, const std::vector<Shown<proxy::GroupTotals>>& shown) {
  Metric made{"empalme_group_connections_total",
              "Connections made to backends of a group.",
              MetricType::kCounter,
              {}};
  Metric weights{"empalme_group_weight", "What it weighs now.", MetricType::kGauge, {}};
  Metric usable{"empalme_group_usable_backends",
                "Backends of a group that may be given connections; 0: the others have its share.",
                MetricType::kGauge,
                {}};
  for (const auto& [port, group] : shown) {
    const Labels labels = with(labels_of(*port), "group", group->name);
    made.samples.push_back({static_cast<double>(group->connections), labels});
    weights.samples.push_back({static_cast<double>(group->weight), labels});
    usable.samples.push_back({static_cast<double>(group->usable), labels});
  }
  for (Metric* each : {&made, &weights, &usable}) out.push_back(std::move(*each));
}

void add_ports(std::vector<Metric>& out, const Ports& ports) {
  for (const auto& row : kPortRows) {
    Metric metric{row.name, row.help, row.type, {}};
    for (const auto* port : ports) {
      metric.samples.push_back({static_cast<double>(port->*row.value), labels_of(*port)});
    }
    out.push_back(std::move(metric));
  }
  add_refusals(out, ports);
  add_ends(out, ports);
  add_histograms(out, ports);
}

using Shares = std::map<std::string_view, size_t>;

// Takes `budget` apart: in each round every service that wants more gets the same, the first ones
// one more at the end.
Shares deal(const Shares& wanted, size_t budget) {
  Shares out, open = wanted;
  while (!open.empty() && budget > 0) {
    const size_t each = std::max<size_t>(1, budget / open.size());
    for (auto service = open.begin(); service != open.end();) {
      const size_t given = std::min({each, service->second, budget});
      out[service->first] += given;
      budget -= given;
      service->second -= given;
      service = service->second == 0 ? open.erase(service) : std::next(service);
    }
  }
  return out;
}

Ports ports_to_show(const std::vector<proxy::PortTotals>& ports, size_t budget) {
  Shares wanted;
  for (const auto& port : ports) ++wanted[port.key];
  Shares shares = deal(wanted, budget);
  Ports out;
  for (const auto& port : ports) {
    size_t& left = shares[port.key];
    if (left == 0) continue;
    --left;
    out.push_back(&port);
  }
  return out;
}

template <class Member>
using Members = std::vector<Member> proxy::PortTotals::*;

template <class Member>
std::vector<Shown<Member>> members_to_show(const Ports& ports, Members<Member> members,
                                           size_t budget) {
  Shares wanted;
  for (const auto* port : ports) {
    const size_t count = (port->*members).size();
    if (count > 0) wanted[port->key] += count;
  }
  Shares shares = deal(wanted, budget);
  std::vector<Shown<Member>> out;
  for (const auto* port : ports) {
    size_t& left = shares[port->key];
    const size_t shown = std::min(left, (port->*members).size());
    for (size_t i = 0; i < shown; ++i) out.push_back({port, &(port->*members)[i]});
    left -= shown;
  }
  return out;
}

template <class Member>
size_t count(const std::vector<proxy::PortTotals>& ports, Members<Member> members) {
  size_t out = 0;
  for (const auto& port : ports) out += (port.*members).size();
  return out;
}

void add_left_out(std::vector<Metric>& out, const char* name, const char* help, size_t count) {
  out.push_back({name, help, MetricType::kGauge, {{static_cast<double>(count)}}});
}

}  // namespace

void add_service_metrics(std::vector<Metric>& out, const std::vector<proxy::PortTotals>& all,
                         SeriesLimits limits) {
  if (all.empty()) return;
  const Ports ports = ports_to_show(all, limits.ports);
  add_ports(out, ports);
  const auto backends = members_to_show(ports, &proxy::PortTotals::backends, limits.backends);
  const auto groups = members_to_show(ports, &proxy::PortTotals::groups, limits.groups);
  if (!backends.empty()) add_backends(out, backends);
  if (!groups.empty()) add_groups(out, groups);
  add_left_out(out, "empalme_dataplane_ports_without_series",
               "Ports of services whose series are left out because there are too many.",
               all.size() - ports.size());
  add_left_out(out, "empalme_dataplane_backends_without_series",
               "Backends whose series are left out because there are too many.",
               count(all, &proxy::PortTotals::backends) - backends.size());
  add_left_out(out, "empalme_dataplane_groups_without_series",
               "Groups of backends whose series are left out because there are too many.",
               count(all, &proxy::PortTotals::groups) - groups.size());
}

}  // namespace lb::dataplane
