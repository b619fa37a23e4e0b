// The pieces of a state document, for the decoders of whole ones.
//
// Inside common/model only; refusals are thrown, see json_reader.hpp. Any thread.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "common/model/json_reader.hpp"
#include "common/model/state.hpp"

namespace lb::wire {

Service read_service(const nlohmann::json& value, const std::string& pointer);
void read_schema(ObjectReader& reader);
void read_version(ObjectReader& reader, const char* name, uint64_t& out);

}  // namespace lb::wire
