// The UDP relay of one worker: one epoll(7) set with all its UDP listeners and sessions.
//
// Shaped as RelayEngine: used on its worker's thread only, except counters(), which any thread may
// read (relaxed). Whoever owns descriptor() calls poll() when it is readable and tick() at
// next_tick(). Nothing throws across an event. A session is a client's address and port; it keeps
// its backend until it has been idle for udp_idle_s, its backend leaves, or its backend refuses
// (ICMP port unreachable), and then goes on with another one at once; one whose backend has become
// draining or not_ready stays. Where very many must move, those
// whose clients speak go first, and the rest a few hundred in a turn. What cannot be passed on is
// dropped and counted (udp_counters.hpp). Every session needs a descriptor and a local port of
// net.ipv4.ip_local_port_range, 28,232 by default for each network namespace. Where the policy asks
// for it, every datagram to a backend begins with a PROXY header of version 2: whoever receives
// datagrams has no memory of a first one.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <unordered_set>
#include <vector>

#include "dataplane/proxy/descriptor_line.hpp"
#include "dataplane/proxy/flow.hpp"
#include "dataplane/proxy/pick_inputs.hpp"
#include "dataplane/proxy/udp_counters.hpp"
#include "dataplane/proxy/udp_keepsakes.hpp"
#include "dataplane/proxy/udp_outbox.hpp"
#include "dataplane/proxy/udp_session.hpp"

namespace lb::proxy {

struct UdpHooks {
  // Told, on the worker's thread, of each backend that this relay has ejected.
  std::function<void(std::shared_ptr<BackendRecord>, const Policy&)> on_eject;
  std::function<uint64_t()> now_ms;  // steady; empty: the system's
  // Per listener and worker. For a new client beyond it the oldest session ends that no backend has
  // ever answered; without one it is refused. A session takes about 0.4 KiB here and 1.5 KiB in the
  // kernel.
  size_t session_limit = 65'536;
  // The same over all listeners, since descriptors are finite: it ends at the listener with most
  // sessions of those that have more than the client's own, or at that one.
  size_t worker_limit = SIZE_MAX;
  // A session that is logged is over.
  std::function<void(const FlowRecord&)> on_close = {};
  uint32_t log_each = 0;          // every how many-th session is logged; 0: none
  bool trains = true;             // UDP_GRO and UDP_SEGMENT
  int descriptor_line = INT_MAX;  // see descriptor_line.hpp
};

class UdpRelay {
 public:
  explicit UdpRelay(size_t worker_index, UdpHooks hooks = {});
  ~UdpRelay();
  UdpRelay(const UdpRelay&) = delete;
  UdpRelay& operator=(const UdpRelay&) = delete;

  int descriptor() const { return epoll_.get(); }
  const UdpCounters& counters() const { return counters_; }

  // Serves as `config` says: without `sockets` a listener that is known goes on; with them it does
  // so with these only, whether it serves or still drains, and one that is not known begins. Throws
  // std::bad_alloc, as update_listener() does: then the sockets are the caller's still, and the
  // same call has to be made again.
  void put_listener(std::vector<net::Fd>& sockets, std::shared_ptr<const ListenerConfig> config,
                    Begins begins);
  void add_listener(net::Fd fd, std::shared_ptr<const ListenerConfig> config);
  // The same with sockets of another process, none of which is read before start_held().
  void hold_listener(std::vector<net::Fd> sockets, std::shared_ptr<const ListenerConfig> config);
  void start_held();
  // Reads no more, since another process does; sessions pass on what their backends still answer.
  void release_sockets();
  void update_listener(std::shared_ptr<const ListenerConfig> config);
  // Its sessions go on for delete_drain_s, and hold the port until then; no new client is taken.
  // Wants no memory, as the ends below do not.
  void remove_listener(const Endpoint& address);
  void drain(uint64_t grace_ms);
  void reset_everything();

  void list_flows(const FlowFilter& filter, std::vector<Flow>& out);
  // Ends one: the client's next datagram begins another. False: it is not of this relay.
  bool kill(uint64_t id);

  // Handles what is ready; false when nothing was.
  bool poll();
  void tick();
  // When tick() is next worth calling: ms of the clock, UINT64_MAX for not at all.
  uint64_t next_tick() const {
    return stranded_.empty() ? std::min(wheel_.wake_at(), starts_again_at_) : now_;
  }
  size_t sessions() const { return live_; }
  // Whatever is left over is due at next_tick().
  bool has_queued() const { return false; }
  // Messages of clients and backends so far, trains counted as one: how long poll() took.
  uint64_t received() const { return received_; }

 private:
  using Listener = std::unique_ptr<UdpListener>;

