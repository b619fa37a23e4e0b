// Rewrites the shorthands of a configuration file (file_document.hpp) into the wire's schema, and
// takes aside what the wire has no words for: backends by name, groups of other services' backends,
// paths of certificates.
//
// Errors carry the JSON pointer of where the file has it. Pure; any thread.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "common/model/result.hpp"
#include "controller/sources/file_document.hpp"
#include "controller/sources/yaml_json.hpp"

namespace lb::sources {

// One file of several, before it is laid over others.
Status check_layer(const nlohmann::json& document);

// `positions` follow what moves; `layers` are what the document was read from.
Status expand(nlohmann::json& document, PositionMap& positions,
              const std::vector<FileLayer>& layers, FileDocument& out);

}  // namespace lb::sources
