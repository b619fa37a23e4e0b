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
#include <optional>
#include <span>
#include <vector>

#include "dataplane/proxy/descriptor_line.hpp"
#include "dataplane/proxy/dial_ports.hpp"
#include "dataplane/proxy/door.hpp"
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
      killed{0}, limit_refused{0}, proxy_headers_refused{0}, client_hellos_refused{0}, unrouted{0},
      instant_resets{0}, replays{0}, keep_overflows{0}, hedges{0}, hedges_won{0}, waits{0},
      wait_timeouts{0}, wait_overflows{0}, wait_gone{0}, untuned{0}, stalls{0};
  // TLS that ends here: handshakes done, of these resumed ones; those refused, and why.
  std::atomic<uint64_t> tls_handshakes{0}, tls_resumed{0}, tls_unknown_names{0}, tls_no_protocol{0},
      tls_client_certificates_refused{0}, tls_timeouts{0}, tls_refused{0}, tls_overflows{0};
  std::atomic<uint64_t> tls_cut_off{0};  // ends of clients by FIN only
  // TLS towards backends: the same, and connects that failed for it.
  std::atomic<uint64_t> backend_tls_handshakes{0}, backend_tls_resumed{0}, backend_tls_failures{0},
      backend_tls_unverified{0}, backend_tls_timeouts{0}, backend_tls_cut_off{0};
  // Wants of ours, nobody's fault.
  std::atomic<uint64_t> no_port{0}, no_descriptor{0}, no_memory{0}, spare_source_dials{0};
  std::atomic<uint64_t> pipes{0};  // now
  std::atomic<uint64_t> memory_trims{0};
  std::atomic<uint64_t> late_resets{0};  // handed over when their listener was gone already
  std::atomic<uint64_t> unwatched{0};    // times that a door could not be listened at
};

// What every watched socket of a session waits for, once and for all.
inline constexpr uint32_t kSessionEvents = EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | EPOLLET;

// What an engine tells, and asks, on its worker's thread.
struct EngineHooks {
  // This engine has ejected the backend.
  std::function<void(std::shared_ptr<BackendRecord>, const Policy&)> on_eject;
  // TLS with the backend has failed, for a reason that lives for ever and was not told lately.
  std::function<void(std::shared_ptr<BackendRecord>, const char* reason)> on_tls_failure = {};
  // Somebody less loaded takes this connection of a listener with one socket; false: nobody.
  std::function<bool(const Endpoint& listener, int client)> pass_on;
  // A connection that is logged is over, or was refused at the door.
  std::function<void(const FlowRecord&)> on_close = {};
  uint32_t log_each = 0;          // every how many-th is logged, those refused apart; 0: none
  int descriptor_line = INT_MAX;  // see descriptor_line.hpp
  std::shared_ptr<const SpareSources> spare_sources = {};  // null: none
};

// Whether every worker has a socket of a door, or only one of them.
enum class Sharing : uint8_t { kOwnSocket, kOneSocket };

class RelayEngine {
 public:
  explicit RelayEngine(size_t worker_index, EngineHooks hooks = {});
  ~RelayEngine();

  int descriptor() const { return epoll_.get(); }
  const EngineCounters& counters() const { return counters_; }

  // Serves as `config` says: a listener that is known goes on; one that is not comes to the door of
  // its address. `sockets` are the door's, new ones of one that is open already; a door may begin
  // without any on a worker that is only handed connections. Throws std::bad_alloc, as
  // update_listener() does: then nothing has changed, the sockets are the caller's still, and the
  // same call may be made again.
  void put_listener(std::vector<net::Fd>& sockets, std::shared_ptr<const ListenerConfig> config,
                    Sharing sharing, Begins begins);
  void add_listener(net::Fd fd, std::shared_ptr<const ListenerConfig> config,
                    Sharing sharing = Sharing::kOwnSocket);
  // The same with sockets of another process, none of which is accepted from before start_held().
  void hold_listener(std::vector<net::Fd> sockets, std::shared_ptr<const ListenerConfig> config,
                     Sharing sharing);
  void start_held();
  // Leaves every listening socket, and what is queued on it, to another process that has it too.
  void release_sockets();
  // Serves a connection that another worker has accepted.
  void adopt(const Endpoint& door, net::Fd client);
  void update_listener(std::shared_ptr<const ListenerConfig> config);
  // With the last one its door closes. Wants no memory, as the ends below do not.
  void remove_listener(const Endpoint& address, const Match& match = {});
  // Takes what has connected, nothing new; what is open has `grace_ms` at most.
  void drain(uint64_t grace_ms);
  // Dials that wait for this backend go to another one, where there is another.
  void move_dials(const std::shared_ptr<BackendRecord>& backend);
  // Some may be usable that were not: whoever waits for that is dialled for.
  void backends_changed();
  void reset_everything();

