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
  for (auto each = patch.changed.begin(); each != patch.changed.end(); ++each) {
    out[each->key] = each.element();
  }
  return out;
}

// The first service that does not sort before `key`.
size_t position_of(const ServiceList& sorted, std::string_view key) {
  const auto found =
      std::lower_bound(sorted.begin(), sorted.end(), key,
                       [](const Service& s, std::string_view k) { return s.key < k; });
  return static_cast<size_t>(found - sorted.begin());
}

// False: some service comes or goes, and those behind it move.
bool replace_all(ServiceList& services, const Edits& edits) {
  for (const auto& [key, service] : edits) {
    const size_t at = position_of(services, key);
    const bool known = at < services.size() && services[at].key == key;
    if (!known && !service) continue;
    if (!known || !service) return false;
    services.replace(at, service);
  }
  return true;
}

// Both sides are sorted by key.
ServiceList merge(const ServiceList& held, const Edits& edits) {
  ServiceList out;
  out.reserve(held.size() + edits.size());
  size_t old = 0;
  for (const auto& [key, service] : edits) {
    const size_t upto = position_of(held, key);
    for (; old < upto; ++old) out.share_back(held.element(old));
    if (old < held.size() && held[old].key == key) ++old;
    if (service) out.share_back(service);
  }
  for (; old < held.size(); ++old) out.share_back(held.element(old));
  return out;
}

}  // namespace

StateDiff diff(const DesiredState& from, const DesiredState& to) {
  StateDiff out;
  const ServiceList &before = from.services, &after = to.services;
  size_t old = 0;
  for (size_t now = 0; now < after.size();) {
    const size_t same = old < before.size() ? after.shared_run(now, before, old) : 0;
    now += same;
    old += same;
    if (same != 0) continue;
    const Service& service = after[now];
    for (; old < before.size() && before[old].key < service.key; ++old) {
      out.removed.push_back(before[old].key);
    }
    const bool known = old < before.size() && before[old].key == service.key;
    if (!known || !(before[old] == service)) out.changed.share_back(after.element(now));
    if (known) ++old;
    ++now;
  }
  for (; old < before.size(); ++old) out.removed.push_back(before[old].key);
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
  const Edits edits = edits_of(patch);
  DesiredState out{{patch.epoch, patch.generation}, held.services};
  if (!replace_all(out.services, edits)) out.services = merge(held.services, edits);
  return out;
}

}  // namespace lb
