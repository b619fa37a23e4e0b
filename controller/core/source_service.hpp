// SourceService: one service as its source describes it, whole, and how a Kubernetes Service with
// its slices becomes one.
//
// Every source emits this and nothing else, so the plan need not know where a service came from.
// Plain values; any thread. What cannot be done as asked is a Problem, not an error.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/model/state.hpp"
#include "controller/core/backends.hpp"
#include "controller/core/objects.hpp"

namespace lb::plan {

inline constexpr char kSourceRangesAnnotation[] =
    "service.beta.kubernetes.io/load-balancer-source-ranges";

// What ties a service to its object in the cluster.
struct KubeMeta {
  std::string ns;
  std::string name;
  std::string uid;
  std::string resource_version;
  std::string creation_time;
  bool deleting = false;
  std::string type;
  std::optional<std::string> load_balancer_class;
  std::vector<std::string> finalizers;
  std::vector<IpAddress> requested;
  std::vector<Family> families;  // in the order of spec.ipFamilies
  std::string family_policy;
  std::vector<Ingress> ingress;
  std::vector<Condition> conditions;
  std::map<std::string, std::string> labels;  // by which pools select
  std::string pool;                           // the one it names; empty: any
  std::string share_key;                      // empty: its address is its own

  bool operator==(const KubeMeta&) const = default;
};

// A group of one of its ports takes its backends from another service; see joins.hpp.
struct Join {
  uint16_t port = 0;
  Protocol protocol = Protocol::kTcp;
  std::string group;
  std::string service;        // the other's key
  uint16_t service_port = 0;  // of the other; 0: the one like ours, or its only one

  bool operator==(const Join&) const = default;
};

struct SourceService {
  std::string key;  // "kubernetes/<namespace>/<name>", "file/<name>"
  std::optional<KubeMeta> kube;
  std::vector<IpAddress> addresses;  // fixed by the source; empty where the plan allocates
  std::vector<ServicePort> ports;
  Policy policy;
  std::vector<Problem> problems;
  std::vector<Join> joins;

  bool operator==(const SourceService&) const = default;
};

std::string kubernetes_key(const std::string& ns, const std::string& name);

// `nodes` matter only to a Service that targets_nodes(); `pods`: see join().
SourceService from_kubernetes(const ServiceObject& service,
                              const std::vector<EndpointSliceObject>& slices,
                              const std::vector<NodeObject>& nodes = {},
                              const Pods* pods = nullptr);

}  // namespace lb::plan
