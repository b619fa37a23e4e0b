#include "dataplane/proxy/relay_engine.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

#include "dataplane/proxy/sockets.hpp"

namespace lb::proxy {
namespace {

constexpr int kAcceptsPerTurn = 64;
constexpr uint64_t kAcceptPauseMs = 100;  // out of descriptors: waiting beats spinning
constexpr uint64_t kResetCheckMs = 10;
constexpr uint64_t kResetPatienceMs = 5000;  // for the survivor to take what came before
constexpr uint64_t kListenerBit = 2;         // pointers leave two bits free: side, and kind

uint64_t monotonic_ms() {
  using std::chrono::steady_clock;
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(steady_clock::now().time_since_epoch())
          .count());
}

bool is_ours(int error) {
  return error == EADDRNOTAVAIL || error == EMFILE || error == ENFILE || error == ENOBUFS ||
         error == ENOMEM;
}

bool admitted(const ListenerConfig& config, int client) {
  const auto address = peer_address(client);
  const auto& ranges = config.policy.source_ranges;
  return address && std::any_of(ranges.begin(), ranges.end(),
                                [&](const Cidr& range) { return range.contains(*address); });
}

}  // namespace

RelayEngine::RelayEngine(size_t worker_index, OnEject on_eject)
    : epoll_(epoll_create1(EPOLL_CLOEXEC)),
      worker_index_(worker_index),
      on_eject_(std::move(on_eject)),
      now_(monotonic_ms()),
      wheel_(now_) {}

RelayEngine::~RelayEngine() { reset_everything(); }

// Whatever is called from outside does so first: deadlines are reckoned from it.
void RelayEngine::refresh_clock() { now_ = monotonic_ms(); }

void RelayEngine::add_listener(net::Fd fd, std::shared_ptr<const ListenerConfig> config) {
  auto listener = std::make_shared<LiveListener>();
  listener->fd = std::move(fd);
  listener->picker = balance::RoundRobin(worker_index_);
  listener->config = std::move(config);
  watch_listener(*listener);
  by_pointer_[listener.get()] = listener;
  listeners_[listener->config->address] = std::move(listener);
}

void RelayEngine::update_listener(std::shared_ptr<const ListenerConfig> config) {
  const auto found = listeners_.find(config->address);
  if (found == listeners_.end()) return;
  refresh_clock();
  LiveListener& listener = *found->second;
  listener.config = std::move(config);
  const auto& records = listener.config->records;
  for (Session* session : listener.sessions) {
    const bool kept = std::find(records.begin(), records.end(), session->backend) != records.end();
    if (kept) {
      session->drain_ends = 0;
    } else if (session->drain_ends == 0) {
      session->drain_ends = now_ + uint64_t{listener.config->policy.drain_s} * 1000;
    }
    if (session->phase != Phase::kResetting) rearm(*session);
  }
}

// Closing a listening socket resets what its queue holds, so the queue is emptied first.
void RelayEngine::remove_listener(const Endpoint& address) {
  const auto found = listeners_.find(address);
  if (found == listeners_.end()) return;
  const Listener listener = found->second;
  listeners_.erase(found);
  close_listener(listener, uint64_t{listener->config->policy.delete_drain_s} * 1000);
  bury();
}

void RelayEngine::close_listener(const Listener& listener, uint64_t grace_ms) {
  refresh_clock();
  while (accept_from(listener)) {
  }
  listener->fd.reset();
  by_pointer_.erase(listener.get());
  std::erase_if(closed_, [](const Listener& each) { return each->sessions.empty(); });
  closed_.push_back(listener);
  for (Session* session : std::vector<Session*>(listener->sessions)) {
    session->drain_ends = now_ + grace_ms;
    if (grace_ms == 0) {
      reset_both(*session);
    } else if (session->phase != Phase::kResetting) {
      rearm(*session);
    }
  }
}

void RelayEngine::drain(uint64_t grace_ms) {
  for (const auto& [address, listener] : std::exchange(listeners_, {})) {
    close_listener(listener, grace_ms);
  }
  bury();
}

void RelayEngine::reset_everything() {
  drain(0);
  for (const auto& listener : std::exchange(closed_, {})) {
    for (Session* session : std::vector<Session*>(listener->sessions)) reset_both(*session);
  }
  bury();
}

