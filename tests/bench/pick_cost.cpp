// What one pick costs, per policy and number of candidates (Google Benchmark), and what it costs
// to build a table of Maglev's.
//
// Candidates are ready, of unequal weights and loads. Clients and random numbers are drawn in the
// loop, which adds about a nanosecond.
#include <benchmark/benchmark.h>

#include <vector>

#include "dataplane/balance/hash.hpp"
#include "dataplane/balance/maglev_table.hpp"
#include "dataplane/balance/picker.hpp"

namespace lb::balance {
namespace {

std::vector<Candidate> some(size_t count) {
  std::vector<Candidate> out(count);
  for (size_t i = 0; i < count; ++i) {
    out[i].weight = uint16_t(1 + i % 3);
    out[i].connections = uint32_t(100 * out[i].weight + i % 7);
    out[i].identity = hash_of(Endpoint{IpAddress::v4(0x0a000000 + uint32_t(i)), 80});
  }
  return out;
}

void run(benchmark::State& state, Balance policy, const std::vector<Candidate>& candidates) {
  const auto picker = make_picker(policy, 1);
  uint64_t random = 1;
  for (auto _ : state) {
    const uint64_t word = next_random(random);
    benchmark::DoNotOptimize(picker->pick(candidates, {word, word}, {}));
  }
}

void pick(benchmark::State& state, Balance policy) {
  run(state, policy, some(size_t(state.range(0))));
}

// Everything that a tier can depend on is in use.
void pick_of_many_kinds(benchmark::State& state, Balance policy) {
  auto candidates = some(size_t(state.range(0)));
  for (size_t i = 0; i < candidates.size(); ++i) {
    candidates[i].health = i % 5 == 1 ? Health::kDown : Health::kUp;
    candidates[i].ejected = i % 7 == 1;
    candidates[i].near = i % 2 == 0;
  }
  run(state, policy, candidates);
}

void build_table(benchmark::State& state) {
  auto candidates = some(size_t(state.range(0)));
  MaglevTable table;
  for (auto _ : state) {
    ++candidates[0].identity;
    benchmark::DoNotOptimize(table.refresh(candidates));
  }
}

void sizes(benchmark::internal::Benchmark* benchmark) {
  for (const int64_t count : {3, 10, 100, 1000}) benchmark->Arg(count);
}

BENCHMARK_CAPTURE(pick, round_robin, Balance::kRoundRobin)->Apply(sizes);
BENCHMARK_CAPTURE(pick, least_connections, Balance::kLeastConnections)->Apply(sizes);
BENCHMARK_CAPTURE(pick, random_two, Balance::kRandomTwo)->Apply(sizes);
BENCHMARK_CAPTURE(pick, maglev, Balance::kMaglev)->Apply(sizes);
BENCHMARK_CAPTURE(pick_of_many_kinds, round_robin, Balance::kRoundRobin)->Apply(sizes);
BENCHMARK_CAPTURE(pick_of_many_kinds, maglev, Balance::kMaglev)->Apply(sizes);
BENCHMARK(build_table)->Apply(sizes);

}  // namespace
}  // namespace lb::balance

BENCHMARK_MAIN();
