// What is counted for one port of a service and for one backend of it, on one worker.
//
// Each object has one writer, its worker; anybody may read (relaxed). They outlive configurations
// and vanish with what they are about, so that series of removed services do.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "dataplane/proxy/flow.hpp"

namespace lb::proxy {

// One writer: a plain load and store, no locked instruction.
inline void add(std::atomic<uint64_t>& counter, uint64_t by = 1) {
  counter.store(counter.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
}

// Counts of times up to each bound, in milliseconds; what is above the last bound comes last.
template <size_t kBounds>
struct Histogram {
  std::array<std::atomic<uint64_t>, kBounds + 1> counts{};
  std::atomic<uint64_t> sum_ms{0};

  void observe(uint64_t ms, const std::array<uint64_t, kBounds>& bounds) {
    size_t at = 0;
    while (at < kBounds && ms > bounds[at]) ++at;
    add(counts[at]);
    add(sum_ms, ms);
  }
};

// From the first dial until a backend was connected, and from accept to the end.
inline constexpr std::array<uint64_t, 8> kConnectBounds{1, 5, 10, 25, 100, 250, 1'000, 2'500};
inline constexpr std::array<uint64_t, 7> kLifeBounds{10,     100,     1'000,    10'000,
                                                     60'000, 600'000, 3'600'000};

struct alignas(64) PortStats {
  std::atomic<uint64_t> accepted{0}, bytes_in{0}, bytes_out{0};
  std::atomic<uint64_t> retries{0}, no_backend{0};
  std::atomic<uint64_t> replays{0}, keep_overflows{0}, hedges{0}, hedges_won{0}, drain_resets{0};
  std::atomic<uint64_t> waits{0}, waits_over{0}, wait_timeouts{0}, wait_overflows{0}, wait_gone{0};
  Histogram<kConnectBounds.size()> connect;
  Histogram<kLifeBounds.size()> life;
  std::array<std::atomic<uint64_t>, kEndReasons> ended{};  // all that has closed, by EndReason
  std::array<std::atomic<uint64_t>, kRefusals> refused{};  // by Refusal; UDP: datagrams

  void count(EndReason how) { add(ended[static_cast<size_t>(how)]); }
  void count(Refusal rule, uint64_t by = 1) { add(refused[static_cast<size_t>(rule)], by); }
};

struct alignas(64) BackendStats {
  std::atomic<uint64_t> connections{0}, bytes_in{0}, bytes_out{0};
  std::atomic<uint64_t> refused{0}, timeouts{0}, errors{0}, ejections{0}, instant_resets{0};
  std::atomic<uint64_t> tls{0};  // connects that failed for TLS
};

}  // namespace lb::proxy
