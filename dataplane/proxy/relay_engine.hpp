// The relay of one worker: one edge-triggered epoll(7) set with all its listeners and sessions.
//
// Owned by a Worker and used on its thread only, except counters(), which any thread may read
// (relaxed). Knows no event loop: whoever owns descriptor() calls poll() when it is readable and
// tick() at next_tick(). Nothing throws across an event.
#pragma once

#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <new>
#include <vector>

#include "dataplane/proxy/descriptor_line.hpp"
#include "dataplane/proxy/dial_ports.hpp"
#include "dataplane/proxy/memory_trim.hpp"
#include "dataplane/proxy/pick_inputs.hpp"
#include "dataplane/proxy/session.hpp"

namespace lb::proxy {

// One writer each (the worker), read when scraped.
struct EngineCounters {
  std::atomic<uint64_t> accepted{0}, closed{0}, bytes_in{0}, bytes_out{0}, dials{0}, refused{0},
      connect_timeouts{0}, connect_errors{0}, retries{0}, no_backend{0}, resets_from_client{0},
      resets_from_backend{0}, drain_resets{0}, idle_timeouts{0}, accept_paused{0}, client_gone{0},
      copied{0}, spliced{0}, pipe_fallbacks{0}, ejections{0}, dead_peers{0}, source_refused{0},
      killed{0}, limit_refused{0}, proxy_headers_refused{0};
  // Wants of ours, nobody's fault.
  std::atomic<uint64_t> no_port{0}, no_descriptor{0}, no_memory{0}, spare_source_dials{0};
  std::atomic<uint64_t> pipes{0};  // now
  std::atomic<uint64_t> memory_trims{0};
};

// What every watched socket of a session waits for, once and for all.
inline constexpr uint32_t kSessionEvents = EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | EPOLLET;

// What an engine tells, and asks, on its worker's thread.
struct EngineHooks {
  // This engine has ejected the backend.
  std::function<void(std::shared_ptr<BackendRecord>, const Policy&)> on_eject;
  // Somebody less loaded takes this connection of a listener with one socket; false: nobody.
  std::function<bool(const Endpoint& listener, int client)> pass_on;
  // A connection that is logged is over.
  std::function<void(const FlowRecord&)> on_close = {};
  uint32_t log_each = 0;                      // every how many-th connection is logged; 0: none
  int descriptor_line = INT_MAX;              // see descriptor_line.hpp
  std::vector<IpAddress> spare_sources = {};  // see dial_ports.hpp
};

// Whether every worker has a socket of a listener, or only one of them.
enum class Sharing : uint8_t { kOwnSocket, kOneSocket };

class RelayEngine {
 public:
  explicit RelayEngine(size_t worker_index, EngineHooks hooks = {});
  ~RelayEngine();

  int descriptor() const { return epoll_.get(); }
  const EngineCounters& counters() const { return counters_; }

  // `fd` is invalid on a worker that is only handed connections.
  void add_listener(net::Fd fd, std::shared_ptr<const ListenerConfig> config,
                    Sharing sharing = Sharing::kOwnSocket);
  // Serves a connection that another worker has accepted.
  void adopt(const Endpoint& listener, net::Fd client);
  void update_listener(std::shared_ptr<const ListenerConfig> config);
  void remove_listener(const Endpoint& address);
  // Takes what has connected, nothing new; what is open has `grace_ms` at most.
  void drain(uint64_t grace_ms);
  // Dials that wait for this backend go to another one, where there is another.
  void move_dials(const std::shared_ptr<BackendRecord>& backend);
  void reset_everything();

  // Handles what is ready; false when nothing was.
  bool poll();
  void tick();
  // When tick() is next worth calling: steady_clock in ms, UINT64_MAX for not at all.
  uint64_t next_tick() const {
    uint64_t next = std::min(wheel_.wake_at(), trim_.due_at());
    for (const auto& paused : paused_) next = std::min(next, paused.first);
    return next;
  }
  size_t sessions() const { return live_; }
  void list_flows(const FlowFilter& filter, std::vector<Flow>& out);
  // Resets both ends; false: no such connection here.
  bool kill(uint64_t id);
  // Some have used up their turn: poll() again although nothing is ready.
  bool has_queued() const { return !queue_.empty(); }
  // Something that was posted here could not be done.
  void note_lack_of_memory() { add(counters_.no_memory); }

