#include "controller/core/joins.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

#include "common/model/shortened.hpp"
#include "controller/core/annotations.hpp"
#include "controller/core/plan.hpp"
#include "controller/core/text.hpp"

namespace lb::plan {
namespace {

const std::set<std::string> kNone;

// Of no port: each is served all the same, by the other groups.
void problem(std::vector<Problem>& problems, const Join& join, const std::string& why) {
  problems.push_back({"GroupWithoutService", "group '" + join.group + "' of port " +
                                                 std::to_string(join.port) + ": " + why});
}

// By its number where that is said; else of the same name or number, or the only one there is.
const ServicePort* port_of(const SourceService& guest, const Join& join, const ServicePort& host) {
  const auto find = [&](auto matches) {
    const ServicePort* out = nullptr;
    size_t count = 0;
    for (const auto& port : guest.ports) {
      if (port.protocol != join.protocol || !matches(port)) continue;
      out = &port;
      ++count;
    }
    return count == 1 ? out : nullptr;
  };
  if (join.service_port != 0) {
    return find([&](const auto& port) { return port.port == join.service_port; });
  }
  const auto* named = find([&](const auto& p) { return !p.name.empty() && p.name == host.name; });
  if (named != nullptr) return named;
  const auto* numbered = find([&](const auto& port) { return port.port == join.port; });
  return numbered != nullptr ? numbered : find([](const auto&) { return true; });
}

// What may be no backend of the guest's own must not become one under the host's key.
void add_backends(ServicePort& host, const ServicePort& guest, const Join& join,
                  std::vector<Problem>& problems) {
  std::set<Endpoint> known;
  for (const auto& backend : host.backends) known.insert(backend.endpoint());
  size_t others = 0;
  for (Backend backend : guest.backends) {
    if (!known.insert(backend.endpoint()).second) {
      ++others;
      continue;
    }
    if (const auto why = refuse_address(backend.address, AddressUse::kBackend,
                                        is_kubernetes_key(join.service))) {
      problem(problems, join, backend.endpoint().to_string() + " of " + join.service + ": " + *why);
      continue;
    }
    backend.group = join.group;
    host.backends.push_back(std::move(backend));
  }
  if (others == 0) return;
  problem(problems, join,
          std::to_string(others) + " of " + std::to_string(guest.backends.size()) +
              " backends of " + join.service + " are in another group already, and stay there");
}

bool has_group(const ServicePort& port, const std::string& name) {
  return std::any_of(port.groups.begin(), port.groups.end(),
                     [&](const BackendGroup& group) { return group.name == name; });
}

const Service* held(const World& world, const std::string& key) {
  const auto found = world.published.find(key);
  return found == world.published.end() ? nullptr : found->second.service.get();
}

// What the group has now, where it is served.
void keep_backends(ServicePort& host, const Join& join, const Service* before) {
  if (before == nullptr) return;
  for (const auto& port : before->ports) {
    if (port.port != join.port || port.protocol != join.protocol) continue;
    for (const auto& backend : port.backends) {
      const bool known =
          std::any_of(host.backends.begin(), host.backends.end(),
                      [&](const Backend& each) { return each.endpoint() == backend.endpoint(); });
      if (backend.group == join.group && !known) host.backends.push_back(backend);
    }
  }
}

bool source_is_away(const World& world, const std::string& key) {
  return world.unsynced.contains(key.substr(0, key.find('/') + 1));
}

// RFC 1123, as the API server has it for Services.
bool is_label(std::string_view text) {
  const auto good = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  };
  return !text.empty() && text.size() <= 63 && std::all_of(text.begin(), text.end(), good);
}

std::optional<BackendGroup> read_share(std::string_view text) {
  const size_t sign = std::min(text.find('='), text.size());
  BackendGroup out;
  out.name = trimmed(std::string(text.substr(0, sign)));
  const std::string weight = trimmed(std::string(text.substr(std::min(sign + 1, text.size()))));
  const char* end = weight.data() + weight.size();
  const auto [stop, error] = std::from_chars(weight.data(), end, out.weight);
  if (!is_label(out.name) || weight.empty() || error != std::errc{} || stop != end) return {};
  return out;
}

// Or why not.
Result<std::vector<BackendGroup>> read_shares(const std::string& text, const std::string& own) {
  std::vector<BackendGroup> out;
  std::set<std::string> names;
  for (const std::string& each : split_list(text)) {
    const auto share = read_share(each);
    if (!share)
      return Error{"Schema", "'" + shortened(each, 80) + "' is not SERVICE=WEIGHT, up to 65535"};
    if (!names.insert(share->name).second) {
      return Error{"Schema", "'" + share->name + "' is named twice"};
    }
    out.push_back(*share);
  }
  // What no data plane takes would keep every change of every Service from it.
  if (out.size() > kMaxGroups) {
    return Error{"Schema", "more than " + std::to_string(kMaxGroups) + " Services"};
  }
  if (!names.contains(own)) {
    return Error{"Schema", "'" + own + "' itself is missing; with =0 it gets nobody"};
  }
  return out;
}

void take_in_one(const World& world, const std::string& host, const Join& join, ServicePort& port,
                 std::vector<Problem>& problems) {
  const auto guest = world.services.find(join.service);
  if (guest == world.services.end()) {
    if (source_is_away(world, join.service)) return keep_backends(port, join, held(world, host));
    return problem(problems, join, "there is no service " + join.service);
  }
  const ServicePort* from = port_of(guest->second, join, port);
  if (from != nullptr) return add_backends(port, *from, join, problems);
  problem(problems, join,
          join.service + " has no such port" + (join.service_port == 0 ? "; say which" : ""));
}

}  // namespace