bool RelayEngine::poll() {
  std::array<epoll_event, 256> events;
  const int count = epoll_wait(epoll_.get(), events.data(), int(events.size()), 0);
  if (count <= 0 && queue_.empty()) return false;
  refresh_clock();
  for (int i = 0; i < count; ++i) {
    const uint64_t tag = events[size_t(i)].data.u64;
    if ((tag & kListenerBit) != 0) {
      const auto found = by_pointer_.find(reinterpret_cast<LiveListener*>(tag & ~uint64_t{3}));
      if (found != by_pointer_.end()) accept_from(Listener(found->second));
    } else {
      on_event(*reinterpret_cast<Session*>(tag & ~uint64_t{3}), int(tag & 1),
               events[size_t(i)].events);
    }
  }
  run_queued();
  bury();
  return true;
}

// After a stall a connect may be done and its deadline past: what has happened comes first.
void RelayEngine::tick() {
  poll();
  refresh_clock();
  for (TimerEntry* entry : wheel_.expire(now_)) on_timer(*static_cast<Session*>(entry));
  auto due = std::partition(paused_.begin(), paused_.end(),
                            [&](const auto& paused) { return paused.first > now_; });
  for (auto it = due; it != paused_.end(); ++it) watch_listener(*it->second);
  paused_.erase(due, paused_.end());
  bury();
}

// Level-triggered, unlike sessions: what one turn leaves in the queue comes up again.
void RelayEngine::watch_listener(const LiveListener& listener) {
  if (!listener.fd.valid()) return;
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = reinterpret_cast<uint64_t>(&listener) | kListenerBit;
  epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, listener.fd.get(), &event);
}

// True when the turn is used up and more may be waiting.
bool RelayEngine::accept_from(const Listener& listener) {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    const int fd = accept4(listener->fd.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      welcome(listener, fd);
    } else if (is_ours(errno)) {
      add(counters_.accept_paused);
      epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, listener->fd.get(), nullptr);
      paused_.emplace_back(now_ + kAcceptPauseMs, listener);
      return false;
    } else if (errno != ECONNABORTED && errno != EINTR) {
      return false;
    }
  }
  return true;
}

void RelayEngine::welcome(const Listener& listener, int client) {
  if (listener->config->policy.source_ranges.empty() || admitted(*listener->config, client)) {
    return begin(listener, client);
  }
  add(counters_.source_refused);
  reset_on_close(client);
  ::close(client);
}

void RelayEngine::begin(const Listener& listener, int client) {
  auto* session = new Session;
  session->listener = listener;
  session->side[kClient].reset(client);
  session->index = listener->sessions.size();
  session->last_active = now_;
  listener->sessions.push_back(session);
  session->counts = listener->config->counts;
  session->counts->connections.fetch_add(1, std::memory_order_relaxed);
  ++live_;
  add(counters_.accepted);
  epoll_event event{};
  event.events = kSessionEvents;
  event.data.u64 = reinterpret_cast<uint64_t>(session);
  epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, client, &event);
  dial_next(*session);
}

void RelayEngine::on_event(Session& session, int side, uint32_t events) {
  if (session.phase == Phase::kDead) return;
  const bool failing = (events & (EPOLLERR | EPOLLHUP)) != 0;
  if ((events & (EPOLLIN | EPOLLRDHUP)) != 0 || failing) {
    session.from[side].source_ready(failing || (events & EPOLLRDHUP) != 0);
  }
  if (session.phase == Phase::kDialling) return on_dialling_event(session, side, events);
  session.last_active = now_;
  if (session.phase == Phase::kResetting) return continue_reset(session);
  run(session, side);
  if (session.phase != Phase::kRelaying) return;
  // A source that has ended is not read again, so its reset would go unseen.
  if ((events & EPOLLERR) != 0 && session.from[side].ended()) return on_failure(session, side);
  if ((events & EPOLLOUT) != 0) run(session, 1 - side);
}

void RelayEngine::on_dialling_event(Session& session, int side, uint32_t events) {
  if (side == kClient) {
    if ((events & EPOLLERR) == 0) return;
    add(counters_.client_gone);
    return reset_both(session);
  }
  if ((events & (EPOLLERR | EPOLLHUP)) != 0) {
    return dial_failed(session, take_error(session.side[kBackend].get()));
  }
  if ((events & EPOLLOUT) == 0) return;
  connected(session);
  run(session, kClient);
  if (session.phase == Phase::kRelaying) run(session, kBackend);
}

