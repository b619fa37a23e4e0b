// The decoders of objects.hpp, pods.hpp and pool.hpp for JSON that is parsed already: the same
// rules, and the same errors. Pure; any thread.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "controller/core/objects.hpp"
#include "controller/core/pods.hpp"
#include "controller/core/pool.hpp"

namespace lb::plan {

Result<ServiceObject> service_from(const nlohmann::json& parsed);
Result<EndpointSliceObject> endpoint_slice_from(const nlohmann::json& parsed);
Result<NodeObject> node_from(const nlohmann::json& parsed);
Result<NamespaceObject> namespace_from(const nlohmann::json& parsed);
Result<PodObject> pod_from(const nlohmann::json& parsed);
Result<Pool> pool_from(const nlohmann::json& parsed);

}  // namespace lb::plan
