#include "controller/core/election.hpp"

namespace lb::plan {

void Election::observed(const Lease& lease, uint64_t now) {
  if (!lease_ || lease_->record != lease.record) changed_at_ = now;
  lease_ = lease;
  stale_ = false;
  // Ours by name only is not enough: a write may have got through whose answer never came.
  leading_ = leading_ && lease.record.holder == options_.identity;
}

void Election::written(const Lease& lease, uint64_t begun) {
  observed(lease, begun);
  renewed_at_ = begun;
  leading_ = lease.record.holder == options_.identity;
}

bool Election::held_by_other(uint64_t now) const {
  if (!lease_ || lease_->record.holder.empty()) return false;
  if (lease_->record.holder == options_.identity) return false;
  return now < changed_at_ + uint64_t{lease_->record.duration_s} * 1000;
}

std::optional<LeaseRecord> Election::wish(uint64_t now, const std::string& wall_time) const {
  if (held_by_other(now)) return std::nullopt;
  LeaseRecord out{options_.identity, options_.lease_s, 0, wall_time, wall_time};
  if (!lease_) return out;
  const bool ours = lease_->record.holder == options_.identity;
  out.transitions = lease_->record.transitions + (ours ? 0 : 1);
  if (ours) out.acquired = lease_->record.acquired;
  return out;
}

bool Election::leading(uint64_t now) {
  if (leading_ && now >= renewed_at_ + options_.renew_ms) leading_ = false;
  return leading_;
}

const std::string& Election::holder() const {
  static const std::string kNobody;
  return lease_ ? lease_->record.holder : kNobody;
}

std::optional<LeaseRecord> Election::resignation(const std::string& wall_time) const {
  if (!lease_ || lease_->record.holder != options_.identity) return std::nullopt;
  LeaseRecord out = lease_->record;
  out.holder.clear();
  out.duration_s = 1;
  out.renewed = wall_time;
  return out;
}

}  // namespace lb::plan
