#include "controller/explain.hpp"

#include <algorithm>

#include "common/model/json.hpp"

namespace lb::controller {
namespace {

using Json = nlohmann::ordered_json;
using plan::KubeMeta;

constexpr char kOnlyTakenIn[] =
    "it asks for no listener: its backends are for services that take it in";

// Empty: it is ours.
std::string why_not_ours(const KubeMeta& meta, const plan::Settings& settings) {
  if (plan::owned(meta, settings)) return {};
  if (meta.deleting) return "it is being deleted";
  if (meta.type != "LoadBalancer") return "its type is " + meta.type + ", not LoadBalancer";
  if (!meta.load_balancer_class) {
    return "it names no loadBalancerClass, and this controller takes only " +
           settings.load_balancer_class + " (see --claim-unclassed)";
  }
  return "its loadBalancerClass is " + *meta.load_balancer_class + ", ours is " +
         settings.load_balancer_class;
}

std::string why_not_served(const plan::SourceService& source, const plan::Settings& settings) {
  if (source.kube) return why_not_ours(*source.kube, settings);
  return source.addresses.empty() ? kOnlyTakenIn : "";
}

std::string origin_of(const IpAddress& address, const plan::SourceService& source) {
  if (!source.kube) return "the source names it";
  const auto& wanted = source.kube->requested;
  if (std::find(wanted.begin(), wanted.end(), address) != wanted.end()) {
    return "the Service asks for it";
  }
  const auto& ingress = source.kube->ingress;
  const bool kept = std::any_of(ingress.begin(), ingress.end(),
                                [&](const auto& each) { return each.ip == address.to_string(); });
  return kept ? "its status names it, so it stays" : "it was free";
}

Json addresses_of(const std::string& key, const plan::SourceService& source,
                  const plan::Allocator& allocator) {
  Json out = Json::array();
  const auto addresses = source.kube ? allocator.held(key) : source.addresses;
  for (const auto& address : addresses) {
    Json each{{"address", address.to_string()}, {"why", origin_of(address, source)}};
    if (const auto* pool = allocator.pools().owner(address)) each["pool"] = pool->name;
    out.push_back(std::move(each));
  }
  return out;
}

Json ports_of(const std::vector<ServicePort>& ports) {
  Json out = Json::array();
  for (const auto& port : ports) {
    Json backends = Json::array();
    for (const auto& backend : port.backends) {
      backends.push_back({{"backend", backend.endpoint().to_string()},
                          {"state", to_string(backend.state)},
                          {"name", backend.name},
                          {"node", backend.node}});
    }
    Json one{{"port", port.port},
             {"protocol", to_string(port.protocol)},
             {"backends", std::move(backends)}};
    if (port.tls.mode != TlsMode::kNone) {
      one["tls"] = {{"mode", to_string(port.tls.mode)},
                    {"certificates", lb::certificates_of(port.tls)}};
    }
    out.push_back(std::move(one));
  }
  return out;
}

Json problems_of(const std::vector<plan::Problem>& problems) {
  Json out = Json::array();
  for (const auto& problem : problems) {
    Json each{{"reason", problem.reason}, {"message", problem.message}, {"blocks", problem.blocks}};
    if (problem.port != 0) each["port"] = problem.port;
    out.push_back(std::move(each));
  }
  return out;
}

// What a service is made of may be older than it looks.
Json stale_of(const Reconciler& reconciler) {
  Json out = Json::array();
  for (const auto& [source, why] : reconciler.stale_sources()) {
    out.push_back({{"source", source}, {"message", why.message}});
  }
  return out;
}

Json failures_of(const std::vector<Failure>& failures) {
  Json out = Json::array();
  for (const auto& failure : failures) {
    const std::string where = failure.backend.empty()
                                  ? Endpoint{failure.address, failure.port}.to_string()
                                  : failure.backend;
    out.push_back({{"where", where}, {"reason", failure.reason}, {"message", failure.message}});
  }
  return out;
}

const char* name_of(plan::Reach reach) {
  if (reach == plan::Reach::kAnswers) return "answers";
  return reach == plan::Reach::kSilent ? "silent" : "lost";
}

std::string holds(const Publisher& member, const std::string& key, const plan::ServicePtr& wanted) {
  const auto held = member.held(key);
  if (!held) return wanted ? "nothing yet" : "nothing";
  return wanted && *held == *wanted ? "this" : "something older";
}

Json dataplanes_of(const std::string& key, const Fleet& fleet) {
  Json out = Json::array();
  for (const auto& [name, member] : fleet.members()) {
    out.push_back({{"name", name},
                   {"reach", name_of(member->reach())},
                   {"holds", holds(*member, key, fleet.wanted(key))},
                   {"epoch", member->version().epoch},
                   {"generation", member->version().generation},
                   {"acknowledged", member->acknowledged_at()},
                   {"error", member->last_error()}});
  }
  return out;
}

Json conditions_of(const KubeMeta& meta) {
  Json out = Json::array();
  for (const auto& each : meta.conditions) {
    out.push_back({{"type", each.type},
                   {"status", each.status},
                   {"reason", each.reason},
                   {"message", each.message},
                   {"since", each.last_transition_time}});
  }
  return out;
}

}  // namespace

std::optional<std::string> find_service(const std::string& name, const Reconciler& reconciler) {
  const auto& world = reconciler.world();
  for (const std::string& key : {name, "kubernetes/" + name, "kubernetes/default/" + name,
                                 "file/" + name, "docker/" + name, "consul/" + name}) {
    if (world.services.contains(key) || world.published.contains(key)) return key;
  }
  return std::nullopt;
}

std::string explain(const std::string& key, const Reconciler& reconciler, const Fleet& fleet,
                    const std::optional<std::string>& elsewhere) {
  const auto& world = reconciler.world();
  Json out{{"service", key}, {"leading", !elsewhere}};
  if (elsewhere) out["leader"] = *elsewhere;
  const auto found = world.services.find(key);
  out["exists"] = found != world.services.end();
  if (found != world.services.end()) {
    const auto& source = found->second;
    const std::string foreign = why_not_served(source, world.settings);
    out["ours"] = foreign.empty();
    if (!foreign.empty()) out["why_not"] = foreign;
    out["addresses"] = addresses_of(key, source, reconciler.allocator());
    out["ports"] = ports_of(source.ports);
    if (source.kube) out["conditions"] = conditions_of(*source.kube);
  }
  out["stale"] = stale_of(reconciler);
  out["problems"] = problems_of(reconciler.problems_of(key));
  const auto failed = world.failed.find(key);
  out["failed"] =
      failures_of(failed == world.failed.end() ? std::vector<Failure>{} : failed->second);
  const auto published = world.published.find(key);
  out["confirmed"] = published != world.published.end() && published->second.confirmed;
  out["served"] = published != world.published.end() && published->second.served;
  out["dataplanes"] = dataplanes_of(key, fleet);
  return out.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace lb::controller
