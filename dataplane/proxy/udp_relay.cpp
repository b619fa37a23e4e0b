#include "dataplane/proxy/udp_relay.hpp"
#include "dataplane/proxy/clock.hpp"

#include <linux/sock_diag.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include "dataplane/proxy/epoll_set.hpp"
#include "dataplane/proxy/stats.hpp"
#include "dataplane/proxy/udp_sockets.hpp"

namespace lb::proxy {
namespace {

constexpr uint64_t kListenerBit = 1;
constexpr uint32_t kLongestIdleS = 86'400;
constexpr uint64_t kOverflowLookMs = 1000;
constexpr size_t kEventsPerPoll = 16;  // with a batch each: some milliseconds of work at most
constexpr int kPollsBeforeTimers = 16;
constexpr size_t kMovesPerTurn = 256;  // each costs about ten microseconds

UdpHooks with_clock(UdpHooks hooks) {
  if (!hooks.now_ms) hooks.now_ms = monotonic_ms;
  return hooks;
}

uint32_t drops_of_socket(int fd) {
  uint32_t info[SK_MEMINFO_VARS] = {};
  socklen_t size = sizeof info;
  return getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &size) == 0 ? info[SK_MEMINFO_DROPS] : 0;
}

}  // namespace

UdpRelay::UdpRelay(size_t worker_index, UdpHooks hooks)
    : hooks_(with_clock(std::move(hooks))),
      epoll_(make_epoll_set()),
      worker_index_(worker_index),
      now_(hooks_.now_ms()),
      wheel_(now_),
      pick_inputs_(worker_index),
      line_(hooks_.descriptor_line),
      to_backend_(UdpOutbox::Towards::kOneBackend, {hooks_.trains}),
      to_clients_(UdpOutbox::Towards::kClients, {hooks_.trains}) {}

UdpRelay::~UdpRelay() { reset_everything(); }

// Level-triggered: what a turn leaves comes up again, after whatever else is ready.
bool UdpRelay::watch(int fd, uint64_t tag) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = tag;
  return epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

// False: the kernel watches no more for us (epoll_ctl(2), ENOSPC).
bool UdpRelay::watch(const UdpListener& listener, const net::Fd& socket) {
  if (watch(socket.get(), reinterpret_cast<uint64_t>(&listener) | kListenerBit)) return true;
  add(counters_.unwatched);
  return false;
}

// All of its sockets or none.
bool UdpRelay::watch(const UdpListener& listener) {
  const bool all = watch(listener, listener.fd) &&
                   std::all_of(listener.others.begin(), listener.others.end(),
                               [&](const net::Fd& other) { return watch(listener, other); });
  if (!all) unwatch(listener);
  return all;
}

// Sockets that are to be the listener's. As all that is wanted of the host for them, this comes
// before they are taken; for the caller it is a want of memory.
void UdpRelay::watch_new(const UdpListener& listener, const std::vector<net::Fd>& sockets) {
  for (const auto& socket : sockets) {
    if (watch(listener, socket)) continue;
    for (const auto& each : sockets) {
      epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, each.get(), nullptr);
    }
    throw std::bad_alloc();
  }
}

// Closing is not enough where another process has the socket too: it would stay in the set.
void UdpRelay::unwatch(const UdpListener& listener) {
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, listener.fd.get(), nullptr);
  for (const auto& other : listener.others) {
    epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, other.get(), nullptr);
  }
}

uint32_t UdpRelay::drops_of(const UdpListener& listener) {
  uint32_t drops = drops_of_socket(listener.fd.get());
  for (const auto& other : listener.others) drops += drops_of_socket(other.get());
  return drops;
}

void UdpRelay::update_listener(std::shared_ptr<const ListenerConfig> config) {
  const auto found = listeners_.find(config->address);
  if (found == listeners_.end()) return;
  now_ = hooks_.now_ms();
  apply(*found->second, std::move(config));
  settle();
}

// All that wants memory comes before what it changes, and the sessions last: should some not hear
// of it, all hear of it again.
void UdpRelay::apply(UdpListener& listener, std::shared_ptr<const ListenerConfig> config) {
  std::unordered_set<const BackendRecord*> records;
  for (const auto& record : config->records) records.insert(record.get());
  if (!listener.picker || !config->picks_like(*listener.config)) {
    listener.picker = config->make_picker(worker_index_);
  }
  const ListenerConfig* before = listener.config.get();
  const bool told_otherwise =
      before != nullptr &&
      (listener.unsettled || before->policy.proxy_protocol != config->policy.proxy_protocol);
  const bool retune = before != nullptr && before->tuning != config->tuning;
  listener.config = std::move(config);
  const auto& stats = listener.config->counts->stats;
  listener.stats = stats[worker_index_ % stats.size()];
  if (retune && !tune_again(listener.fd.get(), listener.config->tuning,
                            listener.config->address.address.family(), Protocol::kUdp)) {
    add(counters_.untuned);
  }
  listener.unsettled = true;
  settle_sessions(listener, told_otherwise, records);
  listener.unsettled = false;
}

void UdpRelay::settle_sessions(UdpListener& listener, bool told_otherwise,
                               const std::unordered_set<const BackendRecord*>& records) {
  listener.table.for_each([&](UdpSession& session) {
    if (told_otherwise) introduce(session);
    if (!admitted(listener, session.client)) {
      finish(session, EndReason::kRefused);
    } else if (records.contains(session.backend.get())) {
      rearm(session);
    } else if (!session.stranded) {
      stranded_.push_back(&session);
      session.stranded = true;
    }
  });
}

