#include "controller/apply_times.hpp"

#include <algorithm>
#include <utility>

namespace lb::controller {

void ApplyTimes::unknown(Time now) {
  if (!unknown_) unknown_ = now;
}

void ApplyTimes::sent() {
  // What was sent before, and not acknowledged, keeps its earlier time.
  sent_.merge(std::exchange(waiting_, {}));
}

void ApplyTimes::acknowledged(Time now) {
  for (const auto& [key, since] : std::exchange(sent_, {})) count(now - since);
  unknown_.reset();
}

void ApplyTimes::count(Seconds took) {
  const auto bound = std::lower_bound(kBounds.begin(), kBounds.end(), took.count());
  ++buckets_[static_cast<size_t>(bound - kBounds.begin())];
  sum_ += took.count();
}

ApplyTimes::Seconds ApplyTimes::age(Time now) const {
  Time oldest = unknown_.value_or(now);
  for (const auto* changes : {&waiting_, &sent_}) {
    for (const auto& [key, since] : *changes) oldest = std::min(oldest, since);
  }
  return now - oldest;
}

ops::HistogramSample ApplyTimes::histogram() const {
  ops::HistogramSample out;
  for (size_t i = 0; i < kBounds.size(); ++i) {
    out.count += buckets_[i];
    out.buckets.emplace_back(kBounds[i], out.count);
  }
  out.count += buckets_.back();
  out.sum = sum_;
  return out;
}

}  // namespace lb::controller
