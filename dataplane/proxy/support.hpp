// What of the schema this data plane serves. Whatever it does not is refused by name, never
// ignored. Pure; any thread.
#pragma once

#include <optional>
#include <string>

#include "common/model/state.hpp"

namespace lb::proxy {

// nullopt, or a sentence that names the field that this data plane does not serve yet.
std::optional<std::string> unsupported(const ServicePort& port);

}  // namespace lb::proxy
