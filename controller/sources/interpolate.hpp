// Puts values of the environment into the text of a file's scalars: ${NAME}, and ${NAME:-DEFAULT}
// for one that is not set, or empty (as sh does). $${ stands for ${, a $ elsewhere for itself.
//
// NAME is letters, digits and underscores, and does not begin with a digit; DEFAULT goes to the
// next closing brace. What is put in is not looked at again. Pure; any thread; never throws.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "common/model/result.hpp"

namespace lb::sources {

// The value of a name; nullopt: it is not set.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;

// This process's own. Any thread, as long as nobody changes it.
std::optional<std::string> from_process(const std::string& name);

// A name that is not set and has no default is an error, as is a brace that is not closed.
Result<std::string> interpolate(const std::string& text, const Environment& environment);

}  // namespace lb::sources
