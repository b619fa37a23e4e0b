#include "controller/core/consul_services.hpp"

#include <algorithm>
#include <map>
#include <optional>

#include "controller/core/labelled_services.hpp"
#include "controller/core/text.hpp"

namespace lb::plan {
namespace {

// "empalme.tcp.80": its target is the instance's own port.
bool is_bare_port(const std::string& label) {
  return (label.starts_with("empalme.tcp.") || label.starts_with("empalme.udp.")) &&
         label.find('.', sizeof "empalme.tcp." - 1) == std::string::npos;
}

// Of two tags with one name the first stands; one that names a target, before one that does not.
LabelReader::Labels labels_of(const ConsulInstance& instance) {
  LabelReader::Labels out, bare;
  for (const auto& tag : instance.tags) {
    const size_t sign = std::min(tag.find('='), tag.size());
    const std::string label = trimmed(tag.substr(0, sign));
    const std::string text = trimmed(tag.substr(std::min(sign + 1, tag.size())));
    if (!is_bare_port(label)) {
      out.emplace(label, text);
    } else {
      bare.emplace(label + ".target", text.empty() ? std::to_string(instance.port) : text);
    }
  }
  out.merge(bare);
  return out;
}

std::vector<IpAddress> addresses_of(const ConsulInstance& instance, LabelledMember& member) {
  const auto address = IpAddress::parse(instance.address);
  if (address) return {*address};
  member.problems.push_back({"InstanceAddress", member.subject + " has no numeric address: '" +
                                                    instance.address + "'; it is not served"});
  return {};
}

BackendState state_of(ConsulHealth health) {
  if (health == ConsulHealth::kCritical) return BackendState::kNotReady;
  return health == ConsulHealth::kMaintenance ? BackendState::kDraining : BackendState::kReady;
}

// Nullopt: it has not asked to be served. A proxy of Consul's mesh takes over the tags of the
// service that it stands before.
std::optional<LabelledMember> member_of(const ConsulInstance& instance) {
  const auto labels = labels_of(instance);
  const auto enable = labels.find(kEnableLabel);
  if (enable == labels.end() || !instance.kind.empty()) return std::nullopt;
  LabelledMember out;
  out.subject = "instance " + instance.key();
  LabelReader reader({.subject = out.subject,
                      .word = "tag",
                      .others = {},
                      .target = instance.port,
                      .weight = instance.health == ConsulHealth::kWarning
                                    ? instance.warning_weight
                                    : instance.passing_weight});
  if (!reader.asks(enable->second)) return std::nullopt;
  reader.gather(labels);
  if (reader.empty()) {
    reader.problem(kEnableLabel, "says yes, and no tag says which port: empalme.tcp.<port>");
  }
  out.ports = reader.take_ports();
  out.problems = reader.take_problems();
  out.name = instance.id;
  out.at = addresses_of(instance, out);
  out.state = state_of(instance.health);
  out.node = instance.node;
  out.zone = instance.zone;
  out.age = {instance.modified, instance.key()};
  return out;
}

bool fit(const ConsulInstance& instance) { return instance.health <= ConsulHealth::kWarning; }

}  // namespace

std::vector<SourceService> consul_services(const std::string& name,
                                           const std::vector<ConsulInstance>& instances) {
  std::vector<LabelledMember> members;
  for (const auto& instance : instances) {
    if (auto member = member_of(instance)) members.push_back(std::move(*member));
  }
  return merge_labelled("consul/" + name, std::move(members));
}

std::vector<ConsulInstance> without_losses(const std::vector<ConsulInstance>& before,
                                           std::vector<ConsulInstance> now) {
  std::map<std::string, ConsulInstance*> by_key;
  for (auto& each : now) by_key[each.key()] = &each;
  std::vector<ConsulInstance> missing;
  for (const auto& old : before) {
    const auto found = by_key.find(old.key());
    if (found == by_key.end()) {
      missing.push_back(old);
    } else if (fit(old) && found->second->health == ConsulHealth::kCritical) {
      found->second->health = old.health;
    }
  }
  now.insert(now.end(), missing.begin(), missing.end());
  return now;
}

}  // namespace lb::plan
