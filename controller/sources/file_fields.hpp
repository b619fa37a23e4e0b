// What the rewriters of a configuration file share: how they refuse, and how they read shorthands.
//
// Inside lb_file_document only. A refusal is thrown as BadFile and becomes a value in
// file_expander.cpp. Pure; any thread.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>

#include "common/model/result.hpp"

namespace lb::sources {

struct BadFile {
  Error error;
};

[[noreturn]] void refuse(const std::string& pointer, const std::string& why);

std::string at(const std::string& pointer, size_t index);

// Before what is missing: a mistyped name explains it.
void known_fields(const nlohmann::json& value, const std::string& pointer,
                  const std::set<std::string>& fields);

// "a, b" becomes ["a", "b"]; all of them stand where the string stood.
void split(nlohmann::json& value, const char* field, const std::string& pointer);

// Empty where there is none, or something else.
std::string text_of(const nlohmann::json& value, const char* field);

}  // namespace lb::sources
