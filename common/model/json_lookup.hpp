// Reading JSON that others wrote and may have extended: what is missing or of another type is
// empty.
//
// For answers of a peer, never for input that is to be refused when it is wrong (json_reader.hpp).
// Pure; any thread. Does not throw for an object; `object` must be one.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace lb::wire {

std::string text_or_empty(const nlohmann::json& object, const char* name);
uint64_t number_or_zero(const nlohmann::json& object, const char* name);
const nlohmann::json& list_or_empty(const nlohmann::json& object, const char* name);

}  // namespace lb::wire