void RelayEngine::run(Session& session, int direction) {
  Direction& flow = session.from[direction];
  const uint64_t before = flow.bytes();
  // The first write to a backend is never held back; from the second on it could be (Nagle).
  if (direction == kClient && !session.nodelay && before != 0 && flow.about_to_read()) {
    session.nodelay = true;
    set_nodelay(session.side[kBackend].get());
  }
  const Flow result =
      flow.pump(session.side[direction].get(), session.side[1 - direction].get(), resources_);
  add(direction == kClient ? counters_.bytes_in : counters_.bytes_out, flow.bytes() - before);
  if (result == Flow::kEnded) on_end(session, direction);
  if (result == Flow::kSourceFailed) on_failure(session, direction);
  if (result == Flow::kSinkFailed) on_failure(session, 1 - direction);
  if (result == Flow::kMore && !session.queued) {
    session.queued = true;
    queue_.push_back(&session);
  }
}

void RelayEngine::on_end(Session& session, int direction) {
  const int sink = 1 - direction;
  const Policy& policy = session.listener->config->policy;
  if (session.from[sink].ended() || !policy.half_close) return finish(session);
  if (session.shut[sink]) return;
  session.shut[sink] = true;
  shutdown(session.side[sink].get(), SHUT_WR);
  if (policy.half_closed_timeout_s == 0) return;
  session.phase_ends = now_ + uint64_t{policy.half_closed_timeout_s} * 1000;
  rearm(session);
}

void RelayEngine::on_failure(Session& session, int dead_side) {
  add(dead_side == kClient ? counters_.resets_from_client : counters_.resets_from_backend);
  session.phase = Phase::kResetting;
  session.survivor = static_cast<uint8_t>(1 - dead_side);
  session.from[session.survivor].abandon(resources_);
  session.from[dead_side].source_ready(true);
  session.phase_ends = now_ + kResetPatienceMs;
  continue_reset(session);
}

// The survivor first gets all that its peer had sent; a reset before that would destroy it.
void RelayEngine::continue_reset(Session& session) {
  const int dead_side = 1 - session.survivor;
  const int survivor = session.side[session.survivor].get();
  Flow flow = Flow::kMore;
  for (int turn = 0; turn < kAcceptsPerTurn && flow == Flow::kMore; ++turn) {
    flow = session.from[dead_side].pump(session.side[dead_side].get(), survivor, resources_);
  }
  const bool delivered = !session.from[dead_side].has_pending() && unsent_bytes(survivor) == 0;
  if (flow == Flow::kSinkFailed || (flow != Flow::kMore && delivered) ||
      now_ >= session.phase_ends) {
    return reset_both(session);
  }
  wheel_.arm(session, now_ + kResetCheckMs);
}

void RelayEngine::reset_both(Session& session) {
  for (const auto& side : session.side) {
    if (side.valid()) reset_on_close(side.get());
  }
  finish(session);
}

void RelayEngine::finish(Session& session) {
  if (session.phase == Phase::kDead) return;
  session.phase = Phase::kDead;
  wheel_.cancel(session);
  if (session.queued) std::erase(queue_, &session);
  for (int side : {kClient, kBackend}) {
    session.from[side].abandon(resources_);
    session.side[side].reset();
  }
  // Last: whoever counts may take the address away, and no reset leaves after that.
  release_backend(session);
  session.counts->connections.fetch_sub(1, std::memory_order_release);
  auto& sessions = session.listener->sessions;
  sessions[session.index] = sessions.back();
  sessions[session.index]->index = session.index;
  sessions.pop_back();
  --live_;
  add(counters_.closed);
  dead_.push_back(&session);
}

void RelayEngine::run_queued() {
  const auto queue = std::move(queue_);
  queue_.clear();
  for (Session* session : queue) {
    session->queued = false;
    for (int direction : {kClient, kBackend}) {
      if (session->phase == Phase::kRelaying) run(*session, direction);
    }
  }
}

// Only after a batch: an event that waits in it may still name a session that died.
void RelayEngine::bury() {
  for (Session* session : dead_) delete session;
  dead_.clear();
  counters_.copied.store(resources_.copied, std::memory_order_relaxed);
  counters_.spliced.store(resources_.spliced, std::memory_order_relaxed);
  counters_.pipe_fallbacks.store(resources_.pipes.fallbacks(), std::memory_order_relaxed);
}

}  // namespace lb::proxy
