// Who leads: the rules of client-go's leader election over a Lease, without clock and network.
//
// The caller reads and writes the Lease and says what came of it; times are monotonic milliseconds
// that the caller brings, never those written in the Lease, so clocks of two machines need not
// agree. A Lease of somebody else is taken once its record has not changed for its duration since
// we first saw it so. Whoever cannot renew for `renew_ms` stops leading before anybody else may
// take over (lease > renew > retry). The election itself does not fence: the epoch does. One
// thread. Follows tools/leaderelection of k8s.io/client-go.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "controller/core/lease.hpp"

namespace lb::plan {

class Election {
 public:
  struct Options {
    std::string identity;  // of this process, never used again
    uint32_t lease_s = 15;
    uint64_t renew_ms = 10'000;
    uint64_t retry_ms = 2'000;
  };

  explicit Election(Options options) : options_(std::move(options)) {}

  // The Lease as it was read.
  void observed(const Lease& lease, uint64_t now);
  // As the server answered a write of our wish that was begun at `begun`.
  void written(const Lease& lease, uint64_t begun);
  // There is none, nor anybody who leads by it.
  void absent() {
    lease_.reset();
    leading_ = false;
  }

  // What to write now to take or to keep the Lease; nullopt: somebody else holds it.
  std::optional<LeaseRecord> wish(uint64_t now, const std::string& wall_time) const;
  // The wish was refused, or nobody knows: what is in the Lease has to be read again.
  void refused() { stale_ = true; }
  // Whether the Lease must be read before the next wish.
  bool must_read() const { return stale_ || !leading_; }

  // The version that the next write is based on; empty: it creates the Lease.
  std::string resource_version() const { return lease_ ? lease_->resource_version : ""; }

  bool leading(uint64_t now);
  // Of the present leadership.
  uint64_t epoch() const { return lease_ ? epoch_of(*lease_) : 0; }
  const std::string& holder() const;
  uint64_t transitions() const { return lease_ ? lease_->record.transitions : 0; }

  // What to write so that the next one need not wait; nullopt: it is not ours.
  std::optional<LeaseRecord> resignation(const std::string& wall_time) const;

 private:
  bool held_by_other(uint64_t now) const;

  const Options options_;
  std::optional<Lease> lease_;
  uint64_t changed_at_ = 0;  // when the record was first seen as it is
  uint64_t renewed_at_ = 0;  // when our own last write was begun
  bool leading_ = false;
  bool stale_ = true;
};

}  // namespace lb::plan
