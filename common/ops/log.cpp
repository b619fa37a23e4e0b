#include "common/ops/log.hpp"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <ctime>
#include <nlohmann/json.hpp>

namespace lb::ops {
namespace {

std::atomic<Level> least{Level::kInfo};

const char* name_of(Level level) {
  constexpr const char* kNames[] = {"debug", "info", "warning", "error"};
  return kNames[static_cast<size_t>(level)];
}

std::string now_utc() {
  const auto now = std::chrono::system_clock::now();
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  const auto millis =
      std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count() % 1000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[40];
  const size_t length = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  std::snprintf(text + length, sizeof text - length, ".%03dZ", static_cast<int>(millis));
  return text;
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
  return line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

void log(Level level, std::string_view message, Fields fields) {
  if (level < least.load(std::memory_order_relaxed)) return;
  const std::string line = format_line(now_utc(), level, message, fields) + "\n";
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
