#include "dataplane/program.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>
#include <sstream>

#include "common/model/state_json.hpp"
#include "common/model/support.hpp"
#include "common/net/descriptors.hpp"
#include "common/net/interfaces.hpp"
#include "common/ops/log.hpp"
#include "common/ops/utc_time.hpp"
#include "dataplane/event_log.hpp"
#include "dataplane/flows_json.hpp"
#include "dataplane/listen_queue.hpp"
#include "dataplane/not_here.hpp"
#include "dataplane/service_metrics.hpp"
#include "dataplane/shared_addresses.hpp"

namespace lb::dataplane {
namespace {

std::set<IpAddress> local_addresses() {
  std::set<IpAddress> out;
  for (const auto& each : net::interface_addresses()) out.insert(each.address);
  return out;
}

// Backends must never lead back to us (design: an endless loop, or a way into the admin API).
OwnSockets own_sockets(const Config& config) {
  OwnSockets out{{}, local_addresses()};
  if (const auto* endpoint = std::get_if<Endpoint>(&config.admin)) out.tcp.insert(*endpoint);
  if (config.observe) out.tcp.insert(*config.observe);
  return out;
}

// New with every start, so that a reader notices a restart.
std::string new_instance() {
  std::random_device random;
  std::ostringstream out;
  out << std::hex << random() << random();
  return out.str();
}

// For the state that comes with the flags only: one that was saved, or taken over, may be out of
// date and is no reason not to start.
Status check_spare_sources(const Config& config, const DesiredState& state) {
  if (config.announce == Announce::kNone) return Done{};
  for (const auto& service : state.services) {
    for (const auto& address : service.addresses) {
      if (std::count(config.spare_sources.begin(), config.spare_sources.end(), address) == 0) {
        continue;
      }
      return Error{"SpareSources", "--spare-sources has " + address.to_string() +
                                       ", which is announced for " + service.key + ": see " +
                                       config.state_file};
    }
  }
  return Done{};
}

}  // namespace

int Program::run() {
  descriptors_ = proxy::share_descriptors(net::raise_descriptor_limit(), config_.workers);
  std::signal(SIGPIPE, SIG_IGN);  // splice(2) to a closed socket has no MSG_NOSIGNAL
  ops::set_log_level(ops::parse_level(config_.log_level));
  for (const auto& missing : not_here(config_)) log_missing(missing);
  std::optional<ops::Shutdown> shutdown;
  if (const auto started = start(shutdown); !started) {
    give_up(started.error());
    return exit_code_;
  }
  run_handlers();
  end();
  return exit_code_;
}

// Threads, event loops and signals throw when the system has none for them.
Status Program::start(std::optional<ops::Shutdown>& shutdown) try {
  if (const auto ready = prepare(); !ready) return ready;
  auto state = first_state();
  if (!state) return state.error();
  shutdown.emplace(io_, [this] { begin_end(); });
  serve(std::move(state).value());
  return Done{};
} catch (const std::exception& error) {
  return Error{"Start", "cannot start with " + std::to_string(descriptors_.limit) +
                            " descriptors (ulimit -n) and " + std::to_string(config_.workers) +
                            " workers: " + error.what()};
}

// A request or a check for which memory is lacking fails; the rest goes on.
void Program::run_handlers() {
  for (;;) {
    try {
      io_.run();
      return;
    } catch (const std::bad_alloc&) {
      ++memory_wants_;
    }
  }
}

Status Program::prepare() {
  if (const auto taken = take_over(); !taken) return taken;
  if (const auto opened = open_store(); !opened) return opened;
  auto certificates = open_certificates(config_, book_, ops::log_error);
  if (!certificates) return certificates.error();
  certificates_ = std::move(certificates).value();
  if (const auto opened = open_path(); !opened) return opened;
  drains_ = std::make_unique<Drains>(config_.state_dir, ops::log_error);
  use_taken_drains();
  path_->set_drains(drains_->all(), [] {});
  coordinator_ = std::make_unique<Coordinator>(
      *path_, own_sockets(config_),
      [this](auto held) {
        carried_.keep_only(*held);
        if (store_ && !taken_) store_->save(std::move(held));
      },
      local_addresses);
  watch_addresses();
  admin_ = std::make_unique<Admin>(AdminParts{
      io_, *coordinator_, *path_, [this] { return metrics_text_.get(); }, served_features(),
      new_instance(), *drains_, *certificates_, [this] { return handoff_ && handoff_->busy(); }});
  if (config_.tls.all()) {
    auto loaded =
        net::TlsIdentity::load(config_.tls, net::TlsRole::kServer, config_.tls_client_name);
    if (!loaded) return loaded.error();
    tls_ = std::move(loaded).value();
  }
  // Those of a process that hands over to us stand in the way until it has.
  return taken_ ? Status(Done{}) : open_servers();
}

// Without it addresses are looked at only when the state changes.
void Program::watch_addresses() {
  auto watch = AddressWatch::open(io_, [this] {
    if (!ending_ && !handed_over_) coordinator_->addresses_changed();
  });
  if (!watch) return ops::log_error(watch.error());
  address_watch_ = std::move(watch).value();
}

Status Program::open_store() {
  if (config_.state_dir.empty()) return Done{};
  auto store = StateStore::open(
      {.folder = config_.state_dir, .report = ops::log_error, .lock = taken_lock()});
  if (!store) return store.error();
  store_ = std::move(store).value();
  return Done{};
}

Status Program::open_path() {
  const bool announcing = config_.announce != Announce::kNone;
  if (config_.log_connections != 0) flow_log_ = std::make_unique<FlowLog>(STDOUT_FILENO);
  path_ = proxy::make_data_path(
      {.workers = config_.workers,
       .announcing = announcing,
       .zone = config_.zone,
       .descriptors = descriptors_,
       .spare_sources = config_.spare_sources,
       .post = [this](std::function<void()> task) { asio::post(io_, std::move(task)); },
       .certificates = book_,
       .on_close = [this](const proxy::FlowRecord& record) { log_flow(record); },
       .log_each = config_.log_connections,
       .on_ejection = log_ejection,
       .on_tls_failure = log_tls_failure,
       .on_panic = log_panic,
       .on_source = log_source,
       .on_change = [this] { path_changed(); },
       .on_pulse = [this] { on_pulse(); }});
  handover_ = path_->handover();
  use_taken_sockets();
  auto checked = std::make_unique<CheckedPath>(
      io_, std::move(path_),
      [this](const auto& backend, const auto& verdict) {
        log_health(backend, verdict);
        if (admin_) admin_->notify(backend.key);
      },
      descriptors_.upkeep);
  checked_ = checked.get();
  path_ = std::move(checked);
  if (!announcing) return Done{};
  auto announcer = make_announcer();
  if (!announcer) return announcer.error();
  auto announced =
      std::make_unique<AnnouncedPath>(io_, std::move(path_), std::move(announcer).value());
  announced_ = announced.get();
  path_ = std::move(announced);
  return Done{};
}

// On a worker's thread, in the middle of the end of a connection.
void Program::log_flow(const proxy::FlowRecord& record) noexcept {
  try {
    flow_log_->write(encode_flow_record(record, ops::utc_milliseconds()));
  } catch (const std::bad_alloc&) {
    flow_log_->drop();
  }
}

void Program::path_changed() {
  if (announced_ != nullptr) announced_->path_changed();
  if (admin_) admin_->notify();
}

void Program::make_filter() {
  filter_ = std::make_unique<announce::PacketFilter>([this](Error error) {
    asio::post(io_, [this, error = std::move(error)] {
      if (link_announcer_ != nullptr) link_announcer_->count_filter_failure();
      if (vrrp_announcer_ != nullptr) vrrp_announcer_->count_filter_failure();
      ops::log_error(error);
    });
  });
}

void Program::set_filter(const std::vector<announce::Vip>& vips, std::function<void()> in_force) {
  filter_->set(vips, [this, in_force = std::move(in_force)] { asio::post(io_, in_force); });
}

Result<std::unique_ptr<announce::Announcer>> Program::make_announcer() {
  make_filter();
  if (config_.announce != Announce::kVrrp) return make_link_announcer();
  auto out = open_shared_addresses(
      io_, config_,
      [this](const auto& vips, auto in_force) { set_filter(vips, std::move(in_force)); },
      taken_.has_value());
  if (!out) return out.error();
  vrrp_announcer_ = out->get();
  return std::unique_ptr<announce::Announcer>(std::move(out).value());
}

std::unique_ptr<announce::Announcer> Program::make_link_announcer() {
  announce::LinkAnnouncerOptions options;
  options.set_filter = [this](const auto& vips, std::function<void()> in_force) {
    set_filter(vips, std::move(in_force));
  };
  options.report = ops::log_error;
  options.on_change = [this] { path_changed(); };
  const std::string interface =
      config_.announce == Announce::kAuto ? std::string("auto") : config_.interface;
  auto out = std::make_unique<announce::LinkAnnouncer>(
      io_, announce::make_link_layer(io_, interface), std::move(options));
  link_announcer_ = out.get();
  return out;
}

Status Program::open_servers() {
  if (!admin_server_) {
    auto admin = net::HttpServer::start(
        io_, {.listen = config_.admin, .body_limit = Admin::body_limit, .tls = tls_},
        [this](const auto& request, auto respond) { admin_->handle(request, std::move(respond)); });
    if (!admin) return admin.error();
    admin_server_ = std::move(admin).value();
  }
  if (!config_.observe || observe_server_) return Done{};
  auto observe = net::HttpServer::start(
      io_, net::observe_options(*config_.observe),
      [this](const auto& request, auto respond) { admin_->observe(request, std::move(respond)); });
  if (!observe) return observe.error();
  observe_server_ = std::move(observe).value();
  return Done{};
}

// What the running process has is newer than what a file says.
Result<DesiredState> Program::first_state() {
  if (taken_) return decode_state(taken_->state);
  if (config_.state_file.empty()) {
    return (store_ ? store_->load() : std::nullopt).value_or(DesiredState{});
  }
  std::ifstream file(config_.state_file, std::ios::binary);
  if (!file) return Error{"StateFile", config_.state_file + ": " + std::strerror(errno)};
  auto state = decode_state(std::string(std::istreambuf_iterator<char>(file), {}));
  if (state) {
    if (const auto apart = check_spare_sources(config_, *state); !apart) return apart.error();
    return state;
  }
  Error error = state.error();
  error.message = config_.state_file + ": " + error.message;
  return error;
}

void Program::serve(DesiredState state) {
  coordinator_->put(std::move(state),
                    [this](const Result<ApplyResult>& answer) { first_applied(answer); });
}

void Program::first_applied(const Result<ApplyResult>& answer) {
  if (ending_) return;
  if (!answer && taken_) {
    give_up(answer.error());
    return;
  }
  if (!answer) return ops::log_error(answer.error());
  for (const auto& failure : answer->failed) {
    ops::log(ops::Level::kWarning, failure.message,
             {{"service", failure.key},
              {"listener", Endpoint{failure.address, failure.port}.to_string()},
              {"reason", failure.reason}});
  }
  if (taken_) {
    if (!confirm()) return;
    open_when_free();
  } else if (const auto opened = open_handoff(); !opened) {
    give_up(opened.error());
    return;
  }
  ops::log(ops::Level::kInfo, "serving",
           {{"version", EMPALME_VERSION},
            {"admin", to_string(admin_server_ ? admin_server_->local() : config_.admin)},
            {"services", coordinator_->held()->services.size()},
            {"descriptors", uint64_t(descriptors_.limit)},
            {"kept_back", uint64_t(descriptors_.reserve())},
            {"failed", answer->failed.size()}});
}

// Addresses are held and renewed while the last connections drain; those that another data plane
// can take are handed over first.
void Program::begin_end() {
  ops::log(ops::Level::kInfo, "stopping", {{"drain_seconds", config_.drain_s}});
  // Then only the connections' time gets shorter.
  if (handed_over_) return path_->drain(config_.drain_s * 1000, [] {});
  if (!end_due_ && handoff_ && handoff_->busy()) return end_after_handoff();
  end_unless_handed_over();
}

void Program::end_unless_handed_over() {
  if (std::exchange(ending_, true)) return;
  retry_.cancel();
  handoff_.reset();
  if (taken_) {
    give_up({"Stopping", "ended by a signal"});
    return;
  }
  admin_->stop();
  if (vrrp_announcer_ != nullptr) vrrp_announcer_->give_up();
  path_->drain(config_.drain_s * 1000, [this] { io_.stop(); });
}

void Program::end() {
  path_->stop();
  if (flow_log_) flow_log_->stop();
  if (filter_ && !left_network_) filter_->stop();
  if (store_) store_->stop();
  if (observe_server_) observe_server_->stop();
  if (admin_server_) admin_server_->stop();
}

proxy::DataPathCounters Program::own_counters() const {
  auto out = path_->counters();
  out.no_memory += memory_wants_ + coordinator_->memory_wants();
  if (filter_) out.no_memory += filter_->memory_wants();
  for (const auto* server : {admin_server_.get(), observe_server_.get()}) {
    if (server != nullptr) out.no_memory += server->counters().no_memory;
  }
  return out;
}

std::string Program::metrics() const {
  Metrics out;
  out.push_back({"empalme_build_info",
                 "Version of this program.",
                 ops::MetricType::kGauge,
                 {{1, {{"program", "dataplane"}, {"version", EMPALME_VERSION}}}}});
  add_path_metrics(out, carried_.with(own_counters()));
  add_queue_metrics(out, listen_overflows());
  add_watch_metrics(out, address_watch_ != nullptr);
  add_descriptor_metrics(out, descriptors_, net::open_descriptors());
  add_service_metrics(out, carried_.with(path_->totals()));
  add_handoff_metrics(out);
  add_check_metrics(out, carried_.with(checked_->check_counters()));
  add_message_metrics(out, ops::lost_messages());
  if (flow_log_) add_log_metrics(out, *flow_log_);
  add_state_metrics(out, *coordinator_, admin_->refusals());
  if (store_) add_store_metrics(out, *store_);
  add_certificate_metrics(out, *certificates_);
  if (announced_ != nullptr) {
    add_announce_metrics(out, announced_->announce_counters(), announced_->announced().size());
  }
  if (vrrp_announcer_ != nullptr) add_vrrp_metrics(out, *vrrp_announcer_);
  std::map<std::string, net::HttpServerCounters> servers;
  if (admin_server_) servers["admin"] = admin_server_->counters();
  if (observe_server_) servers["observe"] = observe_server_->counters();
  add_server_metrics(out, servers);
  return ops::metrics_text(out);
}

}  // namespace lb::dataplane
