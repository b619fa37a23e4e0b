// One document laid over another: a file of services, and what another place changes of them.
//
// A service of the upper document with the name (or key) of one below it changes that one, field by
// field, as RFC 7396 says: maps are merged, lists and words replaced, null takes a field away. Any
// other is added. Positions follow what they belong to. Pure; any thread.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "common/model/result.hpp"
#include "controller/sources/yaml_json.hpp"

namespace lb::sources {

struct PlacedDocument {
  nlohmann::json& document;  // a map with a list `services`
  PositionMap& positions;
};

// The error's pointer is one of `upper`: a service without a name, or the same one twice there.
Status lay_over(PlacedDocument lower, PlacedDocument upper);

}  // namespace lb::sources
