#include "common/ops/log.hpp"

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>

#include "common/model/json.hpp"
#include "common/ops/utc_time.hpp"

namespace lb::ops {
namespace {

constexpr int kPatienceMs = 100;

std::atomic<Level> least{Level::kInfo};
std::atomic<uint64_t> lost{0};

bool has_room(int fd, int wait_ms) {
  pollfd wanted{fd, POLLOUT, 0};
  return ::poll(&wanted, 1, wait_ms) == 1 && (wanted.revents & POLLOUT) != 0;
}

// A pipe that has room has it for PIPE_BUF; more could wait for its reader.
size_t most_at_once(int fd) {
  struct stat what {};
  return ::fstat(fd, &what) == 0 && S_ISFIFO(what.st_mode) ? size_t{PIPE_BUF} : SIZE_MAX;
}

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
  if (!write_line(STDERR_FILENO, line)) lost.fetch_add(1, std::memory_order_relaxed);
}

uint64_t lost_messages() { return lost.load(std::memory_order_relaxed); }

bool write_line(int fd, std::string_view line) {
  const size_t most = most_at_once(fd);
  for (size_t done = 0; done < line.size();) {
    if (!has_room(fd, done == 0 ? 0 : kPatienceMs)) return false;
    const ssize_t n = ::write(fd, line.data() + done, std::min(most, line.size() - done));
    if (n < 0 && errno != EINTR) return false;
    if (n > 0) done += static_cast<size_t>(n);
  }
  return true;
}

void log_error(const Error& error) {
  if (error.pointer.empty()) {
    log(Level::kError, error.message, {{"reason", error.code}});
  } else {
    log(Level::kError, error.message, {{"reason", error.code}, {"pointer", error.pointer}});
  }
}

}  // namespace lb::ops
