#include "controller/program.hpp"

#include <csignal>

#include "common/ops/log.hpp"
#include "common/ops/shutdown.hpp"
#include "controller/admin.hpp"
#include "controller/kube/http_client_cpprest.hpp"
#include "controller/metrics.hpp"

namespace lb::controller {
namespace {

constexpr int kBadInput = 2;

std::string joined(const std::vector<AddressRange>& pools) {
  std::string out;
  for (const auto& pool : pools) out += (out.empty() ? "" : ", ") + pool.to_string();
  return out;
}

}  // namespace

int Program::run() {
  std::signal(SIGPIPE, SIG_IGN);
  ops::set_log_level(ops::parse_level(config_.log_level));
  if (config_.check) return check();
  if (const auto ready = prepare(); !ready) {
    ops::log_error(ready.error());
    return 1;
  }
  ops::log(ops::Level::kInfo, "starting",
           {{"version", EMPALME_VERSION}, {"pools", joined(config_.pools)}});
  start();
  ops::Shutdown shutdown(io_, [this] { io_.stop(); });
  io_.run();
  end();
  return 0;
}

void Program::start() {
  if (writer_) writer_->start();
  reconciler_->start();
  if (lease_) {
    lease_->start();
  } else {
    if (secrets_) secrets_->lead(true);
    fleet_->start();
  }
  if (secrets_) secrets_->start();
  for (auto& source : sources_) source->start();
  if (pools_) pools_->start(), pool_reporter_->start(), certificates_->start();
}

int Program::check() const {
  if (config_.files.empty()) return 0;
  const auto sound = sources::FileSource::check(config_.files);
  if (sound) return 0;
  ops::log_error(sound.error());
  return kBadInput;
}

Status Program::prepare() {
  if (config_.kubernetes) {
    if (const auto connected = connect_to_cluster(); !connected) return connected;
  }
  Reconciler::Options options;
  options.settings = {config_.load_balancer_class, config_.claim_unclassed,
                      plan::finalizer_of(config_.load_balancer_class), config_.privileged};
  options.pools = config_.pools;
  options.await_pools = config_.kubernetes;
  if (config_.kubernetes) options.sources.insert("kubernetes/");
  if (!config_.files.empty()) options.sources.insert("file/");
  if (config_.docker) options.sources.insert("docker/");
  if (config_.consul.server) options.sources.insert("consul/");
  options.leading = config_.lease_name.empty();
  if (config_.kubernetes) {
    options.want_secrets = [this](const auto& names) { certificates_->want(names); };
  }
  options.on_held = [this](const DesiredState& state) {
    for (auto& source : sources_) source->held(state);
  };
  reconciler_ = std::make_unique<Reconciler>(io_, std::move(options), writer_.get());
  if (const auto made = make_fleet(); !made) return made;
  if (const auto known = load_docker_identity(); !known) return known;
  if (const auto known = load_consul_identity(); !known) return known;
  make_sources();
  make_lease();
  if (const auto open = open_admin(); !open) return open;
  return open_observe();
}

Status Program::make_fleet() {
  fleet_ = std::make_unique<Fleet>(io_, Publisher::Options{}, *reconciler_);
  reconciler_->set_fleet(*fleet_);
  if (config_.tls.all()) {
    auto tls = net::TlsIdentity::load(config_.tls, net::TlsRole::kClient, config_.tls_server_name);
    if (!tls) return tls.error();
    identity_ = std::move(tls).value();
  }
  if (!config_.tls_secret.empty()) make_secret_keeper();
  list_members();
  return Done{};
}

void Program::make_secret_keeper() {
  identity_ = net::TlsIdentity::unset(net::TlsRole::kClient, config_.tls_server_name);
  kube::SecretKeeper::Options options;
  options.make_client = make_client_;
  options.on_unauthorized = [c = credentials_] { c->refused(); };
  const size_t slash = config_.tls_secret.find('/');
  options.ns = config_.tls_secret.substr(0, slash);
  options.name = config_.tls_secret.substr(slash + 1);
  options.on_text = [this](net::TlsText text) {
    asio::post(io_, [this, text = std::move(text)] {
      const auto used = identity_->replace(text);
      if (!used) ops::log_error(used.error());
    });
  };
  secrets_ = std::make_unique<kube::SecretKeeper>(std::move(options));
}

// Those of the flags and those of the Service; one that is both is one.
void Program::list_members() {
  std::vector<Publisher::Target> out;
  std::set<Endpoint> given;
  for (const auto& address : config_.dataplanes) {
    const auto* tcp = std::get_if<Endpoint>(&address);
    if (tcp != nullptr) given.insert(*tcp);
    out.push_back({to_string(address), {address, tcp != nullptr ? identity_ : nullptr}});
  }
  for (const auto& [name, endpoint] : found_) {
    if (!given.contains(endpoint)) out.push_back({name, {endpoint, identity_}});
  }
  fleet_->list(std::move(out));
}

void Program::follow(const std::vector<plan::EndpointSliceObject>& slices) {
  auto found = discovered_.update(slices);
  if (found == found_) return;
  found_ = std::move(found);
  list_members();
}

Status Program::connect_to_cluster() {
  auto access = kube::find_access(config_.kubeconfig);
  if (!access) return access.error();
  if (const auto usable = kube::check_server(access->server); !usable) return usable;
  credentials_ = std::make_shared<kube::Credentials>(std::move(access).value());
  make_client_ = kube::counting(
      [credentials = credentials_] { return kube::make_cpprest_client(credentials, {}); },
      api_errors_);
  writer_ = std::make_unique<kube::ApiWriter>(
      kube::ApiWriter::Options{make_client_, [c = credentials_] { c->refused(); }});
  return Done{};
}

void Program::make_sources() {
  if (config_.kubernetes) make_kubernetes_source();
  if (config_.docker) make_docker_source();
  if (config_.consul.server) make_consul_source();
  if (!config_.files.empty()) {
    auto source = std::make_unique<sources::FileSource>(
        io_, sources::FileSource::Options{.paths = config_.files}, *reconciler_);
    files_.push_back(source.get());
    sources_.push_back(std::move(source));
  }
}

void Program::make_kubernetes_source() {
  sources::KubernetesSource::Options options{make_client_, [c = credentials_] { c->refused(); },
                                             /*watch_list=*/true};
  options.strict_endpoints = config_.strict_endpoints;
  if (const auto& service = config_.dataplane_service; !service.empty()) {
    options.followed = "kubernetes/" + service;
    options.on_followed = [this](const auto& slices) { follow(slices); };
  }
  auto source = std::make_unique<sources::KubernetesSource>(io_, std::move(options), *reconciler_);
  kubernetes_ = source.get();
  sources_.push_back(std::move(source));
  pools_ = std::make_unique<sources::AddressPoolSource>(
      io_, sources::AddressPoolSource::Options{make_client_, [c = credentials_] { c->refused(); }},
      *reconciler_);
  kube::SecretReader::Options secrets;
  secrets.make_client = make_client_;
  secrets.on_unauthorized = [c = credentials_] { c->refused(); };
  certificates_ = std::make_unique<sources::SecretFollower>(io_, std::move(secrets), *reconciler_);
  pool_reporter_ = std::make_unique<PoolReporter>(
      io_, PoolReporter::Options{[this] { return reconciler_->pool_statuses(); }}, *writer_);
}

Status Program::load_docker_identity() {
  if (!config_.docker_tls.all()) return Done{};
  auto tls = net::TlsIdentity::load(config_.docker_tls, net::TlsRole::kClient,
                                    config_.docker_tls_server_name);
  if (!tls) return tls.error();
  docker_identity_ = std::move(tls).value();
  return Done{};
}

void Program::make_docker_source() {
  auto source = std::make_unique<sources::DockerSource>(
      io_, sources::DockerSource::Options{.server = {*config_.docker, docker_identity_}},
      *reconciler_);
  docker_ = source.get();
  sources_.push_back(std::move(source));
}

Status Program::load_consul_identity() {
  const ConsulFlags& consul = config_.consul;
  if (!consul.https) return Done{};
  auto tls = net::TlsIdentity::load(consul.tls, net::TlsRole::kClient, consul.server_name);
  if (!tls) return tls.error();
  consul_identity_ = std::move(tls).value();
  return Done{};
}

void Program::make_consul_source() {
  const ConsulFlags& consul = config_.consul;
  auto source = std::make_unique<sources::ConsulSource>(
      io_,
      sources::ConsulSource::Options{.server = {*consul.server, consul_identity_},
                                     .token_file = consul.token_file,
                                     .datacenter = consul.datacenter},
      *reconciler_);
  consul_ = source.get();
  sources_.push_back(std::move(source));
}

void Program::make_lease() {
  if (config_.lease_name.empty()) return;
  kube::LeaseKeeper::Options options;
  options.make_client = kube::counting(
      [credentials = credentials_] {
        return kube::make_cpprest_client(credentials, {.request = kube::kLeaseRequest});
      },
      api_errors_);
  options.on_unauthorized = [c = credentials_] { c->refused(); };
  options.ns = config_.lease_namespace;
  options.name = config_.lease_name;
  options.election.identity = kube::lease_identity();
  options.on_leading = [this](std::optional<uint64_t> epoch) {
    asio::post(io_, [this, epoch] { lead(epoch); });
  };
  lease_ = std::make_unique<kube::LeaseKeeper>(std::move(options));
  fleet_->on_superseded = [this](uint64_t held_epoch) { outbid(held_epoch); };
}

// Whoever no longer leads takes nothing back: what is served goes on.
void Program::lead(std::optional<uint64_t> epoch) {
  leading_ = epoch.has_value();
  if (secrets_) secrets_->lead(leading_);
  if (pool_reporter_) pool_reporter_->forget();
  if (epoch) {
    ops::log(ops::Level::kInfo, "leading", {{"epoch", *epoch}});
    reconciler_->lead(true);
    return fleet_->start(epoch);
  }
  ops::log(ops::Level::kWarning, "no longer leading: standing by");
  fleet_->stop();
  reconciler_->lead(false);
}

// Either somebody else leads and we have not noticed, or the Lease was made anew with a younger
// date: only the Lease can tell.
void Program::outbid(uint64_t held_epoch) {
  lease_->recheck([this, held_epoch](bool leading) {
    if (!leading) return;
    asio::post(io_, [this, held_epoch] {
      if (!leading_) return;
      ops::log(ops::Level::kWarning,
               "a data plane holds a higher epoch than that of our Lease: going on above it",
               {{"held_epoch", held_epoch}, {"reason", "EpochRaised"}});
      fleet_->raise(held_epoch + 1);
    });
  });
}

Status Program::open_observe() {
  if (!config_.observe) return Done{};
  auto server = net::HttpServer::start(
      io_, net::observe_options(*config_.observe),
      [this](const auto& request, auto respond) { respond(observe(request)); });
  if (!server) return server.error();
  observe_server_ = std::move(server).value();
  return Done{};
}

Status Program::open_admin() {
  auto server = net::HttpServer::start(
      io_, {.listen = config_.admin, .body_limit = {}}, [this](const auto& request, auto respond) {
        const Leader elsewhere =
            lease_ && !leading_ ? Leader(lease_->other_holder()) : std::nullopt;
        respond(answer_admin(
            request, *reconciler_, *fleet_,
            [this](const net::HttpRequest& asked) { return observe(asked); }, elsewhere));
      });
  if (server) {
    admin_server_ = std::move(server).value();
  } else if (config_.admin_given) {
    return server.error();
  } else {
    ops::log(ops::Level::kWarning,
             "no admin socket, so empalme explain cannot ask: " + server.error().message,
             {{"reason", server.error().code}});
  }
  return Done{};
}

net::HttpResponse Program::observe(const net::HttpRequest& request) {
  if (request.method != "GET" && request.method != "HEAD") {
    return net::text_response(405, "GET only\n");
  }
  if (request.target == "/healthz") return net::text_response(200, "ok\n");
  if (request.target == "/readyz") return readiness();
  if (request.target != "/metrics") return net::text_response(404, "no such page\n");
  return net::metrics_response(metrics_text_.get());
}

net::HttpResponse Program::readiness() const {
  if (lease_ && !leading_) {
    return net::text_response(200, "ok, standing by for " + lease_->other_holder() + "\n");
  }
  if (fleet_->superseded()) {
    return net::text_response(503, "another controller publishes to this data plane\n");
  }
  if (!fleet_->contacted()) return net::text_response(503, "no data plane heard yet\n");
  if (!reconciler_->ready()) return net::text_response(503, "sources have not synced yet\n");
  std::string stale;
  for (const auto& [source, why] : reconciler_->stale_sources()) {
    stale += (stale.empty() ? "" : ", ") + source;
  }
  return net::text_response(200, stale.empty() ? "ok\n" : "ok, but stale: " + stale + "\n");
}

std::string Program::metrics() const {
  Metrics out;
  out.push_back({"empalme_build_info",
                 "Version of this program.",
                 ops::MetricType::kGauge,
                 {{1, {{"program", "controller"}, {"version", EMPALME_VERSION}}}}});
  add_reconciler_metrics(out, *reconciler_);
  add_fleet_metrics(out, *fleet_);
  if (lease_) add_lease_metrics(out, lease_->counters());
  if (secrets_) add_secret_metrics(out, secrets_->counters(), *identity_);
  if (writer_) add_writer_metrics(out, writer_->counters());
  if (writer_) add_api_error_metrics(out, *api_errors_);
  if (kubernetes_ != nullptr) {
    add_reflector_metrics(out, {&kubernetes_->reflectors(), &pools_->reflectors()});
  }
  add_pool_metrics(out, reconciler_->allocator());
  if (certificates_) add_certificate_metrics(out, *certificates_);
  if (pool_reporter_) add_pool_status_metrics(out, pool_reporter_->counters());
  if (!files_.empty()) add_file_metrics(out, files_);
  if (docker_ != nullptr) add_docker_metrics(out, *docker_);
  if (consul_ != nullptr) add_consul_metrics(out, *consul_);
  if (observe_server_) add_server_metrics(out, observe_server_->counters());
  return ops::metrics_text(out);
}

// What is served goes on without us: nothing is taken back here.
void Program::end() {
  ops::log(ops::Level::kInfo, "stopping");
  if (observe_server_) observe_server_->stop();
  if (admin_server_) admin_server_->stop();
  for (auto& source : sources_) source->stop();
  if (pools_) pools_->stop(), pool_reporter_->stop(), certificates_->stop();
  if (writer_) writer_->stop();
  if (secrets_) secrets_->stop();
  fleet_->stop();
  reconciler_->stop();
  // Last, so that whoever leads next finds nobody at work.
  if (lease_) lease_->stop();
}

}  // namespace lb::controller
