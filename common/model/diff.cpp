#include "common/model/diff.hpp"

#include <map>

namespace lb {
namespace {

std::string describe(Version version) {
  return "(" + std::to_string(version.epoch) + ", " + std::to_string(version.generation) + ")";
}

Error order_error(const std::string& what, Version held) {
  return {"Order", what + "; held is " + describe(held)};
}

}  // namespace

StateDiff diff(const DesiredState& from, const DesiredState& to) {
  StateDiff out;
  auto old = from.services.begin();
  for (const auto& service : to.services) {
    for (; old != from.services.end() && old->key < service.key; ++old) {
      out.removed.push_back(old->key);
    }
    const bool known = old != from.services.end() && old->key == service.key;
    if (!known || !(*old == service)) out.changed.push_back(service);
    if (known) ++old;
  }
  for (; old != from.services.end(); ++old) out.removed.push_back(old->key);
  return out;
}

StatePatch to_patch(const StateDiff& diff, Version base, uint64_t generation) {
  return {base.epoch, base.generation, generation, diff.changed, diff.removed};
}

Status check_put(const DesiredState& held, const DesiredState& offered) {
  if (offered.version > held.version) return Done{};
  if (offered.version != held.version) {
    return order_error("offered " + describe(offered.version) + " is older", held.version);
  }
  if (offered == held) return Done{};
  return order_error("offered " + describe(offered.version) + " differs in content", held.version);
}

Result<DesiredState> apply_patch(const DesiredState& held, const StatePatch& patch) {
  const Version base{patch.epoch, patch.base_generation};
  if (base != held.version) {
    return order_error("the patch is based on " + describe(base), held.version);
  }
  if (patch.generation <= patch.base_generation) {
    return order_error("generation must grow past " + std::to_string(patch.base_generation),
                       held.version);
  }
  std::map<std::string, Service> services;
  for (const auto& service : held.services) services.emplace(service.key, service);
  for (const auto& key : patch.removed) services.erase(key);
  for (const auto& service : patch.changed) services.insert_or_assign(service.key, service);
  DesiredState out;
  out.version = {patch.epoch, patch.generation};
  for (auto& [key, service] : services) out.services.push_back(std::move(service));
  normalise(out);
  return out;
}

}  // namespace lb
