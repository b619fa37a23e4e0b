// The plan: from what the world is to what should be published and written back. Pure.
//
// No clock, no I/O; owned by the thread that owns the world. plan_service() is total: the same
// world gives the same plan, whatever came first, and once its patch is in the Service and its
// desired service confirmed, planning again asks for nothing. Order: finalizer, allocate,
// publish, acknowledged, status; teardown in reverse. Follows KEP-1860 (ipMode), KEP-1959 (class),
// KEP-4631 (ports[].error) as far as they bind a provider.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/model/state.hpp"
#include "controller/core/allocator.hpp"
#include "controller/core/certificate_book.hpp"
#include "controller/core/publication.hpp"
#include "controller/core/source_service.hpp"

namespace lb::plan {

inline constexpr char kFinalizer[] = "empalme.io/service";
// Tools and the upstream conformance test look for this one; other controllers may take it off.
inline constexpr char kStandardFinalizer[] = "service.kubernetes.io/load-balancer-cleanup";
inline constexpr char kDefaultClass[] = "empalme.io/lb";

inline constexpr char kAccepted[] = "empalme.io/Accepted";
inline constexpr char kProgrammed[] = "empalme.io/Programmed";
inline constexpr char kDegraded[] = "empalme.io/Degraded";
inline constexpr char kPortsError[] = "LoadBalancerPortsError";

// The finalizer of the controller that serves this class: two controllers with different classes
// know each other's Services by it, and leave them alone.
std::string finalizer_of(const std::string& load_balancer_class);
// Whether it is the finalizer of any controller of ours.
bool is_our_finalizer(const std::string& name);

struct Settings {
  std::string load_balancer_class = kDefaultClass;
  bool claim_unclassed = false;  // also Services without a class
  std::string finalizer = kFinalizer;
  std::set<std::string> privileged;  // namespaces whose Services may ask for anything; "*": all
};

// How the data plane that sees a service worst sees its backends, as far as they are ready.
struct HealthView {
  uint32_t ready = 0;   // as their source says
  uint32_t usable = 0;  // of these, neither down nor ejected
  std::string reason;   // of one that is not

  bool hopeless() const { return ready > 0 && usable == 0; }
  bool operator==(const HealthView&) const = default;
};

// Everything a plan depends on, beside the allocator.
struct World {
  Settings settings;
  std::map<std::string, SourceService> services;       // by key
  std::set<std::string> unsynced;                      // prefixes of sources not heard whole yet
  std::map<std::string, Publication> published;        // what the data planes hold, by key
  std::map<std::string, std::vector<Failure>> failed;  // what they could not program, by key
  std::map<std::string, HealthView> health;            // by key; none: nothing is known
  std::map<std::string, Labels> namespaces;            // labels, by name
  std::set<std::string> features;                      // of every data plane; empty: not known yet
  CertificateTroubles certificate_troubles;            // of sources and of data planes, by name
  std::set<std::string> awaited_certificates;          // asked for, and not heard of yet
};

struct PlannedEvent {
  bool warning = false;
  std::string reason;
  std::string message;

  bool operator==(const PlannedEvent&) const = default;
};

// One write to a Service: metadata.finalizers and status through services/status.
struct ServicePatch {
  std::string ns;
  std::string name;
  std::string uid;
  std::string resource_version;  // the write is refused when the Service has changed meanwhile
  std::vector<std::string> add_finalizers;
  std::vector<std::string> remove_finalizers;
  std::optional<std::vector<Ingress>> ingress;
  std::vector<Condition> conditions;
  std::vector<std::string> remove_conditions;

  bool empty() const {
    return add_finalizers.empty() && remove_finalizers.empty() && !ingress && conditions.empty() &&
           remove_conditions.empty();
  }
  bool operator==(const ServicePatch&) const = default;
};

struct ServicePlan {
  std::optional<Service> desired;  // nullopt: nothing is to be published under this key
  std::optional<ServicePatch> patch;
  std::vector<PlannedEvent> events;
  std::vector<Problem> problems;  // everything that is not as asked, for logs and metrics

  bool operator==(const ServicePlan&) const = default;
};

ServicePlan plan_service(const World& world, Allocator& allocator, const std::string& key);

// Every key of the world and of what is published: claims first, then the older before the
// younger, until nothing changes any more.
// Only of the keys for which `ready` holds.
using Ready = std::function<bool(const std::string& key)>;
std::map<std::string, ServicePlan> plan_all(const World& world, Allocator& allocator,
                                            const Ready& ready = {});

// Before a key is planned: makes what it claims, or serves still without being ours, nobody else's.
void claim_held(const World& world, Allocator& allocator, const std::string& key);

// Whether this controller is the one that answers for the Service.
bool owned(const KubeMeta& meta, const Settings& settings);

// The strategic merge patch (application/strategic-merge-patch+json) of a ServicePatch; `now` is
// RFC 3339 and becomes lastTransitionTime.
std::string encode_service_patch(const ServicePatch& patch, const std::string& now);

}  // namespace lb::plan
