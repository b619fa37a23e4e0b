#include "dataplane/announce/found_addresses.hpp"

#include <algorithm>
#include <utility>

namespace lb::announce {

void FoundAddresses::take(std::set<IpAddress> present, Clock::time_point until) {
  found_ = std::move(present);
  until_ = until;
}

std::set<IpAddress> FoundAddresses::without(std::set<IpAddress> wanted) const {
  std::erase_if(wanted, [this](const IpAddress& each) { return found_.contains(each); });
  return wanted;
}

FoundAddresses::Outcome FoundAddresses::settle(const std::set<IpAddress>& wanted,
                                               const std::set<IpAddress>& present,
                                               const std::function<bool(const IpAddress&)>& held,
                                               Clock::time_point now) {
  const bool ours = std::none_of(found_.begin(), found_.end(), [&](const IpAddress& each) {
    return wanted.contains(each) && present.contains(each) && !held(each);
  });
  if (!ours && now < until_) return Outcome::kWaiting;
  found_.clear();
  return ours ? Outcome::kOurs : Outcome::kLate;
}

}  // namespace lb::announce
