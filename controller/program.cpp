#include "controller/program.hpp"

#include <csignal>

#include "common/ops/log.hpp"
#include "common/ops/shutdown.hpp"
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
  if (writer_) writer_->start();
  reconciler_->start();
  fleet_->start();
  for (auto& source : sources_) source->start();
  ops::Shutdown shutdown(io_, [this] { io_.stop(); });
  io_.run();
  end();
  return 0;
}

int Program::check() const {
  for (const auto& file : config_.files) {
    const auto sound = sources::FileSource::check(file);
    if (sound) continue;
    ops::log_error(sound.error());
    return kBadInput;
  }
  return 0;
}

Status Program::prepare() {
  if (config_.kubernetes) {
    if (const auto connected = connect_to_cluster(); !connected) return connected;
  }
  Reconciler::Options options;
  options.settings = {config_.load_balancer_class, config_.claim_unclassed,
                      plan::finalizer_of(config_.load_balancer_class)};
  options.pools = config_.pools;
  if (config_.kubernetes) options.sources.insert("kubernetes/");
  if (!config_.files.empty()) options.sources.insert("file/");
  options.on_held = [this](const DesiredState& state) {
    for (auto& source : sources_) source->held(state);
  };
  reconciler_ = std::make_unique<Reconciler>(io_, std::move(options), writer_.get());
  fleet_ = std::make_unique<Fleet>(io_, Publisher::Options{}, *reconciler_);
  reconciler_->set_fleet(*fleet_);
  auto members = dataplanes();
  if (!members) return members.error();
  fleet_->list(std::move(members).value());
  make_sources();
  return open_observe();
}

Result<std::vector<Publisher::Target>> Program::dataplanes() const {
  std::shared_ptr<net::TlsIdentity> identity;
  if (config_.tls.all()) {
    auto tls = net::TlsIdentity::load(config_.tls, net::TlsRole::kClient, config_.tls_server_name);
    if (!tls) return tls.error();
    identity = std::move(tls).value();
  }
  std::vector<Publisher::Target> out;
  for (const auto& address : config_.dataplanes) {
    const bool tcp = std::holds_alternative<Endpoint>(address);
    out.push_back({to_string(address), {address, tcp ? identity : nullptr}});
  }
  return out;
}

Status Program::connect_to_cluster() {
  auto access = kube::find_access(config_.kubeconfig);
  if (!access) return access.error();
  if (const auto usable = kube::check_server(access->server); !usable) return usable;
  credentials_ = std::make_shared<kube::Credentials>(std::move(access).value());
  make_client_ = [credentials = credentials_] {
    return kube::make_cpprest_client(credentials, {});
  };
  writer_ = std::make_unique<kube::ApiWriter>(
      kube::ApiWriter::Options{make_client_, [c = credentials_] { c->refused(); }});
  return Done{};
}

void Program::make_sources() {
  if (config_.kubernetes) {
    auto source = std::make_unique<sources::KubernetesSource>(
        io_, sources::KubernetesSource::Options{make_client_, [c = credentials_] { c->refused(); }},
        *reconciler_);
    kubernetes_ = source.get();
    sources_.push_back(std::move(source));
  }
  for (const auto& file : config_.files) {
    auto source = std::make_unique<sources::FileSource>(
        io_, sources::FileSource::Options{.path = file}, *reconciler_);
    files_.push_back(source.get());
    sources_.push_back(std::move(source));
  }
}

Status Program::open_observe() {
  if (!config_.observe) return Done{};
  auto server = net::HttpServer::start(
      io_, {.listen = *config_.observe, .body_limit = {}},
      [this](const auto& request, auto respond) { observe(request, std::move(respond)); });
  if (!server) return server.error();
  observe_server_ = std::move(server).value();
  return Done{};
}

void Program::observe(const net::HttpRequest& request, net::HttpServer::Respond respond) const {
  if (request.method != "GET" && request.method != "HEAD") {
    return respond(net::text_response(405, "GET only\n"));
  }
  if (request.target == "/healthz") return respond(net::text_response(200, "ok\n"));
  if (request.target == "/readyz") return respond(readiness());
  if (request.target != "/metrics") return respond(net::text_response(404, "no such page\n"));
  auto out = net::text_response(200, metrics());
  out.headers = {{"Content-Type", "text/plain; version=0.0.4; charset=utf-8"}};
  respond(std::move(out));
}

net::HttpResponse Program::readiness() const {
  if (fleet_->superseded()) {
    return net::text_response(503, "another controller publishes to this data plane\n");
  }
  if (!fleet_->contacted()) return net::text_response(503, "no data plane heard yet\n");
  if (!reconciler_->ready()) return net::text_response(503, "sources have not synced yet\n");
  const auto stale = reconciler_->stale_sources();
  return net::text_response(200,
                            stale == 0 ? "ok\n" : "ok, but stale: " + std::to_string(stale) + "\n");
}

std::string Program::metrics() const {
  Metrics out;
  out.push_back({"empalme_build_info",
                 "Version of this program.",
                 ops::MetricType::kGauge,
                 {{1, {{"program", "controller"}, {"version", EMPALME_VERSION}}}}});
  add_reconciler_metrics(out, *reconciler_);
  add_fleet_metrics(out, *fleet_);
  if (writer_) add_writer_metrics(out, writer_->counters());
  if (kubernetes_ != nullptr) add_reflector_metrics(out, kubernetes_->reflectors());
  if (!files_.empty()) add_file_metrics(out, files_);
  if (observe_server_) add_server_metrics(out, observe_server_->counters());
  return ops::metrics_text(out);
}

// What is served goes on without us: nothing is taken back here.
void Program::end() {
  ops::log(ops::Level::kInfo, "stopping");
  if (observe_server_) observe_server_->stop();
  for (auto& source : sources_) source->stop();
  if (writer_) writer_->stop();
  fleet_->stop();
  reconciler_->stop();
}

}  // namespace lb::controller
