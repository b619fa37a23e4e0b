// The byte path over several workers: what is served, opened, closed and handed from one to
// another.
//
// Owned and called by the control thread; what workers tell comes back there through
// DataPathOptions::post. Closing is seen through on every worker before anything opens, since a
// port may move between services. A step for which memory runs out is counted, and taken again each
// second or by the next apply(); apply(), set_drains() and drain() throw std::bad_alloc where they
// have not begun, and `done` is dropped uncalled when an apply, or a list of flows, cannot be
// finished. A listener that some worker has not taken over as it is planned, for want of memory of
// its own, is in failures() as "OutOfMemory", and that worker is told again each second. Listeners
// of one address and port share its door, which opens with the first of them and closes with the
// last. Up to `max_groups` doors have a socket on every worker; those above have one, and its
// connections go to the least loaded worker.
#pragma once

#include <atomic>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/proxy/chores.hpp"
#include "dataplane/proxy/data_path.hpp"
#include "dataplane/proxy/failed_listeners.hpp"
#include "dataplane/proxy/heirs.hpp"
#include "dataplane/proxy/listener_planner.hpp"
#include "dataplane/proxy/socket_handover.hpp"
#include "dataplane/proxy/spare_sources.hpp"
#include "dataplane/proxy/worker.hpp"

namespace lb::proxy {

class WorkerPool : public DataPath, public SocketHandover {
 public:
  explicit WorkerPool(DataPathOptions options);
  ~WorkerPool() override { stop(); }

  void apply(std::shared_ptr<const DesiredState> state,
             std::function<void(std::vector<Failure>)> done) override;
  std::vector<ServiceStatus> status() const override;
  std::vector<ServiceStatus> status_of(const std::set<std::string>& keys) const override;
  std::vector<Failure> failures() const override;
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
    int fd = -1;  // of the worker, until it is told to close the door
  };
  struct OpenDoor {
    bool grouped = true;  // a socket on every worker
    std::vector<OpenSocket> sockets = {};
    std::vector<unsigned> may_open = {};  // workers that add a socket; see TakenListener
    Begins begins = Begins::kNow;
    // By worker: the sockets on their way to it, until it takes them. Null or missing: none.
    std::vector<std::shared_ptr<std::vector<net::Fd>>> given = {};
  };
  struct Served {
    PlannedListener planned;
    bool whole = true;  // every worker was told of it
    // A worker has not done what it was told; set by that worker.
    std::shared_ptr<std::atomic<bool>> lost = std::make_shared<std::atomic<bool>>(false);
  };
  struct Barrier {
    Barrier(size_t workers, std::function<void()> then) : left(workers), next(std::move(then)) {}
    std::atomic<size_t> left;  // workers that have not come to it
    size_t posted = 0;         // workers that were told
    std::function<void()> next;
  };

  // Templates, for a std::function would have to be allocated before it is called.
  template <class Step>
  void or_in_doubt(const Step& step);
  template <class Step>
  void or_counted(const Step& step);
  std::set<ListenerId> plan(std::shared_ptr<const DesiredState> state);
  void finish_apply(const std::set<ListenerId>& touched,
                    const std::function<void(std::vector<Failure>)>& done);
  bool close_unwanted(const std::set<ListenerId>& touched);
  void close_left(const std::set<ListenerId>& touched);
  bool is_wanted(const ListenerId& id, const Served& served) const;
  bool door_stays(const ListenerId& door, Heirs& heirs) const;
  void close(const ListenerId& id, const Served& served);
  void forget(std::map<ListenerId, Served>::iterator served);
  void note_closing(const ListenerId& id, const Served& served);
  void forget_closed();
  std::vector<Failure> open_all(const std::set<ListenerId>& touched);
  Status open(const ListenerId& id, const PlannedListener& planned);
  Status open_again(const ListenerId& id, const PlannedListener& planned);
  Served& begin_serving(const ListenerId& id, Served served);
  Status probe(const ListenerId& id) const;
  void tell(const ListenerId& id, const Served& served);
  void tell(const ListenerId& id, const Served& served, unsigned worker);
  void give(OpenDoor& door, unsigned worker, net::Fd socket) const;
  void note_lost(std::atomic<bool>& lost);
  void update_or_lose(const ListenerId& id, Served& served, const PlannedListener& planned);
  void note_taken(const std::set<ListenerId>& touched);
  void look_for_lacking();
  void tell_lacking();
  bool forget_told();
  Status open_door(const ListenerId& id, const PlannedListener& planned);
  Status open_group(const ListenerId& id, const Served& served, OpenDoor& door);
  Status open_shared(const ListenerId& id, const Served& served, OpenDoor& door);
  std::pair<Served&, OpenDoor&> begin_door(const ListenerId& id, const PlannedListener& planned,
                                           bool grouped);
  void forget_door(const ListenerId& door);
  bool serves_at(const ListenerId& door) const;
  void take_door(const ListenerId& id, const PlannedListener& planned, TakenListener taken);
  bool add_socket(const ListenerId& id, const Served& served, OpenDoor& door, unsigned worker);
  Status update(const ListenerId& id, Served& served, const PlannedListener& planned);
  Status explained(const Status& status) const;

