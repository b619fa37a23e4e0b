#include "dataplane/balance/rotation.hpp"

#include <algorithm>

namespace lb::balance {

void Rotation::restart(size_t count) {
  credit_.assign(count, 0);
  first_ = count == 0 ? 0 : offset_ % count;
}

// Debts made under much larger weights would keep a backend out for as many picks.
void Rotation::rescale(uint64_t total_weight) {
  total_weight_ = total_weight;
  const auto limit = int64_t(total_weight);
  for (int64_t& credit : credit_) credit = std::clamp(credit, -limit, limit);
}

}  // namespace lb::balance
