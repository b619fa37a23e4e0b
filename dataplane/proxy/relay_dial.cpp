#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "dataplane/proxy/relay_engine.hpp"
#include "dataplane/proxy/sockets.hpp"

namespace lb::proxy {

void RelayEngine::dial_next(Session& session) {
  const Policy& policy = session.listener->config->policy;
  while (session.tried.size() < policy.connect_attempts) {
    const int index = pick(session);
    if (index < 0) break;
    if (!session.tried.empty()) add(counters_.retries);
    if (dial(session, session.listener->config->records[size_t(index)])) return;
  }
  give_up(session);
}

int RelayEngine::pick(Session& session) {
  const ListenerConfig& config = *session.listener->config;
  if (session.tried.empty()) {
    const auto picked = session.listener->picker.pick(config.candidates);
    return picked ? int(*picked) : -1;
  }
  auto candidates = config.candidates;
  for (size_t i = 0; i < candidates.size(); ++i) {
    candidates[i].tried = std::find(session.tried.begin(), session.tried.end(),
                                    config.records[i]->endpoint) != session.tried.end();
  }
  const auto picked = session.listener->picker.pick(candidates);
  return picked ? int(*picked) : -1;
}

// False when the connect failed at once; the backend then counts as tried.
bool RelayEngine::dial(Session& session, std::shared_ptr<BackendRecord> backend) {
  add(counters_.dials);
  net::Fd fd = start_connect(backend->endpoint);
  if (!fd.valid()) {
    add(errno == ECONNREFUSED ? counters_.refused : counters_.connect_errors);
    session.tried.push_back(backend->endpoint);
    return false;
  }
  epoll_event event{};
  event.events = kSessionEvents;
  event.data.u64 = reinterpret_cast<uint64_t>(&session) | 1;
  epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd.get(), &event);
  session.side[kBackend] = std::move(fd);
  session.backend = std::move(backend);
  session.backend->connections.fetch_add(1, std::memory_order_relaxed);
  session.phase_ends = now_ + session.listener->config->policy.connect_timeout_ms;
  rearm(session);
  return true;
}

void RelayEngine::dial_failed(Session& session, int error) {
  if (error == ETIMEDOUT) {
    add(counters_.connect_timeouts);
  } else {
    add(error == ECONNREFUSED ? counters_.refused : counters_.connect_errors);
  }
  session.tried.push_back(session.backend->endpoint);
  release_backend(session);
  session.side[kBackend].reset();
  session.phase_ends = 0;
  dial_next(session);
}

void RelayEngine::give_up(Session& session) {
  add(counters_.no_backend);
  reset_both(session);
}

void RelayEngine::connected(Session& session) {
  session.phase = Phase::kRelaying;
  session.phase_ends = 0;
  session.last_active = now_;
  std::vector<Endpoint>().swap(session.tried);
  set_nodelay(session.side[kBackend].get());
  rearm(session);
}

void RelayEngine::release_backend(Session& session) {
  if (session.backend) session.backend->connections.fetch_sub(1, std::memory_order_relaxed);
  session.backend.reset();
}

}  // namespace lb::proxy
