// The body of GET /v1/status. Pure; any thread.
#pragma once

#include <string>
#include <vector>

#include "dataplane/status_board.hpp"

namespace lb::dataplane {

std::string encode_status(const StatusView& view, const std::string& instance,
                          const std::vector<std::string>& features);

}  // namespace lb::dataplane
