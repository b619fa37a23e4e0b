// Whether so few backends of a listener are usable now that its panic threshold has all ready ones
// used. Any thread; looks at the health of each backend once.
#pragma once

#include "dataplane/proxy/listener_config.hpp"

namespace lb::proxy {

bool in_panic(const ListenerConfig& config);

}  // namespace lb::proxy