  // Handles what is ready, after waiting for that as long (in ms; -1: for ever); false: nothing
  // was.
  bool poll(int wait_ms = 0);
  // Lets what is readable there end a wait too: a worker waits once for all it does. `number`:
  // < 32.
  void wait_also_for(int fd, unsigned number);
  // Which of these were readable since the last call, as bits by number.
  uint32_t take_roused() { return std::exchange(roused_, 0); }
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
  using DoorPtr = std::shared_ptr<Door>;

  bool watch_socket(const Door& door, const net::Fd& socket);
  bool watch_door(const Door& door);
  void watch_new(const Door& door, const std::vector<net::Fd>& sockets);
  void listen_again(const DoorPtr& door);
  void listen_where_due();
  void unwatch_door(const Door& door);
  static void close_sockets(Door& door);
  Listener make_listener(std::shared_ptr<const ListenerConfig> config) const;
  void open_door(std::vector<net::Fd>& sockets, std::shared_ptr<const ListenerConfig> config,
                 Sharing sharing, Begins begins);
  void put_at(Door& door, std::shared_ptr<const ListenerConfig> config);
  void rename(Door& door, const Match& from, const ListenerConfig& to);
  void join_door(Door& door, std::shared_ptr<const ListenerConfig> config);
  void set_lobby(Door& door, Listener lobby);
  static bool needs_lobby(const Door& door);
  void tune(Door& door);
  Listener make_lobby(const Door& door, const ListenerConfig& first) const;
  Listener listener_at(const Door& door, const Match& match) const;
  void take_sockets(const DoorPtr& door, std::vector<net::Fd>& sockets, Begins begins);
  bool accept_from(const DoorPtr& door);
  bool accept_from(const DoorPtr& door, int socket);
  void accepted(const DoorPtr& door, int client);
  void adopt_late(const Endpoint& address, net::Fd client);
  void welcome(const Listener& listener, int client);
  void let_in(const Listener& listener, net::Fd& client);
  void let_go(const Listener& listener, net::Fd& client, EnteredPlace& place,
              std::unique_ptr<SessionDetails> details);
  static const Listener& entrance(const Door& door) {
    return door.lobby ? door.lobby : door.listeners.begin()->second;
  }
  // All of a door, open or closed.
  template <typename Look>
  void each_listener(const Look& look) const {
    for (const auto& [address, door] : doors_) {
      for (const auto& [match, listener] : door->listeners) look(listener);
      if (door->lobby) look(door->lobby);
    }
    for (const auto& listener : closed_) look(listener);
  }

