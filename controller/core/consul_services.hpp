// Services made of Consul's instances: those of one name that ask for it by tag are one service,
// "consul/NAME", and each is a backend of it.
//
// A tag is a label and its value, "empalme.tcp.80.weight=3", and is read as LabelReader says; where
// none names a target it is the instance's own port, so that "empalme.tcp.80" alone will do.
// Passing is ready; warning is ready with Consul's weight for it; maintenance is draining; critical
// is not_ready. Pure; any thread; the same instances in any order give the same services.
#pragma once

#include <string>
#include <vector>

#include "controller/core/consul_instances.hpp"
#include "controller/core/source_service.hpp"

namespace lb::plan {

// Sorted by key; empty where no instance asks to be served.
std::vector<SourceService> consul_services(const std::string& name,
                                           const std::vector<ConsulInstance>& instances);

// What to believe of a Consul that has just come back: `before` is what it said before, `now` what
// it says. An agent that restarts calls everything critical until its checks have run, and one that
// has lost its data knows nothing until the others have told it. So those that are missing, and
// those that were fit and are not, stay as they were.
std::vector<ConsulInstance> without_losses(const std::vector<ConsulInstance>& before,
                                           std::vector<ConsulInstance> now);

}  // namespace lb::plan
