// Backends of a Service that is reached through its node ports instead of its pods.
//
// For clusters whose pod network the data plane cannot reach, asked for by empalme.io/targets:
// nodes. Pure; any thread. Which nodes: KEP-3458 (NotReady ones stay: health checks decide), the
// label node.kubernetes.io/exclude-from-external-load-balancers, and for externalTrafficPolicy
// Local those that have a ready pod, checked at the Service's healthCheckNodePort (KEP-1669).
#pragma once

#include <vector>

#include "controller/core/source_service.hpp"

namespace lb::plan {

inline constexpr char kExcludeLabel[] = "node.kubernetes.io/exclude-from-external-load-balancers";

// Whether the Service asks for nodes; a value that is neither is a Problem of `out`.
bool targets_nodes(const ServiceObject& service, std::vector<Problem>& problems);

// Puts nodes in the place of the pods that are in `out.ports`. Ports without a node port stay
// without backends, and are a Problem. Where every node is excluded, all are used, and that is one.
void use_nodes(const ServiceObject& service, const std::vector<NodeObject>& nodes,
               SourceService& out);

}  // namespace lb::plan
