// How many connections one client address may have open, and how many it may open a second; one
// object for each listener, shared by its workers. Any thread; no errors.
//
// A source is an IPv4 address or an IPv6 /64 (kIpv6SourcePrefix). The rate is a token bucket that
// holds max(1, rate) connections and refills at `rate` a second, so at most twice the rate is
// admitted in any one second; what is refused takes no token. Time is the caller's steady clock in
// ms; a little disorder between workers does no harm. A token takes whole nanoseconds, so a rate is
// exceeded by at most rate / 10^9 of itself.
//
// Memory: a source is forgotten when it has no connection and its bucket is full, which is 1 s
// after its last connection at the latest, by leave() or by the next sweep(). kMaxSources is a hard
// bound: when a shard is full, the source that has had no connection for the longest time goes,
// even if its bucket is not full (that loses at most 1 s of its rate). When all of them have open
// connections a new source is refused, not let in uncounted: else whoever fills the table is rid of
// the limits. That takes more open connections than a process has descriptors.
#pragma once

#include <memory>
#include <optional>

#include "dataplane/proxy/flow.hpp"
#include "dataplane/proxy/source_table.hpp"
#include "dataplane/proxy/source_totals.hpp"

namespace lb::proxy {

enum class Admit : uint8_t { kYes, kTooManyConnections, kTooFast };

// None for kYes.
inline std::optional<Refusal> refusal_of(Admit verdict) {
  if (verdict == Admit::kYes) return std::nullopt;
  return verdict == Admit::kTooFast ? Refusal::kRate : Refusal::kSource;
}

struct SourceLimitsCounts {
  uint64_t too_many_connections = 0;  // refused, without those of `table_full`
  uint64_t too_fast = 0;              // refused
  uint64_t table_full = 0;            // refused, reported as kTooManyConnections
  uint64_t evicted = 0;               // forgotten to make room
  uint64_t evicted_early = 0;         // of those: with a bucket that was not full
  uint64_t unmatched_leaves = 0;      // an error of the caller
};

class SourceLimits {
 public:
  // 0: no limit.
  struct Limits {
    uint32_t max_connections_per_source = 0;
    uint32_t max_rate_per_source = 0;
  };

  // `totals` counts for several tables; null: nobody does.
  explicit SourceLimits(size_t max_sources = kMaxSources,
                        const HashSeed& seed = process_hash_seed(),
                        std::shared_ptr<SourceTotals> totals = {});

  // After kYes, and only then, leave() must follow once, with the same address. The limits may
  // differ from call to call; open connections count even where `limits` has none.
  Admit enter(const IpAddress& source, uint64_t now_ms, const Limits& limits);
  void leave(const IpAddress& source);

  // Forgets idle sources, at most `budget`; returns how many. Call it about once a second.
  size_t sweep(uint64_t now_ms, size_t budget);

  size_t sources_tracked() { return table_.size(); }
  std::vector<size_t> sources_by_shard() { return table_.spread(); }
  uint32_t connections(const IpAddress& source);
  SourceLimitsCounts counts();
  const SourceTotals& totals() const { return *totals_; }

 private:
  struct Source {
    uint64_t full_at_ns = 0;  // when its bucket is full again
    uint32_t connections = 0;
  };
  struct ShardCounts : SourceLimitsCounts {
    uint64_t now_ns = 0;  // the latest time seen
  };
  using Table = SourceTable<Source, ShardCounts>;

  static Admit judge(const Source& source, const ShardCounts& shard, const Limits& limits);
  bool make_room(Table::Map& map, ShardCounts& shard);
  Table::Entry* find_or_make(Table::Map& map, ShardCounts& shard, const SourceKey& key,
                             uint64_t hash);

  Table table_;
  const std::shared_ptr<SourceTotals> totals_;  // never null
};

}  // namespace lb::proxy
