// What `validate` says of the certificates that configuration files name. Reads the files; any
// thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <nlohmann/json_fwd.hpp>

#include "controller/sources/file_document.hpp"

namespace lb::controller {

// One line for each to `out`, with its names and how long it is good; to `problems` why one cannot
// be used. How many there are of these. `now_s` is in seconds since 1970.
size_t describe_certificates(const sources::FileDocument& document, int64_t now_s,
                             std::ostream& out, std::ostream& problems);

// In a state that is to be shown as a file: names become paths again.
void show_paths(nlohmann::ordered_json& state, const sources::FileDocument& document);

}  // namespace lb::controller
