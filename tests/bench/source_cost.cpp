// What the per-source tables cost at accept: ns for each pair of calls, by number of sources and of
// threads. Sources come in random order, so at a million of them most look-ups miss the caches.
#include <benchmark/benchmark.h>

#include <chrono>
#include <memory>
#include <random>
#include <vector>

#include "dataplane/proxy/affinity_table.hpp"
#include "dataplane/proxy/source_limits.hpp"

namespace {

using lb::Endpoint;
using lb::IpAddress;
using lb::proxy::AffinityTable;
using lb::proxy::SourceLimits;

constexpr SourceLimits::Limits kLimits{1'000'000, 1'000'000};
const Endpoint kBackend{IpAddress::v4(0xc6336401), 80};

std::vector<IpAddress> shuffled(size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<IpAddress> out;
  for (int i = 0; i < 1 << 16; ++i) {
    out.push_back(IpAddress::v4(0x0a000000 + static_cast<uint32_t>(random() % count)));
  }
  return out;
}

uint64_t steady_ms() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}

// One table for each number of sources, filled once and shared by the threads of a run.
template <class Table>
struct Shared {
  std::unique_ptr<Table> table;
  size_t count = 0;
};

// Room for more than there are sources, or the shards above the mean would evict.
constexpr size_t kRoom = 1'500'000;

// Each source is held open once, so that the pairs measured neither create nor erase it.
void fill(SourceLimits& table, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) table.enter(IpAddress::v4(0x0a000000 + i), 0, kLimits);
}
void fill(AffinityTable& table, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) {
    table.remember(IpAddress::v4(0x0a000000 + i), kBackend, 0, UINT32_MAX);
  }
}

template <class Table>
Shared<Table> shared;

template <class Table>
void prepare(const benchmark::State& state) {
  const auto count = static_cast<size_t>(state.range(0));
  if (shared<Table>.table != nullptr && shared<Table>.count == count) return;
  shared<Table> = {std::make_unique<Table>(kRoom), count};
  fill(*shared<Table>.table, static_cast<uint32_t>(count));
}

// Runs pair(table, source, now) until the time is over.
template <class Table, class Pair>
void measure(benchmark::State& state, const Pair& pair) {
  if (state.thread_index() == 0) prepare<Table>(state);
  const auto sources =
      shuffled(static_cast<size_t>(state.range(0)), static_cast<unsigned>(state.thread_index()));
  const uint64_t now = steady_ms();
  size_t i = 0;
  for (auto _ : state) {
    pair(*shared<Table>.table, sources[i], now);
    i = (i + 1) % sources.size();
  }
}

void enter_and_leave(benchmark::State& state) {
  measure<SourceLimits>(state, [](SourceLimits& table, const IpAddress& source, uint64_t now) {
    benchmark::DoNotOptimize(table.enter(source, now, kLimits));
    table.leave(source);
  });
}

// The source comes into being and is forgotten each time.
void enter_and_leave_new(benchmark::State& state) {
  measure<SourceLimits>(state, [](SourceLimits& table, const IpAddress& source, uint64_t now) {
    const IpAddress stranger = IpAddress::v4(source.to_v4() + 0x01000000);
    benchmark::DoNotOptimize(table.enter(stranger, now, {1'000'000, 0}));
    table.leave(stranger);
  });
}

void find_and_remember(benchmark::State& state) {
  measure<AffinityTable>(state, [](AffinityTable& table, const IpAddress& source, uint64_t now) {
    benchmark::DoNotOptimize(table.find(source, now));
    table.remember(source, kBackend, now, UINT32_MAX);
  });
}

void forget_nothing(benchmark::State& state) {
  prepare<AffinityTable>(state);
  for (auto _ : state) {
    benchmark::DoNotOptimize(shared<AffinityTable>.table->forget({IpAddress::v4(1), 1}));
  }
}

void with_sources(benchmark::internal::Benchmark* run) {
  for (const int64_t count : {10, 10'000, 1'000'000}) run->Arg(count);
  run->ThreadRange(1, 2)->UseRealTime();
}

BENCHMARK(enter_and_leave)->Apply(with_sources);
BENCHMARK(enter_and_leave_new)->Apply(with_sources);
BENCHMARK(find_and_remember)->Apply(with_sources);
BENCHMARK(forget_nothing)->Arg(1'000'000)->Unit(benchmark::kMillisecond);

}  // namespace
