#include "controller/core/service_status.hpp"

#include <algorithm>
#include <set>
#include <tuple>

#include "controller/core/certificate_problems.hpp"

namespace lb::plan {
namespace {

constexpr char kIpModeProxy[] = "Proxy";
constexpr char kCertificateMissing[] = "CertificateMissing";  // as data planes say it

std::string protocol_name(const ServicePort& port) {
  return port.protocol == Protocol::kUdp ? "UDP" : "TCP";
}

// Reasons of ours in ports[].error carry our domain, as the API asks of what it does not define.
std::string error_of(const ServedFacts& facts, const IpAddress& address, uint16_t port,
                     const std::string& protocol) {
  for (const Problem& problem : facts.problems) {
    if (problem.port == port && problem.protocol == protocol) return "empalme.io/" + problem.reason;
  }
  for (const Failure& failure : facts.failures) {
    const std::string name = failure.protocol == Protocol::kUdp ? "UDP" : "TCP";
    if (failure.backend.empty() && failure.address == address && failure.port == port &&
        name == protocol) {
      return "empalme.io/" + failure.reason;
    }
  }
  return {};
}

std::vector<IngressPort> ports_of(const ServedFacts& facts, const IpAddress& address) {
  std::vector<IngressPort> out;
  for (const ServicePort& port : facts.source.ports) {
    const std::string protocol = protocol_name(port);
    out.push_back({port.port, protocol, error_of(facts, address, port.port, protocol)});
  }
  // Protocols that we never serve are not among the ports, only among the problems.
  for (const Problem& problem : facts.problems) {
    const bool listed = std::any_of(out.begin(), out.end(), [&](const IngressPort& port) {
      return port.port == problem.port && port.protocol == problem.protocol;
    });
    if (problem.port != 0 && !listed) {
      out.push_back({problem.port, problem.protocol, "empalme.io/" + problem.reason});
    }
  }
  std::sort(out.begin(), out.end(), [](const IngressPort& a, const IngressPort& b) {
    return std::pair(a.port, a.protocol) < std::pair(b.port, b.protocol);
  });
  return out;
}

Condition condition(const char* type, bool status, std::string reason, std::string message) {
  return {type, status ? "True" : "False", std::move(reason), std::move(message), {}};
}

std::string sentence(const Failure& failure) {
  const std::string where = failure.backend.empty()
                                ? Endpoint{failure.address, failure.port}.to_string()
                                : failure.backend;
  return where + ": " + failure.message;
}

// Why not everything is as asked; empty when it is.
std::pair<std::string, std::string> degradation(const ServedFacts& facts) {
  const auto cause = std::find_if(facts.problems.begin(), facts.problems.end(), is_of_certificate);
  for (const Failure& failure : facts.failures) {
    // That it is missing there is no news where we know why.
    if (failure.reason == kCertificateMissing && cause != facts.problems.end()) continue;
    return {failure.reason, sentence(failure)};
  }
  if (facts.health.hopeless()) {
    const std::string all = std::to_string(facts.health.ready);
    return {"NoHealthyBackend",
            "none of the " + all + " ready backends is fit: " + facts.health.reason};
  }
  for (const Problem& problem : facts.problems) return {problem.reason, problem.message};
  return {};
}

size_t listeners_down(const ServedFacts& facts) {
  // Several data planes may say the same of one.
  std::set<std::tuple<IpAddress, uint16_t, Protocol>> failed;
  for (const Failure& failure : facts.failures) {
    if (failure.backend.empty()) failed.emplace(failure.address, failure.port, failure.protocol);
  }
  const auto trimmed = std::count_if(facts.problems.begin(), facts.problems.end(),
                                     [](const Problem& problem) { return problem.port != 0; });
  return failed.size() + static_cast<size_t>(trimmed) * facts.addresses.size();
}

std::string joined(const std::vector<IpAddress>& addresses) {
  std::string out;
  for (const auto& address : addresses) out += (out.empty() ? "" : ", ") + address.to_string();
  return out;
}

void add_ports_error(StatusWish& wish, const ServedFacts& facts) {
  for (const Problem& problem : facts.problems) {
    if (problem.port == 0) continue;
    wish.conditions.push_back(
        condition(kPortsError, true, "LoadBalancerMixedProtocolNotSupported", problem.message));
    return;
  }
}

bool ours(const std::string& type) {
  return type == kAccepted || type == kProgrammed || type == kDegraded || type == kPortsError;
}

const Condition* find(const std::vector<Condition>& list, const std::string& type) {
  const auto found = std::find_if(list.begin(), list.end(),
                                  [&](const Condition& each) { return each.type == type; });
  return found == list.end() ? nullptr : &*found;
}

bool same(const Condition& a, const Condition& b) {
  return a.status == b.status && a.reason == b.reason && a.message == b.message;
}

PlannedEvent event_of(const Condition& changed) {
  const bool good = (changed.status == "True") != (changed.type == kDegraded);
  if (changed.type == kAccepted && !good) {
    return {true, "SyncLoadBalancerFailed", changed.reason + ": " + changed.message};
  }
  return {!good, changed.reason, changed.message};
}

}  // namespace

StatusWish served_status(const ServedFacts& facts) {
  StatusWish out;
  out.ingress.emplace();
  for (const auto& address : facts.addresses) {
    out.ingress->push_back({address.to_string(), {}, kIpModeProxy, ports_of(facts, address)});
  }
  const size_t all = facts.addresses.size() * facts.source.ports.size();
  const size_t down = listeners_down(facts);
  const auto [reason, message] = degradation(facts);
  out.conditions.push_back(
      condition(kAccepted, true, "Accepted", "address " + joined(facts.addresses)));
  if (down == 0 || down < all) {
    out.conditions.push_back(condition(kProgrammed, true, "Programmed",
                                       "the data plane has confirmed this configuration"));
  } else {
    out.conditions.push_back(condition(kProgrammed, false, reason, message));
  }
  const bool degraded = !reason.empty();
  out.conditions.push_back(condition(kDegraded, degraded, degraded ? reason : "AsExpected",
                                     degraded ? message : "everything is served as asked"));
  add_ports_error(out, facts);
  return out;
}

StatusWish refused_status(const std::vector<Problem>& problems) {
  StatusWish out;
  const Problem* why = &problems.front();
  for (const Problem& problem : problems) {
    if (problem.blocks) why = &problem;
  }
  // The allocator's refusal comes last and is what keeps the Service from being served.
  if (!why->blocks) why = &problems.back();
  out.conditions.push_back(condition(kAccepted, false, why->reason, why->message));
  out.conditions.push_back(condition(kProgrammed, false, why->reason, "nothing is served"));
  return out;
}

void add_changes(ServicePatch& patch, const KubeMeta& meta, const StatusWish& wish,
                 std::vector<PlannedEvent>& events) {
  if (wish.ingress && *wish.ingress != meta.ingress) {
    patch.ingress = wish.ingress;
    if (!wish.ingress->empty()) {
      const bool first = meta.ingress.empty();
      events.push_back({false, first ? "EnsuredLoadBalancer" : "UpdatedLoadBalancer",
                        (first ? "Ensured load balancer at " : "Updated load balancer at ") +
                            wish.ingress->front().ip});
    }
  }
  for (const Condition& wanted : wish.conditions) {
    const Condition* present = find(meta.conditions, wanted.type);
    if (present != nullptr && same(*present, wanted)) continue;
    patch.conditions.push_back(wanted);
    const bool news = present != nullptr || wanted.status != "True";
    const bool quiet = wanted.type == kProgrammed || wanted.type == kPortsError ||
                       (wanted.type == kDegraded && wanted.status == "False") ||
                       (wanted.type == kAccepted && wanted.status == "True");
    if (!quiet && (news || wanted.type == kDegraded)) events.push_back(event_of(wanted));
  }
  for (const Condition& present : meta.conditions) {
    if (ours(present.type) && find(wish.conditions, present.type) == nullptr) {
      patch.remove_conditions.push_back(present.type);
    }
  }
}

void clear_status(ServicePatch& patch, const KubeMeta& meta) {
  // The API server wipes the list itself when the type changes, and refuses it on other types.
  if (meta.type == "LoadBalancer" && !meta.ingress.empty()) patch.ingress.emplace();
  for (const Condition& present : meta.conditions) {
    if (ours(present.type)) patch.remove_conditions.push_back(present.type);
  }
}

}  // namespace lb::plan
