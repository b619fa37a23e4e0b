// What health checking costs: probes many targets at a steady rate and prints the CPU time of the
// probing thread (CLOCK_THREAD_CPUTIME_ID) as a share of one core.
//
// The targets are one listener of a child process on all of 127.0.0.0/8. On loopback the kernel
// does a part of the listener's work in the probing thread, so the figure is rather too high.
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>
#include <set>
#include <string>

#include "dataplane/health/prober.hpp"
#include "tests/support/fake_tls.hpp"

namespace {

using lb::Endpoint;
using lb::HealthPolicy;
using lb::HealthType;
using lb::IpAddress;
using Clock = std::chrono::steady_clock;

struct Task {
  HealthType type = HealthType::kTcp;
  uint32_t rate = 1000;  // probes per second
  uint32_t interval_ms = 1000;
  uint32_t seconds = 5;
};

const std::map<std::string, HealthType> kKinds{{"tcp", HealthType::kTcp},
                                               {"http", HealthType::kHttp},
                                               {"tls", HealthType::kTls},
                                               {"send_expect", HealthType::kSendExpect}};

lb::test::Serve serve_for(HealthType type) {
  switch (type) {
    case HealthType::kHttp:
      return lb::test::answer({"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"});
    case HealthType::kSendExpect:
      return lb::test::answer({"+PONG\r\n"});
    case HealthType::kTls:
      return lb::test::speak_tls();
    default:
      return lb::test::hang_up();
  }
}

[[noreturn]] void be_target(HealthType type, int report) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  lb::asio::io_context io(1);
  lb::test::FakeTarget target(io, serve_for(type), Endpoint{IpAddress::v4(0), 0});
  const uint16_t port = target.endpoint().port;
  if (::write(report, &port, sizeof port) != sizeof port) ::_exit(1);
  io.run();
  ::_exit(0);
}

class TargetProcess {
 public:
  explicit TargetProcess(HealthType type) {
    int ends[2];
    if (::pipe(ends) != 0) return;
    pid_ = ::fork();
    if (pid_ == 0) be_target(type, ends[1]);
    ::close(ends[1]);
    if (::read(ends[0], &port_, sizeof port_) != sizeof port_) port_ = 0;
    ::close(ends[0]);
  }
  TargetProcess(const TargetProcess&) = delete;
  TargetProcess& operator=(const TargetProcess&) = delete;
  ~TargetProcess() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  uint16_t port() const { return port_; }

 private:
  pid_t pid_ = -1;
  uint16_t port_ = 0;
};

std::set<lb::health::Check> checks(const Task& task, uint16_t port) {
  HealthPolicy policy;
  policy.type = task.type;
  policy.interval_ms = task.interval_ms;
  policy.send = "PING\r\n";
  policy.expect = "+PONG";
  std::set<lb::health::Check> out;
  const uint64_t count = uint64_t{task.rate} * task.interval_ms / 1000;
  for (uint32_t i = 1; i <= count; ++i) {
    out.insert(lb::health::check_of({IpAddress::v4(0x7f000000 + i), port}, policy));
  }
  return out;
}

double thread_cpu_seconds() {
  timespec now;
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

struct Reading {
  double cpu = thread_cpu_seconds();
  Clock::time_point wall = Clock::now();
  lb::health::ProberCounters counters;
};

void print(const Task& task, const Reading& begin, const Reading& end) {
  const double cpu = end.cpu - begin.cpu;
  const double wall = std::chrono::duration<double>(end.wall - begin.wall).count();
  const auto probes = static_cast<double>(end.counters.probes - begin.counters.probes);
  const auto failed = end.counters.failures + end.counters.own_wants;
  std::printf("%-11s %7.0f probes/s  %5.2f %% of a core  %6.1f us/probe  not good: %llu\n",
              to_string(task.type), probes / wall, 100 * cpu / wall, 1e6 * cpu / probes,
              static_cast<unsigned long long>(failed));
}

int measure(const Task& task) {
  const TargetProcess target(task.type);
  if (target.port() == 0) return 1;
  lb::asio::io_context io(1);
  lb::health::Prober prober(io, {});
  for (const auto& check : checks(task, target.port())) prober.want("file/all", check);
  io.run_for(std::chrono::milliseconds(task.interval_ms + 1000));
  const Reading begin{.counters = prober.counters()};
  io.run_for(std::chrono::seconds(task.seconds));
  const Reading end{.counters = prober.counters()};
  print(task, begin, end);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("CPU cost of health checks");
  Task task;
  std::string kind = "tcp";
  app.add_option("--kind", kind)->check(CLI::IsMember({"tcp", "http", "tls", "send_expect"}));
  app.add_option("--rate", task.rate, "probes per second")->capture_default_str();
  app.add_option("--interval-ms", task.interval_ms)->capture_default_str();
  app.add_option("--seconds", task.seconds)->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  task.type = kKinds.at(kind);
  return measure(task);
}
