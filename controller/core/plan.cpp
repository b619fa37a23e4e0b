#include "controller/core/plan.hpp"

#include <algorithm>

#include "controller/core/certificate_problems.hpp"
#include "controller/core/joins.hpp"
#include "controller/core/privilege.hpp"
#include "controller/core/service_status.hpp"
#include "controller/core/trim.hpp"

namespace lb::plan {
namespace {

bool has(const std::vector<std::string>& list, const std::string& item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

ServicePatch patch_of(const KubeMeta& meta) {
  ServicePatch out;
  out.ns = meta.ns;
  out.name = meta.name;
  out.uid = meta.uid;
  out.resource_version = meta.resource_version;
  return out;
}

PortSet ports_of(const SourceService& service) {
  PortSet out;
  for (const auto& port : service.ports) {
    for (auto& atom : atoms_of(port.match)) out.insert({port.port, port.protocol, std::move(atom)});
  }
  return out;
}

Applicant applicant(const World& world, const KubeMeta& meta) {
  const auto labels = world.namespaces.find(meta.ns);
  return {meta.ns, labels == world.namespaces.end() ? Labels{} : labels->second, meta.labels,
          meta.pool};
}

// What is published comes before its status is written: whoever starts or takes over in between
// must not give the address to somebody else.
std::vector<IpAddress> served_of(const World& world, const std::string& key) {
  const auto found = world.published.find(key);
  if (found == world.published.end() || !found->second.served) return {};
  return found->second.service->addresses;
}

// A status is anybody's to write: only addresses of ours, one a family.
std::vector<IpAddress> assigned_of(const KubeMeta& meta, const std::string& key,
                                   const std::vector<IpAddress>& served,
                                   const Allocator& allocator) {
  std::vector<IpAddress> out;
  for (const auto& ingress : meta.ingress) {
    const auto address = IpAddress::parse(ingress.ip);
    if (!address || !allocator.trusts(key, *address, served)) continue;
    const bool again = std::any_of(out.begin(), out.end(),
                                   [&](const auto& a) { return a.family() == address->family(); });
    if (!again) out.push_back(*address);
  }
  return out;
}

Claim claim_of(const World& world, const SourceService& service, const Allocator& allocator) {
  const KubeMeta& meta = *service.kube;
  Claim out;
  out.requested = meta.requested;
  out.served = served_of(world, service.key);
  out.assigned = assigned_of(meta, service.key, out.served, allocator);
  out.families = meta.families;
  out.every_family = meta.family_policy == "RequireDualStack";
  out.creation_time = meta.creation_time;
  out.who = applicant(world, meta);
  out.share_key = meta.share_key;
  out.ports = ports_of(service);
  return out;
}

class Planner {
 public:
  Planner(const World& world, Allocator& allocator, const std::string& key)
      : world_(world), allocator_(allocator), key_(key) {}

  ServicePlan run() {
    const auto found = world_.services.find(key_);
    if (found == world_.services.end()) return gone();
    source_ = &found->second;
    plan_.problems = problems_of(world_, *source_);
    if (!source_->kube) return fixed();
    const KubeMeta& meta = *source_->kube;
    return owned(meta, world_.settings) ? serve(meta) : tear_down(meta);
  }

 private:
  // Null: no data plane holds anything under this key.
  const Publication* publication() const {
    const auto found = world_.published.find(key_);
    return found == world_.published.end() ? nullptr : &found->second;
  }
  bool served() const { return publication() != nullptr && publication()->served; }

  Claim claim() const { return claim_of(world_, *source_, allocator_); }

  // Our own finalizer says that we have been at work on the Service; the standard one is anybody's.
  bool marked(const KubeMeta& meta) const {
    return has(meta.finalizers, world_.settings.finalizer);
  }
  std::vector<std::string> marks() const { return {world_.settings.finalizer, kStandardFinalizer}; }

  // The object is gone for good: what it held is free once nothing serves it any more.
  ServicePlan gone() {
    claim_held(world_, allocator_, key_);
    if (!served() && !allocator_.holding_back()) allocator_.release(key_);
    return std::move(plan_);
  }

  Service wished(std::vector<IpAddress> addresses) {
    Service out{key_, std::move(addresses), source_->ports, source_->policy};
    take_in(world_, *source_, out.ports, plan_.problems);
    return out;
  }

  // A source that names its own addresses. Without any the service is there for those that take its
  // backends in.
  ServicePlan fixed() {
    if (source_->addresses.empty()) return std::move(plan_);
    Service desired = wished(source_->addresses);
    trim(desired, world_.features, plan_.problems);
    normalise(desired);
    if (!blocked()) plan_.desired = std::move(desired);
    return std::move(plan_);
  }

  bool blocked() const {
    return std::any_of(plan_.problems.begin(), plan_.problems.end(),
                       [](const Problem& problem) { return problem.blocks; });
  }

  // An address at which nothing answers would be a promise that is not kept.
  void block_all() {
    for (Problem& problem : plan_.problems) problem.blocks = problem.blocks || problem.port != 0;
  }

  ServicePlan serve(const KubeMeta& meta) {
    if (!marked(meta) || !has(meta.finalizers, kStandardFinalizer)) return mark(meta);
    give_up_conflicts(meta);
    const Allocation allocation = allocator_.allocate(key_, claim());
    if (allocation.problem) plan_.problems.push_back(*allocation.problem);
    if (allocation.degraded) plan_.problems.push_back(*allocation.degraded);
    Service desired = wished(allocation.addresses);
    withhold_privileges(desired, meta.ns, world_.settings.privileged, plan_.problems);
    trim(desired, world_.features, plan_.problems);
    normalise(desired);
    if (desired.ports.empty()) block_all();
    if (allocation.problem && allocator_.holding_back()) return hold();
    if (allocation.problem || blocked()) return refuse(meta);
    if (auto awaited = awaits_certificate(desired)) {
      plan_.problems.push_back(std::move(*awaited));
      keep_where(allocation.addresses);
      return std::move(plan_);
    }
    if (!allocator_.holding_back() || !gives_up_any(meta, allocation.addresses)) {
      report(meta, allocation.addresses, desired);
    }
    plan_.desired = std::move(desired);
    return std::move(plan_);
  }

  ServicePlan mark(const KubeMeta& meta) {
    ServicePatch patch = patch_of(meta);
    for (const std::string& name : marks()) {
      if (!has(meta.finalizers, name)) patch.add_finalizers.push_back(name);
    }
    if (!marked(meta)) {
      plan_.events.push_back({false, "EnsuringLoadBalancer", "Ensuring load balancer"});
    }
    plan_.patch = std::move(patch);
    keep_serving();
    return std::move(plan_);
  }

  // What is served already goes on, unless its address is somebody else's by now: a finalizer may
  // have been taken off a running Service.
  void keep_serving() {
    if (publication() == nullptr) {
      // Registered already, so that an address in its status is nobody else's meanwhile.
      allocator_.claim(key_, claim());
      return;
    }
    keep_where(allocator_.allocate(key_, claim()).addresses);
  }

  // What is published, if anything is, unless it has an address that is none of these.
  void keep_where(const std::vector<IpAddress>& mine) {
    if (publication() == nullptr) return;
    const Service& now = *publication()->service;
    const bool still =
        std::all_of(now.addresses.begin(), now.addresses.end(), [&](const IpAddress& each) {
          return std::find(mine.begin(), mine.end(), each) != mine.end();
        });
    if (still) plan_.desired = now;
  }

  // Published before its certificates are read it would be told of as broken for a moment. Those
  // that are published already are there.
  std::optional<Problem> awaits_certificate(const Service& desired) const {
    if (world_.awaited_certificates.empty()) return std::nullopt;
    const auto names = certificates_of(desired.ports);
    const auto there = publication() == nullptr ? std::vector<std::string>{}
                                                : certificates_of(publication()->service->ports);
    const auto found = std::find_if(names.begin(), names.end(), [&](const std::string& name) {
      return world_.awaited_certificates.contains(name) &&
             !std::binary_search(there.begin(), there.end(), name);
    });
    if (found == names.end()) return std::nullopt;
    return Problem{"CertificateAwaited", "certificate '" + *found + "' was not read yet"};
  }

  // Until every data plane was heard nothing is refused for want of an address.
  ServicePlan hold() {
    if (publication() == nullptr) return std::move(plan_);
    const Service& now = *publication()->service;
    const bool lost =
        std::any_of(now.addresses.begin(), now.addresses.end(),
                    [&](const IpAddress& each) { return allocator_.held_by_other(key_, each); });
    if (!lost) plan_.desired = now;
    return std::move(plan_);
  }

  static bool gives_up_any(const KubeMeta& meta, const std::vector<IpAddress>& kept) {
    return std::any_of(meta.ingress.begin(), meta.ingress.end(), [&](const Ingress& ingress) {
      const auto address = IpAddress::parse(ingress.ip);
      return address && std::find(kept.begin(), kept.end(), *address) == kept.end();
    });
  }

  // An address that somebody else on the network answers for is left, unless clients know it.
  void give_up_conflicts(const KubeMeta& meta) {
    const auto failed = world_.failed.find(key_);
    if (failed == world_.failed.end()) return;
    for (const Failure& failure : failed->second) {
      if (failure.reason != "AddressInUseOnNetwork") continue;
      const std::string text = failure.address.to_string();
      const bool known = std::any_of(meta.ingress.begin(), meta.ingress.end(),
                                     [&](const Ingress& ingress) { return ingress.ip == text; });
      if (!known) allocator_.mark_conflict(failure.address);
    }
  }

  // Cannot be served: nothing is published, and the status says why.
  ServicePlan refuse(const KubeMeta& meta) {
    StatusWish wish = refused_status(plan_.problems);
    // The old address stays in the status until nothing answers on it any more.
    if (!served() && !allocator_.holding_back()) wish.ingress = std::vector<Ingress>{};
    add_patch(meta, wish);
    return std::move(plan_);
  }

  void report(const KubeMeta& meta, const std::vector<IpAddress>& addresses,
              const Service& desired) {
    const Publication* now = publication();
    if (now == nullptr || !now->confirmed || *now->service != desired) return;
    static const std::vector<Failure> kNone;
    const auto failed = world_.failed.find(key_);
    const auto& failures = failed == world_.failed.end() ? kNone : failed->second;
    const auto health = world_.health.find(key_);
    const HealthView known = health == world_.health.end() ? HealthView{} : health->second;
    add_patch(meta, served_status({*source_, addresses, plan_.problems, failures, known}));
    if (plan_.patch && plan_.patch->ingress) tell_given_up(meta);
  }

  // An address of a status that no pool has, and that nobody is known to have held.
  void tell_given_up(const KubeMeta& meta) {
    const auto still = served_of(world_, key_);
    for (const auto& ingress : meta.ingress) {
      const auto address = IpAddress::parse(ingress.ip);
      if (!address || allocator_.trusts(key_, *address, still)) continue;
      plan_.events.push_back({true, "AddressOutsidePools",
                              ingress.ip + " is given up: no pool has it, and nothing shows that "
                                           "this Service held it"});
    }
  }

  void add_patch(const KubeMeta& meta, const StatusWish& wish) {
    ServicePatch patch = patch_of(meta);
    add_changes(patch, meta, wish, plan_.events);
    if (!patch.empty()) plan_.patch = std::move(patch);
  }

  // Not ours (any more): nothing is served, and once nothing is, our marks come off.
  ServicePlan tear_down(const KubeMeta& meta) {
    claim_held(world_, allocator_, key_);
    const bool unheard = allocator_.holding_back() && marked(meta);
    if (served() || unheard) {
      if (!served()) {
        plan_.problems = {{"DataPlaneNotHeard", "a data plane was not heard yet: it may serve it"}};
      }
      if (marked(meta)) {
        plan_.events.push_back({false, "DeletingLoadBalancer", "Deleting load balancer"});
      }
      return std::move(plan_);
    }
    allocator_.release(key_);
    plan_.problems.clear();
    if (!marked(meta)) return std::move(plan_);
    ServicePatch patch = patch_of(meta);
    for (const std::string& name : marks()) {
      if (has(meta.finalizers, name)) patch.remove_finalizers.push_back(name);
    }
    clear_status(patch, meta);
    plan_.patch = std::move(patch);
    if (publication() != nullptr) {
      plan_.events.push_back({true, "DataPlaneUnreachable",
                              "A data plane that no longer answers may serve it still; its address "
                              "is kept aside"});
    }
    plan_.events.push_back({false, "DeletedLoadBalancer", "Deleted load balancer"});
    return std::move(plan_);
  }

  const World& world_;
  Allocator& allocator_;
  const std::string& key_;
  const SourceService* source_ = nullptr;
  ServicePlan plan_;
};

std::vector<std::string> oldest_first(const World& world) {
  std::vector<std::pair<std::string, std::string>> order;
  for (const auto& [key, service] : world.services) {
    order.emplace_back(service.kube ? service.kube->creation_time : "", key);
  }
  for (const auto& [key, service] : world.published) {
    if (!world.services.contains(key)) order.emplace_back("", key);
  }
  std::sort(order.begin(), order.end());
  std::vector<std::string> out;
  for (auto& [time, key] : order) out.push_back(std::move(key));
  return out;
}

}  // namespace

void claim_held(const World& world, Allocator& allocator, const std::string& key) {
  const auto found = world.services.find(key);
  auto held = served_of(world, key);
  if (found != world.services.end()) {
    const auto& service = found->second;
    if (!service.kube) return;
    if (owned(*service.kube, world.settings)) {
      return allocator.claim(key, claim_of(world, service, allocator));
    }
    // A teardown that was begun before us: only the status says what it is about.
    if (has(service.kube->finalizers, world.settings.finalizer)) {
      const auto assigned = assigned_of(*service.kube, key, held, allocator);
      held.insert(held.end(), assigned.begin(), assigned.end());
    }
  }
  allocator.reserve(key, held);
}

ServicePlan plan_service(const World& world, Allocator& allocator, const std::string& key) {
  return Planner(world, allocator, key).run();
}

std::map<std::string, ServicePlan> plan_all(const World& world, Allocator& allocator,
                                            const Ready& ready) {
  const auto skipped = [&](const std::string& key) { return ready && !ready(key); };
  const auto mine = [&](const std::string& key) {
    const auto found = world.services.find(key);
    return found != world.services.end() && found->second.kube &&
           owned(*found->second.kube, world.settings);
  };
  const auto order = oldest_first(world);
  // What is ours first: whoever is known by an address keeps it against what only lingers.
  for (const bool ours : {true, false}) {
    for (const auto& key : order) {
      if (mine(key) == ours && !skipped(key)) claim_held(world, allocator, key);
    }
  }
  std::map<std::string, ServicePlan> out;
  for (const auto& key : order) {
    if (!skipped(key)) out[key] = plan_service(world, allocator, key);
  }
  // Each round settles at least one contested address, so this ends; the bound is a seat belt.
  for (size_t round = 0; round < world.services.size() + 1; ++round) {
    const auto changed = allocator.take_changed();
    if (changed.empty()) break;
    for (const auto& key : changed) out[key] = plan_service(world, allocator, key);
  }
  return out;
}

}  // namespace lb::plan
