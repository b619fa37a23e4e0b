// What `empalme flows`, `kill` and `drain` ask, and how they show the answer. Pure.
#pragma once

#include <string>
#include <string_view>

#include "common/model/result.hpp"

namespace lb::cli {

// Empty: any.
struct FlowWish {
  std::string service;
  std::string backend;
  std::string source;
  unsigned limit = 50;
  bool all = false;
};

std::string flow_query(const FlowWish& wish);
std::string drain_body(const FlowWish& wish);

// From the answers of GET /v1/flows and of /v1/drain. Error "Syntax".
Result<std::string> flow_table(std::string_view body);
Result<std::string> drain_table(std::string_view body);

// Why a call was refused, as a person reads it.
std::string refusal_text(std::string_view body);

}  // namespace lb::cli
