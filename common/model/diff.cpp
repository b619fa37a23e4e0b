#include "common/model/diff.hpp"

#include <algorithm>
#include <map>
#include <string_view>

namespace lb {
namespace {

std::string describe(Version version) {
  return "(" + std::to_string(version.epoch) + ", " + std::to_string(version.generation) + ")";
}

Error order_error(const std::string& what, Version held) {
  return {"Order", what + "; held is " + describe(held)};
}

// Null: removed.
using Edits = std::map<std::string_view, ServiceList::Element>;

Edits edits_of(const StatePatch& patch) {
  Edits out;
  for (const auto& key : patch.removed) out[key] = nullptr;
  for (const auto& service : patch.changed) {
    auto copy = std::make_shared<Service>(service);
    normalise(*copy);
    out[service.key] = std::move(copy);
  }
  return out;
}

// Both sides are sorted by key.
DesiredState merge(const DesiredState& held, const StatePatch& patch) {
  DesiredState out;
  out.version = {patch.epoch, patch.generation};
  out.services.reserve(held.services.size() + patch.changed.size());
  const auto add = [&](const ServiceList::Element& element) {
    if (element) out.services.share_back(element);
  };
  auto old = held.services.begin();
  for (const auto& [key, service] : edits_of(patch)) {
    // Bisected, so that few keys are looked at of those that stay.
    const auto upto =
        std::lower_bound(old, held.services.end(), key,
                         [](const Service& s, std::string_view k) { return s.key < k; });
    for (; old != upto; ++old) add(old.element());
    if (old != held.services.end() && old->key == key) ++old;
    add(service);
  }
  for (; old != held.services.end(); ++old) add(old.element());
  return out;
}

}  // namespace

StateDiff diff(const DesiredState& from, const DesiredState& to) {
  StateDiff out;
  auto old = from.services.begin();
  for (auto now = to.services.begin(); now != to.services.end(); ++now) {
    if (old != from.services.end() && old.element() == now.element()) {
      ++old;
      continue;
    }
    const Service& service = *now;
    for (; old != from.services.end() && old->key < service.key; ++old) {
      out.removed.push_back(old->key);
    }
    const bool known = old != from.services.end() && old->key == service.key;
    if (!known || !(*old == service)) out.changed.share_back(now.element());
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

void share_equal(const DesiredState& with, DesiredState& state) {
  auto theirs = with.services.begin();
  for (size_t i = 0; i < state.services.size(); ++i) {
    const Service& ours = state.services[i];
    while (theirs != with.services.end() && theirs->key < ours.key) ++theirs;
    if (theirs == with.services.end()) return;
    if (*theirs == ours) state.services.replace(i, theirs.element());
  }
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
  return merge(held, patch);
}

}  // namespace lb