 private:
  using Listener = std::shared_ptr<LiveListener>;

  void watch_listener(const LiveListener& listener);
  bool accept_from(const Listener& listener);
  void accepted(const Listener& listener, int client);
  void adopt_late(const Endpoint& address, net::Fd client);
  void welcome(const Listener& listener, int client);
  void let_in(const Listener& listener, net::Fd& client);
  static void turn_away(net::Fd& client);
  bool admit(const LiveListener& listener, SessionDetails& details);
  void begin(const Listener& listener, net::Fd& client, std::unique_ptr<SessionDetails> details,
             bool speaks_for_others = false);
  Session& enlist(const Listener& listener, net::Fd& client,
                  std::unique_ptr<SessionDetails> details);
  void start(Session& session, bool speaks_for_others);
  void continue_greeting(Session& session);
  void greeting_failed(Session& session);
  bool introduce(Session& session);
  static void leave(Session& session);
  void dial_next(Session& session);
  int pick(Session& session);
  int remembered(const Session& session);
  static std::optional<IpAddress> client_address(const Session& session);
  bool has_another(const Session& session);
  void note_failure(Session& session, int error);
  bool dial(Session& session, std::shared_ptr<BackendRecord> backend);
  void dial_failed(Session& session, int error);
  void connected(Session& session);
  void give_up(Session& session);

  std::atomic<uint64_t>* own_want(int error);
  bool another_may_do(int error);
  void pause(const Listener& listener);
  void resume_early();
  void lack(Session& session);
  void lack_memory(Session& session);
  bool watch(int fd, uint64_t tag, uint32_t events);
  void tell_ejection(const Session& session);
  void tell_end(const Session& session);
  void give_memory_back();
  // Runs what happens to a session; for want of memory that one ends, and nothing else.
  template <class Handler>
  void guarded(Session& session, const Handler& handler) {
    try {
      handler();
    } catch (const std::bad_alloc&) {
      lack_memory(session);
    }
  }

  void on_event(Session& session, int side, uint32_t events);
  void on_dialling_event(Session& session, int side, uint32_t events);
  void note_bytes(Session& session, int direction, uint64_t bytes);
  void run(Session& session, int direction);
  void on_end(Session& session, int direction);
  void on_failure(Session& session, int dead_side);
  void continue_reset(Session& session);
  void end_both(Session& session);
  void continue_lingering(Session& session);
  void release_counts(Session& session);
  void log_session(Session& session);
  void note_tried(Session& session);
  BackendStats& stats_of(const Session& session) const;
  uint64_t flow_id(const Session& session) const;
  Flow describe(const Session& session) const;
  static void end_for(Session& session, EndReason reason);
  void record_end(const Session& session);
  void on_timer(Session& session);
  void look_after(Session& session);
  void refresh_clock();
  void close_listener(const Listener& listener, uint64_t grace_ms);
  void limit_sessions(const LiveListener& listener, uint64_t grace_ms);
  void rearm(Session& session);
  void reset_both(Session& session);
  void finish(Session& session);
  void release_backend(Session& session);
  void run_queued();
  void bury();

  EngineCounters counters_;
  net::Fd epoll_;
  size_t worker_index_;
  const EngineHooks hooks_;
  uint64_t now_;
  TimerWheel wheel_;
  PickInputs pick_inputs_;
  RelayResources resources_;
  DescriptorLine line_;
  DialPorts ports_;
  MemoryTrim trim_;
  std::map<Endpoint, Listener> listeners_;
  std::map<LiveListener*, Listener> by_pointer_;
  std::vector<Listener> closed_;  // with connections that still drain
  std::vector<std::pair<uint64_t, Listener>> paused_;
  std::vector<Session*> queue_;
  Session* dead_ = nullptr;  // linked by TimerEntry::next: dying must not need memory
  size_t live_ = 0;
  int dial_error_ = 0;  // of the latest dial that failed at once
  uint64_t serial_ = 0;
};

}  // namespace lb::proxy
