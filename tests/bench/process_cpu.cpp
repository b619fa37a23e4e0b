#include "tests/bench/process_cpu.hpp"

#include <filesystem>
#include <fstream>
#include <string>

namespace bench {

uint64_t cpu_ns(const std::vector<pid_t>& processes) {
  uint64_t sum = 0;
  for (const pid_t process : processes) {
    std::error_code error;
    const std::filesystem::path tasks = "/proc/" + std::to_string(process) + "/task";
    for (const auto& task : std::filesystem::directory_iterator(tasks, error)) {
      uint64_t used = 0;
      std::ifstream(task.path() / "schedstat") >> used;
      sum += used;
    }
  }
  return sum;
}

}  // namespace bench
