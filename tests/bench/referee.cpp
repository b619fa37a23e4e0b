// The referee: drives one kind of work through a proxy to backends of its own, checks every byte,
// and prints as JSON what the proxy took for it.
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <chrono>
#include <iostream>

#include "tests/bench/backend_side.hpp"
#include "tests/bench/client_side.hpp"
#include "tests/bench/process_cpu.hpp"

namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  std::string work = "conn";
  bench::ClientOptions client;
  uint16_t backends = 9000;
  double warm_s = 0.5;
  double seconds = 2;
  std::vector<pid_t> processes;
};

class Referee {
 public:
  explicit Referee(Options options)
      : options_(std::move(options)),
        epoll_(epoll_create1(0)),
        backends_(epoll_, options_.backends, pattern_),
        clients_(epoll_, options_.client, pattern_) {}

  int run() {
    clients_.start();
    options_.client.work == bench::Work::kIdle ? hold() : measure();
    return clients_.counts().corrupt == 0 ? 0 : 1;
  }

 private:
  void run_for(double seconds) {
    const auto end = Clock::now() + std::chrono::duration<double>(seconds);
    while (Clock::now() < end) poll();
  }

  void poll() {
    std::array<epoll_event, 256> events;
    const bool timed = options_.client.work == bench::Work::kRate;
    // A scheduled exchange is not kept waiting for the kernel to wake us: this spins.
    const int count = epoll_wait(epoll_, events.data(), int(events.size()), timed ? 0 : 10);
    for (int i = 0; i < count; ++i) {
      const int fd = events[size_t(i)].data.fd;
      // An event may outlive its descriptor, or meet its successor: both sides then find nothing.
      if (backends_.owns(fd)) {
        backends_.on_event(fd);
      } else if (clients_.owns(fd)) {
        clients_.on_event(fd);
      }
    }
    if (timed) clients_.send_due();
  }

  void measure() {
    run_for(options_.warm_s);
    const auto before = clients_.counts();
    const uint64_t cpu = bench::cpu_ns(options_.processes);
    const auto began = Clock::now();
    run_for(options_.seconds);
    const double took = std::chrono::duration<double>(Clock::now() - began).count();
    print(before, static_cast<double>(bench::cpu_ns(options_.processes) - cpu) / 1e9, took);
  }

  // Says on standard error when every connection has had its exchange, holds them, and ends.
  void hold() {
    const auto patience = Clock::now() + std::chrono::seconds(60);
    while (clients_.settled() < options_.client.connections && Clock::now() < patience) poll();
    std::cerr << "settled " << clients_.settled() << std::endl;
    run_for(options_.seconds);
    print({}, 0, options_.seconds);
  }

  void print(const bench::ClientCounts& before, double cpu_s, double took) const {
    const auto& now = clients_.counts();
    const auto operations = static_cast<double>(now.operations - before.operations);
    const auto bytes = static_cast<double>(now.bytes - before.bytes);
    std::cout << "{\"work\":\"" << options_.work << "\",\"operations\":" << operations
              << ",\"per_s\":" << operations / took << ",\"mb_per_s\":" << bytes / took / 1e6
              << ",\"cpu_us_per_operation\":" << (operations > 0 ? cpu_s * 1e6 / operations : 0)
              << ",\"cpu_s_per_gb\":" << (bytes > 0 ? cpu_s * 1e9 / bytes : 0)
              << ",\"late\":" << now.late - before.late
              << ",\"errors\":" << now.errors - before.errors << ",\"corrupt\":" << now.corrupt
              << ",\"backends\":[" << now.by_backend[0] << "," << now.by_backend[1] << ","
              << now.by_backend[2] << "]}" << std::endl;
  }

  const Options options_;
  const bench::Pattern pattern_;
  const int epoll_;
  bench::BackendSide backends_;
  bench::ClientSide clients_;
};

void raise_descriptor_limit() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Drives work through a proxy on loopback and says what the proxy took for it",
               "referee"};
  Options options;
  app.add_option("WORK", options.work, "conn, rr, bulk, idle or rate")
      ->required()
      ->check(CLI::IsMember({"conn", "rr", "bulk", "idle", "rate"}));
  app.add_option("--target", options.client.target_port, "Port of the proxy")->required();
  app.add_option("--backends", options.backends, "First of three ports")->capture_default_str();
  app.add_option("-c", options.client.connections, "Connections")->capture_default_str();
  app.add_option("--rate", options.client.rate, "Of 'rate': exchanges per second in all")
      ->check(CLI::PositiveNumber);
  app.add_option("--seconds", options.seconds, "Measured")->capture_default_str();
  app.add_option("--warm", options.warm_s, "Before that")->capture_default_str();
  app.add_option("--pid", options.processes, "Of the proxy; may be repeated");
  CLI11_PARSE(app, argc, argv);
  using bench::Work;
  options.client.work = options.work == "conn"   ? Work::kConnections
                        : options.work == "rr"   ? Work::kExchanges
                        : options.work == "bulk" ? Work::kBulk
                        : options.work == "rate" ? Work::kRate
                                                 : Work::kIdle;
  if (options.client.work == Work::kRate && options.client.rate == 0) {
    std::cerr << "rate takes --rate" << std::endl;
    return 2;
  }
  raise_descriptor_limit();
  return Referee(std::move(options)).run();
}
