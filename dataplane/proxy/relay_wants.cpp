#include <algorithm>
#include <cerrno>

#include "dataplane/proxy/relay_engine.hpp"

namespace lb::proxy {

namespace {

// Waiting beats spinning, and sooner nobody would look for descriptors again.
constexpr uint64_t kAcceptPauseMs = DescriptorLine::kLookMs;

}  // namespace

// Which counter an error belongs to that is our own want and nobody's fault; null: none.
std::atomic<uint64_t>* RelayEngine::own_want(int error) {
  if (error == EADDRNOTAVAIL) return &counters_.no_port;
  if (error == EMFILE || error == ENFILE) return &counters_.no_descriptor;
  if (error == ENOBUFS || error == ENOMEM || error == ENOSPC) return &counters_.no_memory;
  return nullptr;
}

// Another backend needs a port of its own, but the same descriptors and memory.
bool RelayEngine::another_may_do(int error) {
  return error == EADDRNOTAVAIL || own_want(error) == nullptr;
}

// Clients wait in the socket's queue meanwhile, connected by the kernel (listen(2)).
void RelayEngine::pause(const DoorPtr& door) {
  const bool is_paused = std::any_of(paused_.begin(), paused_.end(),
                                     [&](const auto& each) { return each.second == door; });
  if (is_paused) return;  // another socket of it was met first
  paused_.emplace_back(now_ + kAcceptPauseMs, door);
  add(counters_.accept_paused);
  unwatch_door(*door);
  resources_.pipes.release_idle();
}

// A connection that has ended leaves its descriptors to those that wait.
void RelayEngine::resume_early() {
  if (paused_.empty()) return;
  line_.released();
  for (auto& paused : paused_) paused.first = now_;
}

void RelayEngine::lack(Session& session) {
  end_for(session, EndReason::kExhausted);
  reset_both(session);
}

void RelayEngine::lack_memory(Session& session) {
  add(counters_.no_memory);
  lack(session);
}

// Nobody would take a backend back of whose ejection nobody was told.
void RelayEngine::tell_ejection(const std::shared_ptr<BackendRecord>& backend,
                                const Policy& policy) try {
  if (hooks_.on_eject) hooks_.on_eject(backend, policy);
} catch (const std::bad_alloc&) {
  backend->readmit(now_);
  add(counters_.no_memory);
}

bool RelayEngine::watch(int fd, uint64_t tag, uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = tag;
  return epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

// Dead sessions are the memory's; so are the lists of a listener that was busy once.
void RelayEngine::give_memory_back() {
  each_listener([](const Listener& listener) {
    auto& sessions = listener->sessions;
    if (sessions.size() < sessions.capacity() / 4) sessions.shrink_to_fit();
  });
  trim_.trim(live_, now_);
}

}  // namespace lb::proxy