  bool watch(int fd, uint64_t tag);
  bool watch(const UdpListener& listener, const net::Fd& socket);
  bool watch(const UdpListener& listener);
  void watch_new(const UdpListener& listener, const std::vector<net::Fd>& sockets);
  void unwatch(const UdpListener& listener);
  Listener* known_listener(const Endpoint& address);
  static void take_sockets(UdpListener& listener, std::vector<net::Fd>& sockets, Begins begins);
  void settle_sessions(UdpListener& listener, bool told_otherwise,
                       const std::unordered_set<const BackendRecord*>& records);
  void close_listener(Listener listener, uint64_t grace_ms);
  void apply(UdpListener& listener, std::shared_ptr<const ListenerConfig> config);
  void look_for_overflows();
  static uint32_t drops_of(const UdpListener& listener);

  void on_readable(UdpListener& listener);
  void empty(UdpListener& listener);
  void receive_batch(UdpListener& listener, int socket);
  void pass_on(UdpListener& listener, unsigned count);
  void load(UdpSession& session, const UdpDatagram& datagram);
  void send_to_backend(UdpSession& session);
  void send_message(UdpSession& session, unsigned message);
  bool send_once(UdpSession& session, unsigned message);
  void send_pieces(UdpSession& session, unsigned message);
  void keep_question(UdpSession& session, unsigned message);
  void note_message_in(unsigned message);
  void note_in(UdpSession& session, uint32_t datagrams, uint32_t bytes);
  void note_out(UdpSession& session, uint32_t datagrams, uint32_t bytes);

  void on_reply(UdpSession& session);
  void take_replies(UdpSession& session, unsigned count);
  void flush_replies();
  void send_replies(int fd, unsigned first, unsigned last);
  unsigned reply_failed(int fd, unsigned message, unsigned last, int error);
  void reply_in_pieces(int fd, unsigned message);
  void drop(int error, uint64_t datagrams);

  UdpSession* session_of(UdpListener& listener, unsigned slot);
  static std::unique_ptr<UdpSession> make_counted(UdpListener& listener, const UdpKey& key,
                                                  const UdpPeer& client);
  UdpSession* open(UdpListener& listener, const UdpKey& key, unsigned slot);
  bool may_open(const UdpListener& listener, const UdpPeer& client, uint64_t datagrams);
  static bool admitted(const UdpListener& listener, const UdpPeer& client);
  std::optional<Refusal> enter(const ListenerConfig& config, const UdpPeer& client) const;
  bool count_in(const UdpListener& listener, const UdpPeer& client, uint64_t datagrams);
  static void count_out(UdpSession& session);
  static void introduce(UdpSession& session);
  bool full(const UdpListener& listener) const;
  UdpSession* to_evict_for(const UdpListener& listener) const;
  void make_room(const UdpListener& listener);
  static uint64_t idle_ms(const UdpSession& session);
  bool lacking();
  void rest();
  void tell_ejection(const UdpSession& session);
  void tell_end(const UdpSession& session, EndReason reason);
  bool attach(UdpSession& session, const BackendRecord* avoid, uint64_t datagrams);
  int remembered(const UdpSession& session, const BackendRecord* avoid);
  bool connect(UdpSession& session, const std::shared_ptr<BackendRecord>& backend);
  std::optional<size_t> pick(const UdpSession& session,
                             const std::vector<balance::Candidate>& candidates,
                             const BackendRecord* avoid);
  bool has_another(const UdpSession& session);
  bool move(UdpSession& session);
  void on_refused(UdpSession& session);
  void move_stranded(size_t most);
  bool rescue(UdpSession& session);
  void settle();
  void resend_question(UdpSession& session);
  void release_backend(UdpSession& session);
  void finish(UdpSession& session, EndReason reason);
  uint64_t flow_id(const UdpSession& session) const;
  Flow describe(const UdpSession& session) const;
  void record_end(const UdpSession& session, EndReason reason);
  void on_timer(UdpSession& session);
  void rearm(UdpSession& session);
  void bury();

  const UdpHooks hooks_;
  UdpCounters counters_;
  net::Fd epoll_;
  size_t worker_index_;
  uint64_t now_;
  TimerWheel wheel_;
  PickInputs pick_inputs_;
  DescriptorLine line_;
  uint64_t rests_until_ = 0;  // no new session is tried before
  UdpBatch inbox_{UdpBatch::Senders::kMany};
  UdpOutbox to_backend_;
  UdpBatch replies_{UdpBatch::Senders::kOne};
  unsigned replies_used_ = 0;
  UdpOutbox to_clients_;
  UdpKeepsakes questions_;
  std::map<Endpoint, Listener> listeners_;
  std::vector<Listener> closed_;       // that still drain
  UdpSession* dead_ = nullptr;         // linked by TimerEntry::next: dying must not need memory
  std::vector<UdpSession*> stranded_;  // may have died since, and is then deleted from here
  UdpSession* latest_ = nullptr;       // that a client's datagram was for
  size_t live_ = 0;
  uint64_t received_ = 0;
  uint64_t serial_ = 0;
  uint64_t overflows_at_ = 0;              // when they were last looked at
  uint64_t starts_again_at_ = UINT64_MAX;  // what is held, since it could not be listened at
};

}  // namespace lb::proxy