void take_in(const World& world, const SourceService& host, std::vector<ServicePort>& ports,
             std::vector<Problem>& problems) {
  for (const Join& join : host.joins) {
    for (ServicePort& port : ports) {
      const bool meant = port.port == join.port && port.protocol == join.protocol;
      if (meant && has_group(port, join.group)) take_in_one(world, host.key, join, port, problems);
    }
  }
}

void JoinIndex::set(const std::string& host, const std::vector<Join>& joins) {
  const auto forget = [](Names& names, const std::string& key, const std::string& value) {
    const auto found = names.find(key);
    if (found != names.end() && found->second.erase(value) > 0 && found->second.empty()) {
      names.erase(found);
    }
  };
  for (const auto& guest : guests_of(host)) forget(hosts_, guest, host);
  guests_.erase(host);
  for (const auto& join : joins) {
    hosts_[join.service].insert(host);
    guests_[host].insert(join.service);
  }
}

const std::set<std::string>& JoinIndex::hosts_of(const std::string& guest) const {
  const auto found = hosts_.find(guest);
  return found == hosts_.end() ? kNone : found->second;
}

const std::set<std::string>& JoinIndex::guests_of(const std::string& host) const {
  const auto found = guests_.find(host);
  return found == guests_.end() ? kNone : found->second;
}

void apply_groups_annotation(const ServiceObject& service, SourceService& out) {
  const auto given = service.meta.annotations.find(kGroupsAnnotation);
  if (given == service.meta.annotations.end()) return;
  const auto shares = read_shares(given->second, service.meta.name);
  if (!shares) {
    out.problems.push_back(
        {"InvalidAnnotation", std::string(kGroupsAnnotation) + ": " + shares.error().message});
    return;
  }
  for (auto& port : out.ports) {
    port.groups = *shares;
    for (auto& backend : port.backends) backend.group = service.meta.name;
    for (const auto& share : *shares) {
      if (share.name == service.meta.name) continue;
      out.joins.push_back(
          {port.port, port.protocol, share.name, kubernetes_key(service.meta.ns, share.name), 0});
    }
  }
}

}  // namespace lb::plan