void UdpRelay::remove_listener(const Endpoint& address) {
  const auto found = listeners_.find(address);
  if (found == listeners_.end()) return;
  now_ = hooks_.now_ms();
  Listener listener = std::move(found->second);
  listeners_.erase(found);
  const uint64_t grace_ms = uint64_t{listener->config->policy.delete_drain_s} * 1000;
  close_listener(std::move(listener), grace_ms);
  bury();
}

// There is room for it: see put_listener().
void UdpRelay::close_listener(Listener closing, uint64_t grace_ms) {
  closed_.push_back(std::move(closing));
  UdpListener& listener = *closed_.back();
  empty(listener);
  listener.closing = true;
  listener.drain_ends = now_ + grace_ms;
  listener.table.for_each([&](UdpSession& session) {
    on_reply(session);
    if (session.dead) return;
    if (grace_ms == 0) {
      finish(session, EndReason::kDrained);
    } else {
      rearm(session);
    }
  });
  flush_replies();
}

void UdpRelay::drain(uint64_t grace_ms) {
  now_ = hooks_.now_ms();
  while (!listeners_.empty()) {
    Listener listener = std::move(listeners_.begin()->second);
    listeners_.erase(listeners_.begin());
    close_listener(std::move(listener), grace_ms);
  }
  for (const auto& listener : closed_) {
    listener->drain_ends = std::min(listener->drain_ends, now_ + grace_ms);
    listener->table.for_each([this](UdpSession& session) { rearm(session); });
  }
  bury();
}

void UdpRelay::reset_everything() {
  drain(0);
  for (const auto& listener : closed_) {
    listener->table.for_each([this](UdpSession& s) { finish(s, EndReason::kDrained); });
  }
  bury();
  move_stranded(stranded_.size());
}

bool UdpRelay::poll() {
  std::array<epoll_event, kEventsPerPoll> events;
  const int count = epoll_wait(epoll_.get(), events.data(), int(events.size()), 0);
  if (count <= 0 && stranded_.empty()) return false;
  now_ = hooks_.now_ms();
  for (int i = 0; i < count; ++i) {
    const uint64_t tag = events[size_t(i)].data.u64;
    if ((tag & kListenerBit) != 0) {
      on_readable(*reinterpret_cast<UdpListener*>(tag & ~kListenerBit));
    } else {
      on_reply(*reinterpret_cast<UdpSession*>(tag));
    }
  }
  settle();
  return true;
}

void UdpRelay::settle() {
  flush_replies();
  bury();
  if (stranded_.empty()) return;
  move_stranded(kMovesPerTurn);
  flush_replies();
  bury();
}

// After a stall there may be datagrams whose session's time is past: they come first.
void UdpRelay::tick() {
  for (int i = 0; i < kPollsBeforeTimers && poll(); ++i) {
  }
  now_ = hooks_.now_ms();
  wheel_.expire(now_, [this](TimerEntry& entry) { on_timer(static_cast<UdpSession&>(entry)); });
  if (now_ >= overflows_at_ + kOverflowLookMs) look_for_overflows();
  if (now_ >= starts_again_at_) start_held();
  bury();
}

void UdpRelay::look_for_overflows() {
  overflows_at_ = now_;
  for (const auto& [address, listener] : listeners_) {
    const uint32_t drops = drops_of(*listener);
    add(counters_.queue_overflows, uint32_t(drops - listener->overflows));
    listener->overflows = drops;
  }
}

uint64_t UdpRelay::idle_ms(const UdpSession& session) {
  return uint64_t{std::min(session.listener->config->policy.udp_idle_s, kLongestIdleS)} * 1000;
}

// The wheel is not touched for each datagram: it asks at the earliest time, and again if need be.
void UdpRelay::on_timer(UdpSession& session) {
  if (session.dead) return;
  const uint64_t drain_ends = session.listener->drain_ends;
  if (drain_ends != 0 && now_ >= drain_ends) {
    add(counters_.drain_ends);
    add(session.listener->stats->drain_resets);
    return finish(session, EndReason::kDrained);
  }
  const uint64_t idle = idle_ms(session);
  if (idle != 0 && now_ >= session.last_active + idle) {
    add(counters_.idle_timeouts);
    return finish(session, EndReason::kIdle);
  }
  rearm(session);
}

void UdpRelay::rearm(UdpSession& session) {
  const uint64_t idle = idle_ms(session);
  uint64_t at = idle == 0 ? UINT64_MAX : session.last_active + idle;
  if (session.listener->drain_ends != 0) at = std::min(at, session.listener->drain_ends);
  if (at == UINT64_MAX) return wheel_.cancel(session);
  wheel_.arm(session, at);
}

// Only after a batch: an event or a reply that waits in it may still name what died.
void UdpRelay::bury() {
  if (dead_ != nullptr) line_.released();
  while (dead_ != nullptr) {
    UdpSession* session = dead_;
    dead_ = static_cast<UdpSession*>(std::exchange(session->next, nullptr));
    if (!session->stranded) delete session;
  }
  std::erase_if(closed_, [this](const Listener& each) {
    if (each->table.size() != 0) return false;
    unwatch(*each);
    return true;
  });
}

}  // namespace lb::proxy
