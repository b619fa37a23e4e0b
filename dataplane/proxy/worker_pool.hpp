// The byte path over several workers: what is served, opened, closed and handed from one to
// another.
//
// Owned and called by the control thread; what workers tell comes back there through
// DataPathOptions::post. Closing is seen through on every worker before anything opens, since a
// port may move between services. Up to `max_groups` listeners have a socket on every worker; those
// above have one, and its connections go to the least loaded worker.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/proxy/chores.hpp"
#include "dataplane/proxy/data_path.hpp"
#include "dataplane/proxy/listener_planner.hpp"
#include "dataplane/proxy/socket_handover.hpp"
#include "dataplane/proxy/worker.hpp"

namespace lb::proxy {

class WorkerPool : public DataPath, public SocketHandover {
 public:
  explicit WorkerPool(DataPathOptions options);
  ~WorkerPool() override { stop(); }

  void apply(std::shared_ptr<const DesiredState> state,
             std::function<void(std::vector<Failure>)> done) override;
  std::vector<ServiceStatus> status() const override;
  std::vector<Failure> failures() const override { return failed_; }
  DataPathCounters counters() const override;
  std::set<IpAddress> addresses_in_use() const override;
  std::set<ListenerId> listening() const override;
  void set_drains(std::set<Drain> drains, std::function<void()> done) override;
  void flows(FlowFilter filter, std::function<void(std::vector<Flow>)> done) override;
  void kill(uint64_t id, std::function<void(bool)> done) override;
  std::vector<PortTotals> totals() const override;
  void set_health(const BackendId& backend, Health health, std::string reason) override;
  void avoid_sources(const std::set<IpAddress>& ours) override;
  void drain(unsigned grace_ms, std::function<void()> done) override;
  void stop() override;

  SocketHandover* handover() override { return this; }
  std::vector<ListenerSocket> sockets() const override;
  void release_sockets(std::function<void()> done) override;
  void take(TakenListeners taken) override { taken_ = std::move(taken); }
  size_t start_taken() override;

 private:
  struct OpenSocket {
    unsigned worker = 0;
    int fd = -1;  // of the worker, until it is told to close the listener
  };
  struct Served {
    PlannedListener planned;
    bool grouped = true;  // a socket on every worker
    std::vector<OpenSocket> sockets = {};
    std::vector<unsigned> may_open = {};  // workers that add a socket; see TakenListener
  };

  bool close_unwanted(const std::set<ListenerId>& touched);
  void close(const ListenerId& id, const Served& served);
  void note_closing(const ListenerId& id, const Served& served);
  std::vector<Failure> open_all(const std::set<ListenerId>& touched);
  Status open(const ListenerId& id, const PlannedListener& planned);
  Status probe(const ListenerId& id) const;
  Status open_group(const ListenerId& id, Served& served);
  Status open_shared(const ListenerId& id, Served& served);
  void add_taken(const ListenerId& id, Served& served, TakenListener taken);
  bool add_socket(const ListenerId& id, Served& served, unsigned worker);
  Status update(const ListenerId& id, Served& served, const PlannedListener& planned);
  Status explained(const Status& status) const;

  bool pass_on(size_t from, const Endpoint& listener, int client);
  void ejected(const std::shared_ptr<BackendRecord>& backend, const Policy& policy);
  void move_dials(const std::shared_ptr<BackendRecord>& backend);
  void dial_waiting();
  void changed();
  void look_for_panic_soon();
  void look_for_panic();
  void on_control(std::function<void()> task);
  void sweep_later();
  void sweep();
  void retry_later();
  void retry();
  void await_drained(const std::function<void()>& done);
  void barrier(std::function<void()> next);
  PortStatus port_status(const std::string& key, const ListenerId& id) const;

  const DataPathOptions options_;
  std::unique_ptr<Chores> chores_ = std::make_unique<Chores>(options_.descriptors.upkeep);
  std::vector<std::unique_ptr<Worker>> workers_;
  ListenerPlanner planner_;
  std::atomic<uint64_t> readmissions_{0};
  std::atomic<uint64_t> passed_on_{0};
  bool applying_ = false;
  bool draining_ = false;
  bool retrying_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // until stop()
  const std::weak_ptr<bool> living_{alive_};
  std::vector<std::pair<ListenerId, std::shared_ptr<ListenerCounts>>> closing_;
  std::shared_ptr<const DesiredState> state_;
  std::map<ListenerId, Served> serving_;
  TakenListeners taken_;           // not in use yet
  size_t groups_ = 0;              // listeners that serve with a socket on every worker
  std::set<ListenerId> unopened_;  // wanted, but not served
  std::vector<Failure> failed_;
  std::set<ListenerId> panicking_;
  bool panic_look_due_ = false;
};

}  // namespace lb::proxy
