// One relay engine without a thread: the test says when it works, and both ends are raw sockets.
//
// The test's own sockets have numbers far above those of the engine, so that its limits are about
// the engine's.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>

#include <chrono>

#include "dataplane/proxy/relay_engine.hpp"
#include "dataplane/proxy/sockets.hpp"
#include "tests/unit/dataplane/proxy/data_path_fixture.hpp"

namespace lb::proxy {

inline constexpr int kFarAbove = 700;

inline Fd moved_up(Fd fd) { return Fd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, kFarAbove)); }

inline int lowest_free_descriptor() {
  const Fd probe(::dup(0));
  return probe.get();
}

class Engine {
 public:
  explicit Engine(EngineHooks hooks = {}) : engine(0, std::move(hooks)) {}

  // Port 0: the kernel chooses.
  void serve(const std::vector<uint16_t>& backends, const Policy& policy = {}, uint16_t port = 0) {
    std::vector<Endpoint> at;
    for (const uint16_t each : backends) at.push_back({*IpAddress::parse("127.0.0.1"), each});
    serve_at(at, policy, port);
  }
  // `nodes`: as in ListenerConfig.
  void serve_at(const std::vector<Endpoint>& backends, const Policy& policy, uint16_t port = 0,
                std::vector<uint32_t> nodes = {}) {
    auto config = std::make_shared<ListenerConfig>();
    config->key = "file/web";
    config->policy = policy;
    config->nodes = std::move(nodes);
    config->backend_tls = backend_tls;
    for (const Endpoint& where : backends) {
      config->records.push_back(std::make_shared<BackendRecord>(where));
      balance::Candidate candidate{};
      candidate.weight = 1;
      config->candidates.push_back(candidate);
    }
    auto fd = open_listener({*IpAddress::parse("127.0.0.1"), port}, false).value();
    config->address = *local_endpoint(fd.get());
    if (policy.max_connections_per_source != 0) config->limits = std::make_shared<SourceLimits>();
    if (policy.affinity_seconds != 0) config->affinity = std::make_shared<AffinityTable>();
    listener = config;
    engine.add_listener(std::move(fd), config);
  }

  // One more service, for whom `match` names; the first one opens the port.
  void serve_matched(const Match& match, uint16_t backend, const Policy& policy = {}) {
    auto config = std::make_shared<ListenerConfig>();
    config->policy = policy;
    config->match = match;
    config->lobby = std::make_shared<ListenerCounts>();
    const Endpoint at{*IpAddress::parse("127.0.0.1"), backend};
    config->records.push_back(std::make_shared<BackendRecord>(at));
    config->candidates.emplace_back().weight = 1;
    std::vector<Fd> sockets;
    if (!listener) sockets.push_back(open_listener({at.address, 0}, false).value());
    config->address = listener ? listener->address : *local_endpoint(sockets[0].get());
    engine.put_listener(sockets, config, Sharing::kOwnSocket, Begins::kNow);
    listener = config;
  }

  // Does what is to be done and what becomes so, until nothing has for a while.
  void work(int quiet_ms = 20) {
    while (turn(quiet_ms)) {
    }
  }
  // One turn of the loop that a worker runs. False: nothing was to be done for that long.
  bool turn(int most_ms) {
    pollfd ready{engine.descriptor(), POLLIN, 0};
    const bool woken =
        engine.has_queued() || ::poll(&ready, 1, std::min(most_ms, until_tick())) > 0;
    const bool ticks = now() >= engine.next_tick();
    if (woken) engine.poll();
    if (ticks) engine.tick();
    return woken || ticks;
  }
  bool works_until(const std::function<bool()>& holds) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    while (!holds()) {
      if (std::chrono::steady_clock::now() > end) return false;
      turn(10);
    }
    return true;
  }
  Fd dial() const { return moved_up(proxy::dial(listener->address.port)); }
  uint64_t count(std::atomic<uint64_t> EngineCounters::*which) const {
    return engine.counters().*which;
  }

  RelayEngine engine;
  std::shared_ptr<const ListenerConfig> listener;
  std::shared_ptr<const tls::ClientTls> backend_tls;  // of the listeners that follow; null: none

 private:
  static uint64_t now() {
    return uint64_t(std::chrono::duration_cast<std::chrono::milliseconds>(
                        std::chrono::steady_clock::now().time_since_epoch())
                        .count());
  }
  int until_tick() const {
    const uint64_t at = engine.next_tick(), present = now();
    return at <= present ? 0 : int(std::min<uint64_t>(at - present, 1'000'000));
  }
};

inline bool is_reset(const Fd& client) {
  pollfd waiting{client.get(), POLLIN, 0};
  char text[1];
  return ::poll(&waiting, 1, 2000) == 1 && recv(client.get(), text, 1, 0) < 0 &&
         errno == ECONNRESET;
}
inline bool has_input(const Fd& fd) {
  pollfd waiting{fd.get(), POLLIN, 0};
  return ::poll(&waiting, 1, 0) == 1;
}

}  // namespace lb::proxy
