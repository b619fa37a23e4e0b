// One JSON object per line on standard error: {"time", "level", "message", fields...}.
//
// Any thread; a line is written with one write(2), so lines never mix (but for those longer than
// PIPE_BUF on a pipe, pipe(7)). Whatever stands in a value is escaped, so no input can forge a
// line. Never pass a secret. A reader that does not read holds nobody up: the line is dropped and
// counted.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "common/model/result.hpp"

namespace lb::ops {

enum class Level : uint8_t { kDebug, kInfo, kWarning, kError };

// "debug", "info", "warning", "error"; info for anything else.
Level parse_level(std::string_view name);

struct Field {
  std::string_view name;
  std::string value;

  Field(std::string_view n, std::string v) : name(n), value(std::move(v)) {}
  Field(std::string_view n, const char* v) : name(n), value(v) {}
  Field(std::string_view n, uint64_t v) : name(n), value(std::to_string(v)) {}
};
using Fields = std::initializer_list<Field>;

// Process-wide; the level is set once at start.
void set_log_level(Level level);

void log(Level level, std::string_view message, Fields fields = {});
void log_error(const Error& error);

// Lines that could not be written since start.
uint64_t lost_messages();
// Whether all of it was written; waits for room only in the middle of a line, 100 ms at most.
bool write_line(int fd, std::string_view line);

// The line without its newline, for tests; `time` as it shall stand there.
std::string format_line(std::string_view time, Level level, std::string_view message,
                        Fields fields);

}  // namespace lb::ops
