#include "common/ops/utc_time.hpp"

#include <chrono>
#include <cstdio>
#include <ctime>

namespace lb::ops {
namespace {

std::string date_and_time(std::time_t moment) {
  std::tm parts{};
  gmtime_r(&moment, &parts);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts)};
}

}  // namespace

std::string utc_seconds() { return date_and_time(std::time(nullptr)) + "Z"; }

std::string utc_milliseconds() {
  using std::chrono::system_clock;
  const auto now = system_clock::now();
  const auto millis =
      std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count() % 1000;
  char fraction[8];
  std::snprintf(fraction, sizeof fraction, ".%03dZ", static_cast<int>(millis));
  return date_and_time(system_clock::to_time_t(now)) + fraction;
}

}  // namespace lb::ops
