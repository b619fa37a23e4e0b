// Waits that double up to a limit, with jitter. Pure: the caller brings the randomness.
#pragma once

#include <algorithm>
#include <chrono>

namespace lb::kube {

class Backoff {
 public:
  using Duration = std::chrono::milliseconds;

  Backoff(Duration first, Duration limit) : first_(first), limit_(limit), next_(first) {}

  // The wait before the next try: between half of the present step and all of it, so that many
  // clients do not return at the same moment. `random` is in [0, 1).
  Duration next(double random) {
    const Duration step = next_;
    next_ = std::min(next_ * 2, limit_);
    return step / 2 +
           Duration(static_cast<Duration::rep>(static_cast<double>(step.count()) / 2 * random));
  }

  void reset() { next_ = first_; }

 private:
  Duration first_;
  Duration limit_;
  Duration next_;
};

}  // namespace lb::kube
