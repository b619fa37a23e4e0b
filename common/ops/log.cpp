#include "common/ops/log.hpp"

#include <unistd.h>

#include <atomic>
#include <nlohmann/json.hpp>

#include "common/ops/utc_time.hpp"

namespace lb::ops {
namespace {

std::atomic<Level> least{Level::kInfo};

const char* name_of(Level level) {
  constexpr const char* kNames[] = {"debug", "info", "warning", "error"};
  return kNames[static_cast<size_t>(level)];
}

}  // namespace

Level parse_level(std::string_view name) {
  if (name == "debug") return Level::kDebug;
  if (name == "warning") return Level::kWarning;
  return name == "error" ? Level::kError : Level::kInfo;
}

void set_log_level(Level level) { least.store(level, std::memory_order_relaxed); }

std::string format_line(std::string_view time, Level level, std::string_view message,
                        Fields fields) {
  nlohmann::ordered_json line;
  line["time"] = time;
  line["level"] = name_of(level);
  line["message"] = message;
  for (const Field& field : fields) line[std::string(field.name)] = field.value;
  // ASCII only: a terminal that shows the log obeys control characters of Unicode as well.
  return line.dump(-1, ' ', true, nlohmann::ordered_json::error_handler_t::replace);
}

void log(Level level, std::string_view message, Fields fields) {
  if (level < least.load(std::memory_order_relaxed)) return;
  const std::string line = format_line(utc_milliseconds(), level, message, fields) + "\n";
  // Nothing sensible can be done about a log that cannot be written.
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
}

void log_error(const Error& error) {
  if (error.pointer.empty()) {
    log(Level::kError, error.message, {{"reason", error.code}});
  } else {
    log(Level::kError, error.message, {{"reason", error.code}, {"pointer", error.pointer}});
  }
}

}  // namespace lb::ops