  static const Routes& routes_of(LiveListener& lobby);
  void let_into_lobby(const Listener& lobby, net::Fd& client);
  void continue_choosing(Session& session);
  void take_proxy_header(Session& session, std::span<const uint8_t> bytes);
  void choose_by_hello(Session& session, std::span<const uint8_t> bytes);
  void said_too_little(Session& session);
  void left_early(Session& session);
  void choose(Session& session, const std::string& name, bool tls);
  void hand_to(Session& session, const Listener& listener);
  void move_to(Session& session, const Listener& listener);
  void refuse_route(Session& session, bool tls);
  static void turn_away(net::Fd& client);
  void refuse(const LiveListener& listener, net::Fd& client, Refusal rule);
  void refuse(Session& session, Refusal rule);
  std::atomic<uint64_t>& counter_of(Refusal rule);
  void count_refusal(PortStats& port, Refusal rule);
  std::optional<Refusal> admit(const ListenerConfig& config, SessionDetails& details) const;
  void begin(const Listener& listener, net::Fd& client, EnteredPlace& place,
             std::unique_ptr<SessionDetails> details, bool speaks_for_others = false);
  Session& enlist(const Listener& listener, net::Fd& client,
                  std::unique_ptr<SessionDetails> details);
  void start(Session& session, bool speaks_for_others);
  void continue_greeting(Session& session);
  void greeting_failed(Session& session);
  bool introduce(Session& session, int backend);

  void let_through(Session& session, bool spoken);
  void shake_hands(Session& session);
  void secured(Session& session);
  void handshake_failed(Session& session, tls::Outcome outcome);
  void handshake_timed_out(Session& session);
  static Peer peer(const Session& session, int side);
  bool reply(Session& session, int side);
  bool say_goodbye(Session& session, int side);

  bool begin_link(Session& session, BackendLink& link, int socket, const BackendRecord& backend);
  void greet_backend(Session& session);
  void shake_backend(Session& session);
  void backend_secured(Session& session);
  void secure_hedge(Session& session, uint32_t events);
  int tls_error(const std::shared_ptr<BackendRecord>& backend, const BackendLink& link,
                tls::Outcome outcome);
  void note_tls_failure(const Session& session, const std::shared_ptr<BackendRecord>& backend,
                        int error);
  void note_late_refusal(const Session& session);
  void tell_tls_failure(const std::shared_ptr<BackendRecord>& backend, const char* reason);
  static void drop_link(Session& session);

  static void leave(Session& session);
  void dial_next(Session& session);
  int pick(Session& session);
  std::optional<size_t> pick_another(const Session& session);
  int remembered(const Session& session);
  static std::optional<IpAddress> client_address(const Session& session);
  static bool is_first_dial(const Session& session) {
    return session.attempts() == 0 && !session.backend;
  }
  static bool was_tried(const Session& session, const BackendRecord& backend) {
    if (!session.rescue) return false;
    const auto& tried = session.rescue->tried;
    return std::find(tried.begin(), tried.end(), backend.endpoint) != tried.end();
  }
  // In vain, or just now.
  static auto tried_by(const Session& session) {
    return [&session](const BackendRecord& backend) {
      return session.backend.get() == &backend || was_tried(session, backend);
    };
  }
  // The candidates that may be this client's; whom `tried` names is marked.
  template <typename Tried>
  std::vector<balance::Candidate>& untried(const Session& session, const Tried& tried) {
    const ListenerConfig& config = *session.listener->config;
    auto& out = pick_inputs_.candidates(config, tried, now_);
    PickInputs::leave_out_reserved(config, out, [&] { return client_address(session); });
    return out;
  }
  std::optional<uint16_t> last_group(const Session& session) const;
  bool has_another(const Session& session);
  net::Fd connect_to(const Session& session, const BackendRecord& backend, uint8_t number);
  void note_failure(const Session& session, const std::shared_ptr<BackendRecord>& backend,
                    int error);
  void count_failure(const Session& session, const std::shared_ptr<BackendRecord>& backend,
                     Ejection cause);
  bool dial(Session& session, std::shared_ptr<BackendRecord> backend);
  void dial_failed(Session& session, int error);
  void connected(Session& session);
  void on_connected(Session& session);
  void on_last_words(Session& session);
  void give_up(Session& session);
  void nobody_is_left(Session& session);

  void begin_keeping(Session& session);
  void keep_no_longer(Session& session);
  void on_answer(Session& session);
  bool say_again(Session& session);
  void on_backend_failure(Session& session);
  bool has_answered(Session& session);
  void note_instant_reset(Session& session);
  void count_instant_reset(const Session& session, const std::shared_ptr<BackendRecord>& backend);
  bool replay(Session& session);
  void start_over(Session& session);

