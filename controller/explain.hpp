// Why a service is as it is: GET /v1/explain?service= of the controller, and the names that it
// takes.
//
// Read-only, on the world's thread. A Service of the cluster may be named "NAMESPACE/NAME", or
// "NAME" in the namespace "default"; everything else by its key.
#pragma once

#include <optional>
#include <string>

#include "controller/fleet.hpp"
#include "controller/reconciler.hpp"

namespace lb::controller {

// The key that `name` means; nullopt: nothing known or held has it.
std::optional<std::string> find_service(const std::string& name, const Reconciler& reconciler);

// JSON; `key` from find_service(). `elsewhere` is who leads where this controller does not: it
// knows what the sources say, and nothing of what has become of it.
std::string explain(const std::string& key, const Reconciler& reconciler, const Fleet& fleet,
                    const std::optional<std::string>& elsewhere = {});

}  // namespace lb::controller
