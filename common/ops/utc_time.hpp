// The present moment as text, RFC 3339 in UTC. Any thread.
#pragma once

#include <string>

namespace lb::ops {

std::string utc_seconds();       // 2026-01-31T12:00:00Z
std::string utc_milliseconds();  // 2026-01-31T12:00:00.123Z

}  // namespace lb::ops
