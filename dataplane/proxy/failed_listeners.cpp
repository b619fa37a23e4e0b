#include "dataplane/proxy/failed_listeners.hpp"

namespace lb::proxy {

void FailedListeners::set(std::vector<Failure> failed) {
  std::map<std::pair<std::string, ListenerId>, size_t> where;
  for (size_t i = 0; i < failed.size(); ++i) {
    const Failure& each = failed[i];
    where[{each.key, {{each.address, each.port}, each.protocol, each.match}}] = i;
  }
  all_ = std::move(failed);
  where_ = std::move(where);
}

std::string FailedListeners::reason_of(const std::string& key, const ListenerId& id) const {
  const auto found = where_.find({key, id});
  return found == where_.end() ? "" : all_[found->second].reason;
}

}  // namespace lb::proxy
