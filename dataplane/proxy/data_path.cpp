#include "dataplane/proxy/data_path.hpp"

#include <algorithm>
#include <atomic>
#include <map>
#include <tuple>

#include "dataplane/proxy/sockets.hpp"
#include "dataplane/proxy/support.hpp"
#include "dataplane/proxy/worker.hpp"

namespace lb::proxy {
namespace {

struct Wanted {
  std::string key;
  std::shared_ptr<const ListenerConfig> config;
};

constexpr std::chrono::milliseconds kRetry{1'000};
constexpr std::chrono::milliseconds kDrainCheck{10};

using RecordKey = std::tuple<std::string, uint16_t, Endpoint>;

class WorkerPool : public DataPath {
 public:
  explicit WorkerPool(DataPathOptions options) : options_(std::move(options)) {
    for (unsigned i = 0; i < std::max(1U, options_.workers); ++i) {
      workers_.push_back(std::make_unique<Worker>(i, [this](auto backend, const Policy& policy) {
        options_.post([this, backend = std::move(backend), policy] { ejected(backend, policy); });
      }));
    }
  }

  void apply(std::shared_ptr<const DesiredState> state,
             std::function<void(std::vector<Failure>)> done) override {
    if (draining_) return done({});
    auto failed = std::make_shared<std::vector<Failure>>();
    auto wanted = collect(*state, *failed);
    state_ = std::move(state);
    applying_ = true;
    for (const auto& [address, held] : serving_) {
      if (!wanted.contains(address)) close(address, held);
    }
    // Closing is seen through before anything opens: a port may move between services.
    barrier([this, wanted = std::move(wanted), failed, done = std::move(done)] {
      open_all(wanted, *failed);
      barrier([this, failed, done] {
        failed_ = *failed;
        applying_ = false;
        retry_later();
        done(*failed);
      });
    });
  }

  std::vector<ServiceStatus> status() const override {
    std::vector<ServiceStatus> out;
    if (!state_) return out;
    for (const auto& service : state_->services) {
      ServiceStatus each{service.key, {}};
      for (const auto& address : service.addresses) {
        for (const auto& port : service.ports) {
          each.ports.push_back(port_status(service.key, {address, port.port}, port.protocol));
        }
      }
      out.push_back(std::move(each));
    }
    return out;
  }

  DataPathCounters counters() const override {
    DataPathCounters sum;
    for (const auto& worker : workers_) add_counters(sum, worker->counters());
    sum.active = sum.accepted - sum.closed;
    sum.readmissions = readmissions_;
    return sum;
  }

  std::set<IpAddress> addresses_in_use() const override {
    std::set<IpAddress> out;
    for (const auto& [address, held] : serving_) out.insert(address.address);
    for (const auto& [address, counts] : closing_) {
      if (counts->connections > 0) out.insert(address);
    }
    return out;
  }

  void drain(unsigned grace_ms, std::function<void()> done) override {
    draining_ = applying_ = true;  // nothing is opened again
    for (const auto& [address, held] : serving_) note_closing(address, held);
    serving_.clear();
    for (const auto& worker : workers_) {
      worker->post([grace_ms](RelayEngine& engine) { engine.drain(grace_ms); });
    }
    barrier([this, done = std::move(done)] { await_drained(done); });
  }

  void stop() override { workers_.clear(); }

 private:
  static void add_counters(DataPathCounters& sum, const EngineCounters& from) {
    // Closed first: read the other way round, the difference could be below zero.
    sum.closed += from.closed;
    sum.accepted += from.accepted;
    sum.bytes_in += from.bytes_in;
    sum.bytes_out += from.bytes_out;
    sum.splice_bytes += from.spliced;
    sum.copy_bytes += from.copied;
    sum.dials += from.dials;
    sum.connect_refused += from.refused;
    sum.connect_timeouts += from.connect_timeouts;
    sum.connect_errors += from.connect_errors;
    sum.retries += from.retries;
    sum.no_backend += from.no_backend;
    sum.resets_from_client += from.resets_from_client;
    sum.resets_from_backend += from.resets_from_backend;
    sum.drain_resets += from.drain_resets;
    sum.ejections += from.ejections;
    sum.dead_peers += from.dead_peers;
    sum.source_refused += from.source_refused;
    sum.idle_timeouts += from.idle_timeouts;
    sum.accept_paused += from.accept_paused;
    sum.pipe_fallbacks += from.pipe_fallbacks;
    sum.client_gone_while_dialling += from.client_gone;
  }

  static Failure failure(const std::string& key, const Endpoint& where, Protocol protocol,
                         const Error& error) {
    return {key, where.address, where.port, protocol, "", error.code, error.message};
  }

  std::map<Endpoint, Wanted> collect(const DesiredState& state, std::vector<Failure>& failed) {
    std::map<Endpoint, Wanted> out;
    for (const auto& service : state.services) {
      for (const auto& address : service.addresses) {
        for (const auto& port : service.ports) {
          const Endpoint where{address, port.port};
          if (const auto why = unsupported(port)) {
            failed.push_back(failure(service.key, where, port.protocol, {"Unsupported", *why}));
          } else if (!out.emplace(where, Wanted{service.key, config(service, port, where)})
                          .second) {
            failed.push_back(failure(service.key, where, port.protocol,
                                     {"Conflict", where.to_string() + " is another service's"}));
          }
        }
      }
    }
    return out;
  }

  // A listener uses backends of its own family, and the other family only when it has none.
  std::shared_ptr<const ListenerConfig> config(const Service& service, const ServicePort& port,
                                               const Endpoint& where) {
    auto out = std::make_shared<ListenerConfig>();
    out->address = where;
    if (const auto held = serving_.find(where); held != serving_.end()) {
      out->counts = held->second.config->counts;
    }
    out->policy = port.policy;
    const Family family = where.address.family();
    const bool own = std::any_of(port.backends.begin(), port.backends.end(),
                                 [&](const Backend& b) { return b.address.family() == family; });
    for (const auto& backend : port.backends) {
      if (own && backend.address.family() != family) continue;
      out->candidates.push_back({.weight = backend.weight, .state = backend.state});
      out->records.push_back(record({service.key, port.port, backend.endpoint()}));
    }
    return out;
  }

  std::shared_ptr<BackendRecord> record(const RecordKey& key) {
    auto& known = records_[key];
    auto held = known.lock();
    if (!held) known = held = std::make_shared<BackendRecord>(std::get<2>(key));
    return held;
  }

  void note_closing(const Endpoint& address, const Wanted& held) {
    std::erase_if(closing_, [](const auto& each) { return each.second->connections == 0; });
    closing_.emplace_back(address.address, held.config->counts);
  }

  // The engines end what is left when its time is up, so this ends too.
  void await_drained(const std::function<void()>& done) {
    const bool left = std::any_of(closing_.begin(), closing_.end(),
                                  [](const auto& each) { return each.second->connections > 0; });
    if (!left) return done();
    workers_.front()->after(kDrainCheck,
                            [this, done] { options_.post([this, done] { await_drained(done); }); });
  }

  // Every worker moves what waits for it elsewhere; one asks whether it is back.
  void ejected(const std::shared_ptr<BackendRecord>& backend, const Policy& policy) {
    for (const auto& worker : workers_) {
      worker->post([backend](RelayEngine& engine) { engine.move_dials(backend); });
    }
    if (workers_.empty()) return;
    workers_.front()->readmit(backend,
                              {.pause = std::chrono::seconds(std::max(1U, policy.ejection.seconds)),
                               .timeout = std::chrono::milliseconds(policy.connect_timeout_ms),
                               .readmitted = [this] { ++readmissions_; }});
  }

  // A port that was taken may be free by now.
  void retry_later() {
    const bool any = std::any_of(failed_.begin(), failed_.end(), retryable);
    if (!any || retrying_ || workers_.empty()) return;
    retrying_ = true;
    workers_.front()->after(kRetry, [this] {
      options_.post([this] {
        retrying_ = false;
        if (!applying_) retry();
      });
    });
  }

  static bool retryable(const Failure& failure) {
    return failure.reason != "Unsupported" && failure.reason != "Conflict";
  }

  void retry() {
    std::vector<Failure> still;
    auto wanted = collect(*state_, still);
    for (const auto& failure : failed_) {
      const Endpoint where{failure.address, failure.port};
      const auto found = wanted.find(where);
      if (!retryable(failure) || found == wanted.end()) continue;
      const auto opened = open(where, found->second.config);
      if (opened) {
        serving_[where] = found->second;
      } else {
        still.push_back(WorkerPool::failure(failure.key, where, Protocol::kTcp, opened.error()));
      }
    }
    failed_ = std::move(still);
    retry_later();
  }

  void close(const Endpoint& address, const Wanted& held) {
    note_closing(address, held);
    for (const auto& worker : workers_) {
      worker->post([address](RelayEngine& engine) { engine.remove_listener(address); });
    }
  }

  void open_all(const std::map<Endpoint, Wanted>& wanted, std::vector<Failure>& failed) {
    std::erase_if(serving_, [&](const auto& held) { return !wanted.contains(held.first); });
    std::erase_if(records_, [](const auto& record) { return record.second.expired(); });
    for (const auto& [address, each] : wanted) {
      if (serving_.contains(address)) {
        serving_[address] = each;
        update(each.config);
      } else if (const auto opened = open(address, each.config); opened) {
        serving_[address] = each;
      } else {
        failed.push_back(failure(each.key, address, Protocol::kTcp, opened.error()));
      }
    }
  }

  void update(const std::shared_ptr<const ListenerConfig>& config) {
    for (const auto& worker : workers_) {
      worker->post([config](RelayEngine& engine) { engine.update_listener(config); });
    }
  }

  // On a node whose addresses we make, whoever has the port is the node.
  Status explained(const Status& status) const {
    Error error = status.error();
    if (options_.announcing && error.code == "AddressInUse") error.code = "PortTakenOnNode";
    return error;
  }

  Status open(const Endpoint& address, const std::shared_ptr<const ListenerConfig>& config) {
    if (const auto free = probe_port(address, options_.announcing); !free) return explained(free);
    std::vector<std::shared_ptr<net::Fd>> sockets;
    for (size_t i = 0; i < workers_.size(); ++i) {
      auto opened = open_listener(address, options_.announcing);
      if (!opened) return explained(opened.error());
      sockets.push_back(std::make_shared<net::Fd>(std::move(opened).value()));
    }
    for (size_t i = 0; i < workers_.size(); ++i) {
      workers_[i]->post([socket = sockets[i], config](RelayEngine& engine) {
        engine.add_listener(std::move(*socket), config);
      });
    }
    return Done{};
  }

  // Runs `next` on the control thread once every worker has done what was posted before.
  void barrier(std::function<void()> next) {
    auto left = std::make_shared<std::atomic<size_t>>(workers_.size());
    for (const auto& worker : workers_) {
      worker->post([this, left, next](RelayEngine&) {
        if (left->fetch_sub(1) == 1) options_.post(next);
      });
    }
  }

  PortStatus port_status(const std::string& key, const Endpoint& where, Protocol protocol) const {
    PortStatus out{where.address, where.port, protocol, false, "", 0, {}};
    const auto held = serving_.find(where);
    out.programmed = held != serving_.end() && held->second.key == key;
    for (const auto& failed : failed_) {
      if (failed.key == key && failed.address == where.address && failed.port == where.port) {
        out.reason = failed.reason;
      }
    }
    if (!out.programmed) return out;
    out.reason.clear();
    out.connections = held->second.config->counts->connections;
    for (const auto& backend : held->second.config->records) {
      const Ejection ejection = backend->ejected;
      out.backends.push_back(
          {backend->endpoint, backend->out(), reason(ejection), backend->connections});
    }
    return out;
  }

  static const char* reason(Ejection ejection) {
    if (ejection == Ejection::kNone) return "";
    return ejection == Ejection::kRefused ? "Refused" : "Timeout";
  }

  const DataPathOptions options_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::atomic<uint64_t> readmissions_{0};
  bool applying_ = false;
  bool draining_ = false;
  bool retrying_ = false;
  std::vector<std::pair<IpAddress, std::shared_ptr<ListenerCounts>>> closing_;
  std::shared_ptr<const DesiredState> state_;
  std::map<Endpoint, Wanted> serving_;
  std::map<RecordKey, std::weak_ptr<BackendRecord>> records_;
  std::vector<Failure> failed_;
};

}  // namespace

std::unique_ptr<DataPath> make_data_path(DataPathOptions options) {
  return std::make_unique<WorkerPool>(std::move(options));
}

}  // namespace lb::proxy