  bool pass_on(size_t from, const Endpoint& listener, int client);
  void ejected(const std::shared_ptr<BackendRecord>& backend, const Policy& policy);
  void tls_failed(const BackendRecord& backend, const char* reason);
  void move_dials(const std::shared_ptr<BackendRecord>& backend);
  void dial_waiting();
  void changed();
  void look_for_panic_soon();
  void look_for_panic();
  void look_for_panic_soon(std::set<ListenerId> among);
  void look_for_panic(const std::set<ListenerId>& among);
  void on_control(std::function<void()> task);
  void ask_for_pulse();
  void pulse();
  void sweep();
  void retry();
  void begin_drain();
  void begin_release();
  void tell_released();
  void await_drained();
  void look_again_soon();
  void barrier(std::function<void()> next);
  void post_barriers();
  void pass_barriers();
  void look_for_lost();
  void ask_unasked();
  ServiceStatus service_status(const Service& service) const;
  PortStatus port_status(const std::string& key, const ListenerId& id) const;

  const DataPathOptions options_;
  std::unique_ptr<Chores> chores_;
  const std::shared_ptr<SpareSources> spare_sources_;
  std::vector<std::unique_ptr<Worker>> workers_;
  ListenerPlanner planner_;
  std::atomic<uint64_t> readmissions_{0};
  std::atomic<uint64_t> passed_on_{0};
  bool applying_ = false;
  bool draining_ = false;
  bool in_doubt_ = false;  // what is served may not be what is planned
  std::list<std::shared_ptr<Barrier>> barriers_;
  std::optional<unsigned> drain_grace_ms_;  // of a drain that not every worker was told of
  std::vector<std::function<void()>> drained_;
  bool awaits_drained_ = false;
  std::function<void()> released_;  // to be told that the sockets are
  bool releasing_ = false;          // not every worker was told to
  bool awaits_released_ = false;    // every worker has, and nobody was told
  std::weak_ptr<bool> looking_;     // whether all has drained
  std::atomic<bool> pulse_due_{false};
  std::map<const BackendRecord*, std::weak_ptr<bool>> asking_;  // those that are out of use
  uint64_t memory_wants_ = 0;
  uint64_t wants_seen_ = 0;
  unsigned look_in_ = 0;  // pulses until lost things are looked for; 0: nothing is lost
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // until stop()
  const std::weak_ptr<bool> living_{alive_};
  std::set<std::pair<ListenerId, std::shared_ptr<ListenerCounts>>> closing_;  // by door
  std::shared_ptr<const DesiredState> state_;
  std::map<ListenerId, Served> serving_;
  std::map<ListenerId, OpenDoor> doors_;
  TakenListeners taken_;           // not in use yet
  size_t groups_ = 0;              // doors with a socket on every worker
  std::set<ListenerId> unopened_;  // wanted, but not served
  FailedListeners failed_;
  std::atomic<bool> any_lost_{false};  // some Served::lost was set
  std::set<ListenerId> lacking_;       // that some worker has not taken over as planned
  std::set<ListenerId> panicking_;
  bool panic_look_due_ = false;
};

// What an apply has changed for which memory ran out is uncertain: the next one looks at
// everything.
template <class Step>
void WorkerPool::or_in_doubt(const Step& step) {
  try {
    step();
  } catch (const std::bad_alloc&) {
    in_doubt_ = true;
    applying_ = draining_;
    throw;
  }
}

template <class Step>
void WorkerPool::or_counted(const Step& step) {
  try {
    step();
  } catch (const std::bad_alloc&) {
    ++memory_wants_;
  }
}

}  // namespace lb::proxy