  void plan_hedge(Session& session);
  void send_hedge(Session& session);
  void on_hedge_event(Session& session, uint8_t dial, uint32_t events);
  void hedge_failed(Session& session, int error);
  void hedge_won(Session& session, uint32_t events);
  bool promote_hedge(Session& session);
  static void drop_hedge(Session& session);

  bool wait_for_backend(Session& session);
  void enter_queue(Session& session);
  void leave_queue(Session& session);
  static bool client_has_left(const Session& session);
  void on_waiting_event(Session& session, int side);
  void leave_while_waiting(Session& session);
  void waited_in_vain(Session& session);
  void dial_waiting(LiveListener& listener);

  static void note_readable(Direction& from, uint32_t events);
  std::atomic<uint64_t>* own_want(int error);
  bool another_may_do(int error);
  void pause(const DoorPtr& door);
  void resume_early();
  void lack(Session& session);
  void lack_memory(Session& session);
  bool watch(int fd, uint64_t tag, uint32_t events);
  void tell_ejection(const std::shared_ptr<BackendRecord>& backend, const Policy& policy);
  void tell_end(const Session& session);
  void tell_refusal(const LiveListener& listener, const std::optional<Endpoint>& client,
                    Refusal rule);
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

  void on_listener_event(uint64_t tag);
  void on_session_event(Session& session, uint64_t tag, uint32_t events);
  void on_event(Session& session, int side, uint32_t events);
  void on_dialling_event(Session& session, int side, uint32_t events);
  void note_bytes(Session& session, int direction, uint64_t bytes);
  PumpResult pump(Session& session, int direction);
  void run(Session& session, int direction);
  void stall(Session& session, int side);
  void end_stall(Session& session, int side);
  bool listen_for(const Session& session, int side, uint32_t events);
  void on_end(Session& session, int direction);
  void on_failure(Session& session, int dead_side);
  void continue_reset(Session& session);
  void end_both(Session& session);
  void continue_lingering(Session& session);
  void release_counts(Session& session);
  void log_session(Session& session);
  void note_tried(Session& session, const BackendRecord& backend);
  BackendStats& stats_of(BackendRecord& backend) const;
  uint64_t flow_id(const Session& session) const;
  Flow describe(const Session& session) const;
  static void end_for(Session& session, EndReason reason);
  void record_end(const Session& session);
  void on_timer(Session& session);
  void look_after(Session& session);
  bool is_quiet(Session& session, uint64_t limit_ms) const;
  void refresh_clock();
  void close_door(const DoorPtr& door, uint64_t grace_ms);
  void leave_door(Door& door, const Listener& listener, uint64_t grace_ms);
  void keep_track_of(const Listener& listener);
  void retire(const Listener& listener, uint64_t grace_ms);
  void retire_lobby(Door& door, uint64_t grace_ms);
  void limit_sessions(const LiveListener& listener, uint64_t grace_ms);
  void reckon_drain(Session& session);
  void reckon_drain(Session& session, bool kept);
  void rearm(Session& session);
  void reset_both(Session& session);
  static void leave_list(Session& session);
  void finish(Session& session);
  void release_backend(Session& session);
  void enqueue(Session& session);
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
  std::map<Endpoint, DoorPtr> doors_;
  std::map<Door*, DoorPtr> by_pointer_;
  std::vector<Listener> closed_;  // with connections that still drain
  std::vector<std::pair<uint64_t, DoorPtr>> paused_;
  std::vector<DoorPtr> held_;  // not accepted from yet
  size_t open_ = 0;            // listeners, lobbies too
  std::vector<Session*> queue_;
  Session* dead_ = nullptr;  // linked by TimerEntry::next: dying must not need memory
  size_t live_ = 0;
  size_t waiting_ = 0;   // sessions, for a backend
  size_t securing_ = 0;  // sessions that agree on keys
  int dial_error_ = 0;   // of the latest dial that failed at once
  uint64_t serial_ = 0;
  uint64_t refused_ = 0;  // at the door
  uint32_t roused_ = 0;
};

}  // namespace lb::proxy
