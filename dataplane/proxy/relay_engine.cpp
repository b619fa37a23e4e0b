#include "dataplane/proxy/relay_engine.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <unordered_set>
#include <utility>

#include "dataplane/proxy/clock.hpp"
#include "dataplane/proxy/epoll_set.hpp"
#include "dataplane/proxy/sockets.hpp"

namespace lb::proxy {
namespace {

// For the length of a scope, whatever ends it: what is lent may be gone with its session.
class Lent {
 public:
  Lent(KeptBytes*& place, KeptBytes* kept) : place_(place) { place_ = kept; }
  ~Lent() { place_ = nullptr; }
  Lent(const Lent&) = delete;
  Lent& operator=(const Lent&) = delete;

 private:
  KeptBytes*& place_;
};

}  // namespace

RelayEngine::RelayEngine(size_t worker_index, EngineHooks hooks)
    : epoll_(make_epoll_set()),
      worker_index_(worker_index),
      hooks_(std::move(hooks)),
      now_(monotonic_ms()),
      wheel_(now_),
      pick_inputs_(worker_index),
      resources_{.pipes = PipePool({.descriptor_line = hooks_.descriptor_line})},
      line_(hooks_.descriptor_line),
      ports_(hooks_.spare_sources) {}

RelayEngine::~RelayEngine() { reset_everything(); }

// Whatever is called from outside does so first: deadlines are reckoned from it.
void RelayEngine::refresh_clock() { now_ = monotonic_ms(); }

void RelayEngine::update_listener(std::shared_ptr<const ListenerConfig> config) {
  const auto found = doors_.find(config->address);
  if (found == doors_.end()) return;
  Door& door = *found->second;
  const Listener known = listener_at(door, config->match);
  if (!known) return;
  refresh_clock();
  LiveListener& listener = *known;
  // Before anything changes, since it wants memory; there may be thousands of both.
  std::unordered_set<const BackendRecord*> records{nullptr};
  for (const auto& record : config->records) records.insert(record.get());
  if (!config->picks_like(*listener.config)) listener.picker = config->make_picker(worker_index_);
  const bool trusts_others =
      config->policy.accept_proxy_from != listener.config->policy.accept_proxy_from;
  if (door.lobby && trusts_others) door.lobby->routes = nullptr;
  listener.config = std::move(config);
  tune(door);
  for (Session* session : listener.sessions) {
    reckon_drain(*session, records.contains(session->backend.get()));
    if (timed_by_policy(session->phase)) rearm(*session);
  }
  if (!listener.waiting.empty()) {
    dial_waiting(listener);
    bury();
  }
}

// The first of a door says how its sockets are tuned.
void RelayEngine::tune(Door& door) {
  const ListenerConfig& first = *door.listeners.begin()->second->config;
  const SocketTuning before = std::exchange(door.tuning, first.tuning);
  if (!door.fd.valid() || before == first.tuning) return;
  if (!tune_again(door.fd.get(), first.tuning, door.address.address.family(), Protocol::kTcp)) {
    add(counters_.untuned);
  }
}

void RelayEngine::reckon_drain(Session& session) {
  const auto& records = session.listener->config->records;
  reckon_drain(session, !session.backend || std::find(records.begin(), records.end(),
                                                      session.backend) != records.end());
}

// Whoever is with a backend that has left the configuration has drain_s from then on. A listener
// that is closed has set its own time.
void RelayEngine::reckon_drain(Session& session, bool kept) {
  if (session.listener->closed) return;
  if (kept) {
    session.drain_ends = 0;
  } else if (session.drain_ends == 0) {
    session.drain_ends = now_ + uint64_t{session.listener->config->policy.drain_s} * 1000;
  }
}

void RelayEngine::remove_listener(const Endpoint& address, const Match& match) {
  const auto found = doors_.find(address);
  if (found == doors_.end()) return;
  const DoorPtr door = found->second;
  const Listener listener = listener_at(*door, match);
  if (!listener) return;
  const uint64_t grace_ms = uint64_t{listener->config->policy.delete_drain_s} * 1000;
  if (door->listeners.size() == 1) {
    doors_.erase(found);
    close_door(door, grace_ms);
  } else {
    leave_door(*door, listener, grace_ms);
  }
  bury();
}

void RelayEngine::leave_door(Door& door, const Listener& listener, uint64_t grace_ms) {
  refresh_clock();
  door.listeners.erase(listener->config->match);
  door.lobby->routes = nullptr;
  if (!needs_lobby(door)) retire_lobby(door, UINT64_MAX);
  retire(listener, grace_ms);
  tune(door);
}

// Closing a listening socket resets what its queue holds, so the queue is emptied first.
void RelayEngine::close_door(const DoorPtr& door, uint64_t grace_ms) {
  refresh_clock();
  by_pointer_.erase(door.get());
  while (accept_from(door)) {
  }
  unwatch_door(*door);
  close_sockets(*door);
  for (const auto& [match, listener] : door->listeners) {
    listener->behind_lobby = door->lobby != nullptr;
    retire(listener, grace_ms);
  }
  if (door->lobby) retire_lobby(*door, grace_ms);
}

// Without memory for the routes its sessions are refused.
void RelayEngine::retire_lobby(Door& door, uint64_t grace_ms) {
  const Listener lobby = std::move(door.lobby);
  try {
    (void)routes_of(*lobby);
  } catch (const std::bad_alloc&) {
    add(counters_.no_memory);
  }
  lobby->door = nullptr;
  retire(lobby, grace_ms);
}

// `grace_ms` UINT64_MAX: as long as they would have had.
void RelayEngine::retire(const Listener& listener, uint64_t grace_ms) {
  listener->closed = true;
  --open_;
  std::erase_if(closed_, [](const Listener& each) { return each->sessions.empty(); });
  closed_.push_back(listener);
  if (grace_ms != UINT64_MAX) limit_sessions(*listener, grace_ms);
}

// One that had nobody when its door closed is forgotten, and gets clients from the lobby yet.
void RelayEngine::keep_track_of(const Listener& listener) {
  if (!listener->closed) return;
  if (std::find(closed_.begin(), closed_.end(), listener) != closed_.end()) return;
  closed_.push_back(listener);
}

// Never grants more time than a session had before.
void RelayEngine::limit_sessions(const LiveListener& listener, uint64_t grace_ms) {
  // Backwards: the last one takes the place of one that ends.
  for (size_t i = listener.sessions.size(); i-- > 0;) {
    Session* session = listener.sessions[i];
    const uint64_t ends = now_ + grace_ms;
    session->drain_ends = session->drain_ends == 0 ? ends : std::min(session->drain_ends, ends);
    if (now_ >= session->drain_ends) {
      end_for(*session, EndReason::kDrained);
      reset_both(*session);
    } else if (timed_by_policy(session->phase)) {
      rearm(*session);
    }
  }
}

void RelayEngine::drain(uint64_t grace_ms) {
  refresh_clock();
  for (const auto& listener : closed_) limit_sessions(*listener, grace_ms);
  while (!doors_.empty()) {
    const DoorPtr door = doors_.begin()->second;
    doors_.erase(doors_.begin());
    close_door(door, grace_ms);
  }
  bury();
}

void RelayEngine::reset_everything() {
  drain(0);
  for (const auto& listener : std::exchange(closed_, {})) {
    while (!listener->sessions.empty()) reset_both(*listener->sessions.back());
  }
  bury();
}

void RelayEngine::wait_also_for(int fd, unsigned number) {
  watch(fd, kListenerBit | uint64_t{number} << kOtherShift, EPOLLIN);
}

void RelayEngine::on_listener_event(uint64_t tag) {
  if (tag < kLeastAddress) {
    roused_ |= uint32_t{1} << (tag >> kOtherShift);
    return;
  }
  const auto found = by_pointer_.find(reinterpret_cast<Door*>(tag & ~uint64_t{3}));
  if (found != by_pointer_.end()) accept_from(DoorPtr(found->second));
}

bool RelayEngine::poll(int wait_ms) {
  std::array<epoll_event, 256> events;
  const int count = epoll_wait(epoll_.get(), events.data(), int(events.size()), wait_ms);
  if (count <= 0 && queue_.empty()) return false;
  refresh_clock();
  for (int i = 0; i < count; ++i) {
    const uint64_t tag = events[size_t(i)].data.u64;
    if ((tag & kListenerBit) != 0) {
      on_listener_event(tag);
    } else {
      auto& session = *reinterpret_cast<Session*>(tag & ~kSessionTagBits);
      guarded(session, [&] { on_session_event(session, tag, events[size_t(i)].events); });
    }
  }
  run_queued();
  bury();
  return true;
}

void RelayEngine::on_session_event(Session& session, uint64_t tag, uint32_t events) {
  const auto dial = uint8_t((tag & kSessionTagBits) >> kDialShift);
  if ((tag & kSideBit) != 0 && dial != session.dial) {
    on_hedge_event(session, dial, events);
  } else {
    on_event(session, int(tag & kSideBit), events);
  }
}

// After a stall a connect may be done and its deadline past: what has happened comes first.
void RelayEngine::tick() {
  poll();
  refresh_clock();
  wheel_.expire(now_, [this](TimerEntry& entry) {
    Session& session = static_cast<Session&>(entry);
    guarded(session, [&] { on_timer(session); });
  });
  if (trim_.due(now_)) give_memory_back();
  listen_where_due();
  bury();
}

void RelayEngine::note_readable(Direction& from, uint32_t events) {
  const bool failing = (events & (EPOLLERR | EPOLLHUP)) != 0;
  // recv(2) stops at the mark of an urgent byte (tcp(7)): a short read there empties nothing.
  const bool short_reads_lie = failing || (events & (EPOLLRDHUP | EPOLLPRI)) != 0;
  if ((events & EPOLLIN) != 0 || short_reads_lie) from.source_ready(short_reads_lie);
}

void RelayEngine::on_event(Session& session, int side, uint32_t events) {
  if (session.phase == Phase::kDead) return;
  note_readable(session.from[side], events);
  // A dial that is refused looks like a FIN too.
  const bool may_end = side == kClient || !is_dialling(session.phase);
  const bool first_fin = may_end && (events & EPOLLRDHUP) != 0 && !session.fin_seen;
  session.fin_seen = session.fin_seen || first_fin;
  if (session.phase == Phase::kGreeting) return continue_greeting(session);
  if (session.phase == Phase::kSecuring) return shake_hands(session);
  if (session.phase == Phase::kWaiting) return on_waiting_event(session, side);
  if (is_dialling(session.phase)) return on_dialling_event(session, side, events);
  session.last_active = now_;
  if (session.phase == Phase::kResetting) return continue_reset(session);
  if (session.phase == Phase::kLingering) return continue_lingering(session);
  const bool was_pending = session.from[side].has_pending();
  run(session, side);
  if (session.phase != Phase::kRelaying) return;
  // A source that has ended, or whose bytes wait for a sink that does not take them, is not read
  // now, so its reset would go unseen.
  const Direction& from = session.from[side];
  if (first_fin && !from.ended()) rearm(session);
  if (was_pending && from.has_pending() && (events & EPOLLIN) != 0) stall(session, side);
  if ((events & EPOLLERR) != 0 && (from.ended() || from.has_pending())) {
    return side == kBackend ? on_backend_failure(session) : on_failure(session, kClient);
  }
  if ((events & EPOLLOUT) != 0) run(session, 1 - side);
}

void RelayEngine::note_bytes(Session& session, int direction, uint64_t bytes) {
  if (bytes == 0) return;
  PortStats& port = *session.listener->stats;
  BackendStats& backend = stats_of(*session.backend);
  if (direction == kClient) {
    add(counters_.bytes_in, bytes);
    add(port.bytes_in, bytes);
    add(backend.bytes_in, bytes);
  } else {
    add(counters_.bytes_out, bytes);
    add(port.bytes_out, bytes);
    add(backend.bytes_out, bytes);
  }
}

PumpResult RelayEngine::pump(Session& session, int direction) {
  const bool keeping = direction == kClient && session.keeping();
  const Lent lent(resources_.kept, keeping ? &*session.rescue->kept : nullptr);
  PumpResult result = session.from[direction].pump(peer(session, direction),
                                                   peer(session, 1 - direction), resources_);
  if (!reply(session, direction)) result = PumpResult::kSourceFailed;
  if (keeping && session.rescue->kept->overflowed()) keep_no_longer(session);
  return result;
}

void RelayEngine::run(Session& session, int direction) {
  Direction& flow = session.from[direction];
  const uint64_t before = flow.bytes();
  // The first write to a backend is never held back; from the second on it could be (Nagle).
  if (direction == kClient && !session.nodelay && before != 0 && flow.about_to_read()) {
    session.nodelay = true;
    set_nodelay(session.side[kBackend].get());
  }
  const PumpResult result = pump(session, direction);
  note_bytes(session, direction, flow.bytes() - before);
  if (session.stalled != 0 && is_stalled(session, direction) && !flow.has_pending()) {
    end_stall(session, direction);
  }
  if (direction == kBackend && before == 0) {
    const bool ended = result == PumpResult::kEnded;
    if (ended && flow.bytes() == 0 && replay(session)) return;
    if (ended || flow.bytes() != 0) on_answer(session);
  }
  if (result == PumpResult::kEnded) on_end(session, direction);
  if (result == PumpResult::kSourceFailed || result == PumpResult::kSinkFailed) {
    const bool is_client = (direction == kClient) == (result == PumpResult::kSourceFailed);
    is_client ? on_failure(session, kClient) : on_backend_failure(session);
  }
  if (result == PumpResult::kMore) enqueue(session);
}

void RelayEngine::enqueue(Session& session) {
  if (session.queued) return;
  queue_.push_back(&session);
  session.queued = true;
}

void RelayEngine::run_queued() {
  const auto queue = std::move(queue_);
  queue_.clear();
  for (Session* session : queue) {
    session->queued = false;
    guarded(*session, [&] {
      for (int direction : {kClient, kBackend}) {
        if (session->phase == Phase::kRelaying) run(*session, direction);
      }
    });
  }
}

// Only after a batch: an event that waits in it may still name a session that died.
void RelayEngine::bury() {
  if (dead_ != nullptr) resume_early();
  while (dead_ != nullptr) {
    Session* session = dead_;
    dead_ = static_cast<Session*>(session->next);
    delete session;
  }
  trim_.note(live_, now_);
  counters_.copied.store(resources_.copied, std::memory_order_relaxed);
  counters_.spliced.store(resources_.spliced, std::memory_order_relaxed);
  counters_.tls_cut_off.store(resources_.cut_off, std::memory_order_relaxed);
  counters_.backend_tls_cut_off.store(resources_.backend_cut_off, std::memory_order_relaxed);
  counters_.pipes.store(resources_.pipes.pipes(), std::memory_order_relaxed);
  counters_.spare_source_dials.store(ports_.moved(), std::memory_order_relaxed);
  counters_.memory_trims.store(trim_.trims(), std::memory_order_relaxed);
  counters_.pipe_fallbacks.store(resources_.pipes.fallbacks(), std::memory_order_relaxed);
}

}  // namespace lb::proxy
