// Joins a Service with its EndpointSlices: which backends each port has, and in which state.
//
// Pure; any thread. Nothing fails: what cannot be served comes back as a Problem. Follows
// kube-proxy's reading of discovery.k8s.io/v1 and KEP-1669 (terminating endpoints).
#pragma once

#include <string>
#include <vector>

#include "common/model/state.hpp"
#include "controller/core/objects.hpp"
#include "controller/core/pods.hpp"

namespace lb::plan {

// Something in a Service that cannot be done as asked. `port` 0: the Service as a whole. One that
// blocks keeps the whole Service from being served, since serving it would break its meaning.
struct Problem {
  std::string reason;
  std::string message;
  uint16_t port = 0;
  std::string protocol = {};
  bool blocks = false;

  bool operator==(const Problem&) const = default;
};

struct JoinedPorts {
  std::vector<ServicePort> ports;
  std::vector<Problem> problems;

  bool operator==(const JoinedPorts&) const = default;
};

// Slices of other Services may be among `slices`; they are passed over. With `pods` an endpoint
// that is none of them is left out, and is a Problem if it would have got connections: a Pod that
// comes or goes is known to one of the two before the other.
JoinedPorts join(const ServiceObject& service, const std::vector<EndpointSliceObject>& slices,
                 const Pods* pods = nullptr);

// nil semantics of EndpointConditions: ready nil is true, serving nil is ready, terminating nil is
// false.
BackendState state_of(const SliceEndpoint& endpoint);

}  // namespace lb::plan
