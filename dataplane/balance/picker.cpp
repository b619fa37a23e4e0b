#include "dataplane/balance/picker.hpp"

#include "dataplane/balance/grouped.hpp"
#include "dataplane/balance/least_connections.hpp"
#include "dataplane/balance/maglev.hpp"
#include "dataplane/balance/random_two.hpp"
#include "dataplane/balance/round_robin.hpp"

namespace lb::balance {

std::unique_ptr<Picker> make_picker(Balance policy, size_t offset,
                                    std::span<const GroupShare> groups) {
  if (!groups.empty()) return std::make_unique<Grouped>(policy, offset, groups);
  switch (policy) {
    case Balance::kLeastConnections:
      return std::make_unique<LeastConnections>(offset);
    case Balance::kRandomTwo:
      return std::make_unique<RandomTwo>();
    case Balance::kMaglev:
      return std::make_unique<Maglev>();
    case Balance::kRoundRobin:
      break;
  }
  return std::make_unique<RoundRobin>(offset);
}

}  // namespace lb::balance
