#include "controller/sources/docker_set.hpp"

#include <algorithm>

namespace lb::sources {

void DockerSet::put(plan::Container container) {
  const std::string id = container.id;
  auto known = plan::labelled(std::move(container));
  const auto found = containers_.find(id);
  if (known && found != containers_.end() && found->second == *known) return;
  if (found != containers_.end()) erase(id);
  if (!known) return;
  groups_[known->labels.key].insert(id);
  dirty_.insert(known->labels.key);
  containers_.emplace(id, std::move(*known));
}

void DockerSet::erase(const std::string& id) {
  const auto found = containers_.find(id);
  if (found == containers_.end()) return;
  const std::string& group = found->second.labels.key;
  dirty_.insert(group);
  if (groups_[group].erase(id) > 0 && groups_[group].empty()) groups_.erase(group);
  containers_.erase(found);
}

void DockerSet::replace(std::vector<plan::Container> all, const std::set<std::string>& kept) {
  std::set<std::string> there = kept;
  for (auto& container : all) {
    there.insert(container.id);
    put(std::move(container));
  }
  std::vector<std::string> gone;
  for (const auto& [id, container] : containers_) {
    if (!there.contains(id)) gone.push_back(id);
  }
  for (const auto& id : gone) erase(id);
}

void DockerSet::set_draining(const std::string& id, bool draining) {
  const bool news = draining ? draining_.insert(id).second : draining_.erase(id) > 0;
  const auto found = containers_.find(id);
  if (news && found != containers_.end()) dirty_.insert(found->second.labels.key);
}

DockerSet::Changes DockerSet::take() {
  Changes out;
  for (const auto& group : std::exchange(dirty_, {})) take_group(group, out);
  return out;
}

void DockerSet::take_group(const std::string& group, Changes& out) {
  std::vector<plan::LabelledContainer> members;
  if (const auto found = groups_.find(group); found != groups_.end()) {
    for (const auto& id : found->second) members.push_back(containers_.at(id));
  }
  auto now = plan::services_of(members, draining_);
  auto& before = services_[group];
  for (const auto& service : before) {
    if (!std::ranges::count(now, service.key, &plan::SourceService::key)) {
      out.removed.push_back(service.key);
    }
  }
  for (const auto& service : now) {
    if (!std::ranges::count(before, service)) out.changed.push_back(service);
  }
  before = std::move(now);
  if (before.empty()) services_.erase(group);
}

std::set<std::string> DockerSet::keys() const {
  std::set<std::string> out;
  for (const auto& [group, services] : services_) {
    for (const auto& service : services) out.insert(service.key);
  }
  return out;
}

}  // namespace lb::sources
