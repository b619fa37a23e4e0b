// A UDP relay as a process of its own, for measuring: one worker between a port and some backends.
//
//   udp-relay-bench PORT [--no-trains] BACKEND...     (ADDRESS:PORT each; ends with SIGTERM)
//
// Says its counters at the end. Pinned to no core: taskset(1) does that.
#include <poll.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "dataplane/proxy/udp_relay.hpp"
#include "dataplane/proxy/udp_sockets.hpp"

namespace {

volatile sig_atomic_t g_over = 0;

int patience_ms(uint64_t next_tick) {
  const auto now = uint64_t(std::chrono::duration_cast<std::chrono::milliseconds>(
                                std::chrono::steady_clock::now().time_since_epoch())
                                .count());
  if (next_tick == UINT64_MAX) return 1000;
  return next_tick <= now ? 0 : int(std::min<uint64_t>(next_tick - now, 1000));
}

// As the workers host it: the set nested in another poller, and read until it is empty.
void run(lb::proxy::UdpRelay& relay) {
  while (g_over == 0) {
    const int wait = patience_ms(relay.next_tick());
    pollfd waiting{relay.descriptor(), POLLIN, 0};
    if (wait == 0) relay.tick();
    if (::poll(&waiting, 1, std::max(wait, 1)) <= 0) continue;
    while (g_over == 0 && relay.poll()) {
    }
  }
}

void report(const lb::proxy::UdpCounters& all) {
  std::printf("sessions %lu  in %lu (%lu trains)  out %lu (%lu trains)  lost %lu\n",
              all.sessions_opened.load(), all.datagrams_in.load(), all.trains_in.load(),
              all.datagrams_out.load(), all.trains_out.load(),
              all.send_full + all.send_failed + all.own_wants + all.no_backend + all.unreachable);
}

std::shared_ptr<lb::proxy::ListenerConfig> config_of(uint16_t port,
                                                     const std::vector<std::string>& backends) {
  auto out = std::make_shared<lb::proxy::ListenerConfig>();
  out->address = {lb::IpAddress::v4(0x7f000001), port};
  for (const std::string& text : backends) {
    const auto where = lb::parse_endpoint(text);
    if (!where) {
      std::fprintf(stderr, "%s\n", where.error().message.c_str());
      std::exit(2);
    }
    out->candidates.push_back({});
    out->records.push_back(std::make_shared<lb::proxy::BackendRecord>(*where));
  }
  return out;
}

}  // namespace

int main(int count, char** words) {
  if (count < 3) return 2;
  signal(SIGTERM, [](int) { g_over = 1; });
  std::vector<std::string> backends(words + 2, words + count);
  lb::proxy::UdpHooks hooks;
  hooks.trains = std::erase(backends, "--no-trains") == 0;
  const auto config = config_of(uint16_t(std::atoi(words[1])), backends);
  auto listener = lb::proxy::open_udp_listener(config->address, false);
  if (!listener) {
    std::fprintf(stderr, "%s\n", listener.error().message.c_str());
    return 1;
  }
  lb::proxy::UdpRelay relay(0, hooks);
  relay.add_listener(std::move(listener).value(), config);
  run(relay);
  report(relay.counters());
}
