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

inline constexpr uint64_t kMaxVersion = (uint64_t{1} << 53) - 1;

// With `lenient` what a later version may have added is noted there and passed over: fields, and
// values of a choice, which fall to their default (the state of a backend to not_ready); a port
// whose protocol, match or tls is not understood stays out.
Service read_service(const nlohmann::json& value, const std::string& pointer, PassedOver* lenient);
void read_schema(ObjectReader& reader);
void read_version(ObjectReader& reader, const char* name, uint64_t& out);

}  // namespace lb::wire
