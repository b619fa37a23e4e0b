#include "controller/core/docker_services.hpp"

#include <algorithm>
#include <iterator>
#include <map>

#include "controller/core/labelled_services.hpp"

namespace lb::plan {
namespace {

using Addresses = std::vector<IpAddress>;

BackendState state_of(const Container& container, const std::set<std::string>& draining) {
  if (draining.contains(container.id)) return BackendState::kDraining;
  const bool well =
      container.health == ContainerHealth::kNone || container.health == ContainerHealth::kHealthy;
  return container.state == "running" && well ? BackendState::kReady : BackendState::kNotReady;
}

// Where a container is reached, and what is to be said about it.
struct Reached {
  Addresses at;
  std::string problem;
};

// As it is named, or as compose names it.
const Addresses* named_network(const LabelledContainer& each) {
  const auto& networks = each.container.networks;
  auto found = networks.find(each.labels.network);
  if (found == networks.end()) {
    found = networks.find(each.labels.project + "_" + each.labels.network);
  }
  return found == networks.end() ? nullptr : &found->second;
}

Reached reach_any(const LabelledContainer& each) {
  const auto& networks = each.container.networks;
  if (networks.empty()) return {{}, "is on no network"};
  if (networks.size() == 1) return {networks.begin()->second, {}};
  const auto usual = networks.find(each.labels.project + "_default");
  if (usual != networks.end()) return {usual->second, {}};
  return {networks.begin()->second, "is on several networks; " + networks.begin()->first +
                                        " is used for want of a label empalme.network"};
}

Reached reach(const LabelledContainer& each) {
  // On its way: it has no address until it runs again.
  if (each.container.state == "restarting") return {};
  if (each.container.network_mode == "host") return {{IpAddress::parse("127.0.0.1").value()}, {}};
  if (each.labels.network.empty()) return reach_any(each);
  const Addresses* named = named_network(each);
  if (named == nullptr) return {{}, "is not on the network " + each.labels.network};
  return {*named, {}};
}

LabelledMember member_of(const LabelledContainer& each, const std::set<std::string>& draining) {
  LabelledMember out;
  out.subject = "container " + each.container.name;
  out.name = each.container.name;
  out.state = state_of(each.container, draining);
  out.ports = each.labels.ports;
  out.problems = each.labels.problems;
  out.age = {each.container.created, each.container.id};
  Reached reached = reach(each);
  out.at = std::move(reached.at);
  if (!reached.problem.empty()) {
    out.problems.push_back({"ContainerNetwork", out.subject + " " + reached.problem});
  }
  return out;
}

}  // namespace

std::optional<LabelledContainer> labelled(Container container) {
  if (container.gone()) return std::nullopt;
  auto labels = read_labels(container);
  if (!labels) return std::nullopt;
  return LabelledContainer{std::move(container), std::move(*labels)};
}

std::vector<SourceService> services_of(const std::vector<LabelledContainer>& containers,
                                       const std::set<std::string>& draining) {
  std::map<std::string, std::vector<LabelledMember>> by_key;
  for (const auto& each : containers) {
    by_key[each.labels.key].push_back(member_of(each, draining));
  }
  std::vector<SourceService> out;
  for (auto& [key, members] : by_key) {
    auto services = merge_labelled(key, std::move(members));
    std::move(services.begin(), services.end(), std::back_inserter(out));
  }
  std::ranges::sort(out, {}, &SourceService::key);
  return out;
}

}  // namespace lb::plan
