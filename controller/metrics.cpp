#include "controller/metrics.hpp"

namespace lb::controller {
namespace {

constexpr char kPrefix[] = "empalme_controller_";

void add(Metrics& out, const char* name, const char* help, ops::MetricType type, uint64_t value) {
  out.push_back(
      {std::string(kPrefix) + name, std::string(help) + ".", type, {{static_cast<double>(value)}}});
}

void counter(Metrics& out, const char* name, const char* help, uint64_t value) {
  add(out, name, help, ops::MetricType::kCounter, value);
}

double number(uint64_t value) { return static_cast<double>(value); }

void gauge(Metrics& out, const char* name, const char* help, uint64_t value) {
  add(out, name, help, ops::MetricType::kGauge, value);
}

}  // namespace

static void add_stale_sources(Metrics& out, const Reconciler& reconciler) {
  ops::Metric stale{std::string(kPrefix) + "source_stale",
                    "1: the source cannot be followed now.",
                    ops::MetricType::kGauge,
                    {}};
  for (const auto& [source, why] : reconciler.stale_sources()) {
    stale.samples.push_back({1, {{"source", source}}});
  }
  if (!stale.samples.empty()) out.push_back(std::move(stale));
}

void add_reconciler_metrics(Metrics& out, const Reconciler& reconciler) {
  const auto& counters = reconciler.counters();
  const auto usage = reconciler.usage();
  counter(out, "plans_total", "Services planned", counters.plans);
  counter(out, "patches_total", "Writes to Services", counters.patches);
  counter(out, "patch_conflicts_total", "Writes that met a newer Service",
          counters.patch_conflicts);
  counter(out, "patch_failures_total", "Writes that were refused", counters.patch_failures);
  counter(out, "events_total", "Events sent", counters.events);
  gauge(out, "services", "Services known", reconciler.world().services.size());
  gauge(out, "services_pending", "Services that wait to be planned", reconciler.pending());
  gauge(out, "sources_stale", "Sources that cannot be followed now",
        reconciler.stale_sources().size());
  add_stale_sources(out, reconciler);
  gauge(out, "addresses_assigned", "Addresses in use", usage.assigned);
  gauge(out, "addresses_quarantined", "Addresses that rest after use", usage.quarantined);
  gauge(out, "addresses_conflicting", "Addresses that another host answers for", usage.conflicts);
  gauge(out, "services_waiting", "Services without an address", usage.waiting);
  gauge(out, "certificates_awaited", "Certificates that Services wait for",
        reconciler.world().awaited_certificates.size());
  counter(out, "certificates_given_up_total", "Certificates that were not waited for any longer",
          counters.certificates_given_up);
  uint64_t unfit = 0, hopeless = 0;
  for (const auto& [key, view] : reconciler.world().health) {
    unfit += view.ready - view.usable;
    hopeless += view.hopeless() ? 1 : 0;
  }
  gauge(out, "backends_unfit", "Ready backends that a data plane finds down or has left out",
        unfit);
  gauge(out, "services_without_fit_backend", "Services all of whose ready backends are unfit",
        hopeless);
  ops::Metric problems{std::string(kPrefix) + "problems",
                       "What is not as asked, by reason, over all Services.",
                       ops::MetricType::kGauge,
                       {}};
  for (const auto& [reason, count] : reconciler.problems()) {
    problems.samples.push_back({static_cast<double>(count), {{"reason", reason}}});
  }
  if (!problems.samples.empty()) out.push_back(std::move(problems));
}

// One row for each data plane.
static void add_member_rows(Metrics& out, const Fleet& fleet) {
  struct Row {
    const char* name;
    const char* help;
    ops::MetricType type;
    double (*value)(const Publisher&);
  };
  using enum ops::MetricType;
  static const Row kRows[] = {
      {"puts_total", "Whole states sent", kCounter,
       [](const Publisher& p) { return number(p.counters().puts); }},
      {"state_patches_total", "Changes sent", kCounter,
       [](const Publisher& p) { return number(p.counters().patches); }},
      {"acknowledged_total", "Answers that everything is applied", kCounter,
       [](const Publisher& p) { return number(p.counters().acknowledged); }},
      {"state_conflicts_total", "States that the data plane found outdated", kCounter,
       [](const Publisher& p) { return number(p.counters().conflicts); }},
      {"state_refused_total", "States that the data plane refused", kCounter,
       [](const Publisher& p) { return number(p.counters().refused); }},
      {"dataplane_errors_total", "Times the data plane could not be reached", kCounter,
       [](const Publisher& p) { return number(p.counters().errors); }},
      {"certificates_pushed_total", "Certificates that it was given", kCounter,
       [](const Publisher& p) { return number(p.certificate_counters().pushed); }},
      {"certificates_refused_total", "Certificates that it refused, each time", kCounter,
       [](const Publisher& p) { return number(p.certificate_counters().refused); }},
      {"certificates_removed_total", "Certificates taken away, since nobody names them", kCounter,
       [](const Publisher& p) { return number(p.certificate_counters().removed); }},
      {"certificate_lists_total", "Times it was asked which certificates it has", kCounter,
       [](const Publisher& p) { return number(p.certificate_counters().lists); }},
      {"dataplane_answers", "1: the data plane answers", kGauge,
       [](const Publisher& p) { return p.reach() == plan::Reach::kAnswers ? 1.0 : 0.0; }},
      {"superseded", "1: another controller publishes with a higher epoch", kGauge,
       [](const Publisher& p) { return p.superseded() ? 1.0 : 0.0; }},
      {"sync_age_seconds", "How long it may not have held what is wanted; 0: it does", kGauge,
       [](const Publisher& p) { return p.times().age(std::chrono::steady_clock::now()).count(); }},
      {"state_epoch", "Epoch of what is acknowledged", kGauge,
       [](const Publisher& p) { return number(p.version().epoch); }},
      {"state_generation", "Generation of what is acknowledged", kGauge,
       [](const Publisher& p) { return number(p.version().generation); }},
  };
  for (const Row& row : kRows) {
    ops::Metric metric{std::string(kPrefix) + row.name, std::string(row.help) + ".", row.type, {}};
    for (const auto& [name, member] : fleet.members()) {
      metric.samples.push_back({row.value(*member), {{"dataplane", name}}});
    }
    if (!metric.samples.empty()) out.push_back(std::move(metric));
  }
}

static void add_repairs(Metrics& out, const Fleet& fleet) {
  ops::Metric metric{std::string(kPrefix) + "repairs_total",
                     "Whole states for a data plane that does not hold what it acknowledged.",
                     ops::MetricType::kCounter,
                     {}};
  for (const auto& [name, member] : fleet.members()) {
    const auto& counters = member->counters();
    metric.samples.push_back(
        {number(counters.repairs_restarted), {{"dataplane", name}, {"cause", "restarted"}}});
    metric.samples.push_back(
        {number(counters.repairs_differing), {{"dataplane", name}, {"cause", "differs"}}});
  }
  if (!metric.samples.empty()) out.push_back(std::move(metric));
}

static void add_publish_times(Metrics& out, const Fleet& fleet) {
  ops::Metric metric{std::string(kPrefix) + "publish_seconds",
                     "From a change of what is wanted to the acknowledgement.",
                     ops::MetricType::kHistogram,
                     {}};
  for (const auto& [name, member] : fleet.members()) {
    metric.histograms.push_back(member->times().histogram());
    metric.histograms.back().labels = {{"dataplane", name}};
  }
  if (!metric.histograms.empty()) out.push_back(std::move(metric));
}

void add_fleet_metrics(Metrics& out, const Fleet& fleet) {
  gauge(out, "dataplanes", "Data planes that are published to", fleet.members().size());
  gauge(out, "dataplanes_answering", "Those of them that answer", fleet.answering());
  add_member_rows(out, fleet);
  add_repairs(out, fleet);
  add_publish_times(out, fleet);
}

void add_lease_metrics(Metrics& out, const kube::LeaseCounters& counters) {
  gauge(out, "leading", "1: this controller holds the Lease", counters.leading ? 1 : 0);
  gauge(out, "lease_transitions", "Times the Lease changed hands", counters.transitions);
  counter(out, "lease_taken_total", "Times this controller began to lead", counters.taken);
  counter(out, "lease_lost_total", "Times it ceased to", counters.lost);
  counter(out, "lease_renewals_total", "Writes of the Lease that succeeded", counters.renewals);
  counter(out, "lease_failures_total", "Reads and writes of the Lease that failed",
          counters.failures);
}

void add_certificate_metrics(Metrics& out, const sources::SecretFollower& follower) {
  const auto& counters = follower.counters();
  const auto& certificates = follower.certificates();
  gauge(out, "secret_certificates", "Certificates of Secrets that Services name",
        certificates.size());
  gauge(out, "secret_certificates_in_trouble",
        "Those whose Secret cannot be read or used: the last good one is kept, if any",
        certificates.troubles().size());
  counter(out, "secret_reads_total", "Secrets that Services name, read", counters.reads);
  counter(out, "secret_read_failures_total", "Reads of them that failed", counters.failures);
}

void add_secret_metrics(Metrics& out, const kube::SecretCounters& counters,
                        const net::TlsIdentity& identity) {
  counter(out, "tls_secret_reads_total", "Secrets with certificates read", counters.reads);
  counter(out, "tls_secret_writes_total", "Secrets with certificates made or renewed",
          counters.writes);
  counter(out, "tls_secret_conflicts_total", "Writes of them that met a newer version",
          counters.conflicts);
  counter(out, "tls_secret_failures_total", "Reads and writes of them that failed",
          counters.failures);
  gauge(out, "tls_authority_lost", "1: the Secret that signs is gone, and nothing is renewed",
        counters.authority_lost ? 1 : 0);
  counter(out, "tls_reloads_total", "Certificates taken into use", identity.reloads());
  counter(out, "tls_reload_failures_total", "Certificates that could not be used",
          identity.reload_failures());
}

void add_writer_metrics(Metrics& out, const kube::ApiWriterCounters& counters) {
  counter(out, "api_writes_total", "Writes tried", counters.calls);
  counter(out, "api_write_retries_total", "Writes tried again", counters.retries);
  counter(out, "api_writes_refused_total", "Writes answered with 4xx", counters.refused);
  counter(out, "api_writes_replaced_total", "Writes that a newer one replaced", counters.replaced);
  counter(out, "api_writes_dropped_total",
          "Writes dropped: events of which too many waited, or what a leadership that ended left",
          counters.dropped);
}

void add_api_error_metrics(Metrics& out, const kube::ApiErrors& errors) {
  ops::Metric metric{std::string(kPrefix) + "api_errors_total",
                     "Requests to the API server without the answer that was hoped for, by kind.",
                     ops::MetricType::kCounter,
                     {}};
  for (size_t kind = 0; kind < kube::ApiErrors::kKinds.size(); ++kind) {
    metric.samples.push_back({number(errors.of(kind)), {{"kind", kube::ApiErrors::kKinds[kind]}}});
  }
  out.push_back(std::move(metric));
}

void add_server_metrics(Metrics& out, const net::HttpServerCounters& observe) {
  for (const auto& row : net::http_server_metrics()) {
    out.push_back({std::string(kPrefix) + row.name,
                   std::string(row.help) + ".",
                   ops::MetricType::kCounter,
                   {{static_cast<double>(observe.*row.value), {{"server", "observe"}}}}});
  }
}

void add_file_metrics(Metrics& out, const std::vector<const sources::FileSource*>& files) {
  uint64_t errors = 0, failures = 0, unresolved = 0;
  uint64_t certificates = 0, bad = 0, certificate_errors = 0;
  for (const auto* file : files) {
    errors += file->errors();
    failures += file->resolve_failures();
    unresolved += file->unresolved();
    certificates += file->certificates().all().size();
    bad += file->certificates().troubles().size();
    certificate_errors += file->certificate_errors();
  }
  counter(out, "file_errors_total", "Times a file could not be read or was wrong", errors);
  counter(out, "name_failures_total", "Questions for a backend's name that failed", failures);
  gauge(out, "names_unresolved", "Names of backends without an answer now", unresolved);
  gauge(out, "file_certificates", "Certificates that files name", certificates);
  gauge(out, "file_certificates_kept", "Those whose files are bad: the last good one is kept", bad);
  counter(out, "file_certificate_errors_total", "Times the files of a certificate went bad",
          certificate_errors);
}

void add_consul_metrics(Metrics& out, const sources::ConsulSource& consul) {
  const auto& counters = consul.counters();
  gauge(out, "consul_services", "Services of Consul that are followed", consul.services());
  gauge(out, "consul_instances", "Instances of these", consul.instances());
  counter(out, "consul_catalogues_total", "Catalogues read", counters.catalogues);
  counter(out, "consul_reads_total", "Answers about one service", counters.reads);
  counter(out, "consul_index_resets_total", "Indexes of Consul's that went backwards",
          counters.resets);
  counter(out, "consul_errors_total", "Times Consul could not be followed", counters.errors);
  counter(out, "consul_unread_total", "Instances that could not be read, each time",
          counters.unread);
  counter(out, "consul_doubts_total", "Times losses were not believed for a while",
          counters.doubts);
}

void add_docker_metrics(Metrics& out, const sources::DockerSource& docker) {
  const auto& counters = docker.counters();
  gauge(out, "docker_containers", "Containers that ask to be served", docker.containers());
  counter(out, "docker_events_total", "Events about containers", counters.events);
  counter(out, "docker_lists_total", "Lists of all containers taken", counters.lists);
  counter(out, "docker_reads_total", "Single containers asked for", counters.reads);
  counter(out, "docker_errors_total", "Times the Docker daemon could not be followed",
          counters.errors);
  counter(out, "docker_unread_total", "Containers that could not be read, each time",
          counters.unread);
}

void add_pool_status_metrics(Metrics& out, const PoolReporterCounters& counters) {
  counter(out, "pool_status_writes_total", "Writes of the status of AddressPools", counters.writes);
  counter(out, "pool_status_failures_total", "Those that were refused", counters.failures);
}

void add_pool_metrics(Metrics& out, const plan::Allocator& allocator) {
  ops::Metric capacity{std::string(kPrefix) + "pool_capacity",
                       "Addresses that each pool has, 2^53 - 1 at most.",
                       ops::MetricType::kGauge,
                       {}};
  for (const auto& pool : allocator.pools().all()) {
    capacity.samples.push_back({number(plan::capacity_of(pool.ranges)), {{"pool", pool.name}}});
  }
  if (!capacity.samples.empty()) out.push_back(std::move(capacity));
  ops::Metric metric{std::string(kPrefix) + "pool_addresses",
                     "Addresses of each pool by state; pool \"\" is what is kept outside all.",
                     ops::MetricType::kGauge,
                     {}};
  for (const auto& [pool, usage] : allocator.usage_by_pool()) {
    const std::pair<const char*, size_t> states[] = {{"assigned", usage.assigned},
                                                     {"quarantined", usage.quarantined},
                                                     {"conflict", usage.conflicts}};
    for (const auto& [state, count] : states) {
      metric.samples.push_back({static_cast<double>(count), {{"pool", pool}, {"state", state}}});
    }
  }
  if (!metric.samples.empty()) out.push_back(std::move(metric));
}

void add_reflector_metrics(Metrics& out, const std::vector<const Reflectors*>& sources) {
  using Counters = kube::ReflectorCounters;
  struct Row {
    const char* name;
    const char* help;
    std::atomic<uint64_t> Counters::*value;
  };
  constexpr Row kRows[] = {
      {"lists_total", "Lists asked for", &Counters::lists},
      {"watches_total", "Watches opened", &Counters::watches},
      {"watch_lists_total", "Beginnings that came through the watch", &Counters::watch_lists},
      {"watch_events_total", "Events received", &Counters::events},
      {"watch_errors_total", "Lists and watches that failed", &Counters::errors},
      {"watch_gone_total", "Versions that had expired", &Counters::gone},
      {"watch_bad_events_total", "Events that could not be read", &Counters::bad_events},
  };
  for (const Row& row : kRows) {
    ops::Metric metric{std::string(kPrefix) + row.name,
                       std::string(row.help) + ".",
                       ops::MetricType::kCounter,
                       {}};
    for (const Reflectors* source : sources) {
      for (const auto& reflector : *source) {
        const auto value = (reflector->counters().*row.value).load();
        metric.samples.push_back({static_cast<double>(value), {{"resource", reflector->path()}}});
      }
    }
    out.push_back(std::move(metric));
  }
}

}  // namespace lb::controller
