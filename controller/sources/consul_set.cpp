#include "controller/sources/consul_set.hpp"

#include <algorithm>

namespace lb::sources {

ConsulSet::Changes ConsulSet::put(const std::string& name, plan::ConsulInstances instances) {
  Changes out;
  Known& known = services_[name];
  for (const auto& unread : instances.unread) {
    const auto old = std::ranges::find(known.said, unread.key, &plan::ConsulInstance::key);
    if (old != known.said.end()) instances.instances.push_back(*old);
  }
  if (known.said == instances.instances && !known.said.empty()) return out;
  known.said = std::move(instances.instances);
  auto believed = doubted_ ? plan::without_losses(known.believed, known.said) : known.said;
  update(name, known, std::move(believed), out);
  return out;
}

ConsulSet::Changes ConsulSet::keep(const std::set<std::string>& names) {
  Changes out;
  for (auto it = services_.begin(); it != services_.end();) {
    if (names.contains(it->first)) {
      ++it;
      continue;
    }
    update(it->first, it->second, {}, out);
    it = services_.erase(it);
  }
  return out;
}

ConsulSet::Changes ConsulSet::believe() {
  Changes out;
  doubted_ = false;
  for (auto& [name, known] : services_) update(name, known, known.said, out);
  return out;
}

void ConsulSet::update(const std::string& name, Known& known,
                       std::vector<plan::ConsulInstance> believed, Changes& out) {
  instances_ = instances_ - known.believed.size() + believed.size();
  known.believed = std::move(believed);
  auto now = plan::consul_services(name, known.believed);
  for (const auto& service : known.services) {
    if (!std::ranges::count(now, service.key, &plan::SourceService::key)) {
      out.removed.push_back(service.key);
    }
  }
  for (const auto& service : now) {
    if (!std::ranges::count(known.services, service)) out.changed.push_back(service);
  }
  known.services = std::move(now);
}

std::set<std::string> ConsulSet::names() const {
  std::set<std::string> out;
  for (const auto& [name, known] : services_) out.insert(name);
  return out;
}

std::set<std::string> ConsulSet::keys() const {
  std::set<std::string> out;
  for (const auto& [name, known] : services_) {
    for (const auto& service : known.services) out.insert(service.key);
  }
  return out;
}

}  // namespace lb::sources
