// Which backend a client address was sent to last, so that it goes there again; one object for each
// listener, shared by its workers and kept across configurations. Any thread; no errors.
//
// A source is one address, IPv6 ones in full: a /64 may be a whole site, which must not end up on
// one backend. An entry ends `timeout` after its last use, which is find() or remember(). The table
// does not know which backends exist: the caller checks that the one found may still be used.
//
// Memory: kMaxSources is a hard bound; in a shard that is full, the source that was used least
// recently goes. Times are the caller's steady clock in ms.
#pragma once

#include <memory>
#include <optional>

#include "dataplane/proxy/source_table.hpp"
#include "dataplane/proxy/source_totals.hpp"

namespace lb::proxy {

class AffinityTable {
 public:
  // `totals` counts for several tables; null: nobody does.
  explicit AffinityTable(size_t max_sources = kMaxSources,
                         const HashSeed& seed = process_hash_seed(),
                         std::shared_ptr<SourceTotals> totals = {});

  std::optional<Endpoint> find(const IpAddress& source, uint64_t now_ms);

  // A later call for the same source replaces the earlier one. Timeouts above 49 days count as 49.
  void remember(const IpAddress& source, const Endpoint& backend, uint64_t now_ms,
                uint64_t timeout_ms);

  // Forgets the sources of one backend; returns how many. Looks at every entry, with the locks held
  // for short steps only: for the control thread, once the workers have stopped using the backend.
  size_t forget(const Endpoint& backend);

  // Forgets what has expired, at most `budget`; returns how many. Call it about once a second. What
  // was remembered with a shorter timeout may wait behind what has a longer one.
  size_t sweep(uint64_t now_ms, size_t budget);

  size_t sources_tracked() { return table_.size(); }
  std::vector<size_t> sources_by_shard() { return table_.spread(); }
  uint64_t evicted();  // to make room
  const SourceTotals& totals() const { return *totals_; }

 private:
  struct Memory {
    Endpoint backend;
    uint32_t timeout_ms = 0;
    uint64_t expires_ms = 0;
  };
  struct ShardCounts {
    uint64_t evicted = 0;
  };
  using Table = SourceTable<Memory, ShardCounts>;

  Table::Entry& find_or_make(Table::Map& map, ShardCounts& shard, const SourceKey& key,
                             uint64_t hash);

  Table table_;
  const std::shared_ptr<SourceTotals> totals_;  // never null
};

}  // namespace lb::proxy
