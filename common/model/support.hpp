// What of the schema a data plane of this version serves. Whatever it does not is refused by name,
// never ignored. Both programs know it: the data plane serves by it, the controller's `validate`
// tells by it. Pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/model/state.hpp"

namespace lb {

// nullopt, or a sentence that names the field that this data plane does not serve yet.
std::optional<std::string> unsupported(const ServicePort& port);

// What is served beyond the bare shape of the contract: sorted dotted paths, and path=value for
// each enum value (design: "Versions meet").
std::vector<std::string> served_features();

}  // namespace lb
