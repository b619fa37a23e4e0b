// What one exchange over UDP costs whoever relays it, in CPU time of that process.
//
//   udp-rr --target ADDRESS:PORT --pid PID [--clients N] [--size BYTES] [--seconds S]
//          [--window N] [--fresh N]
//   udp-rr --echo PORT
//
// Each client sends `window` datagrams and sends another for each that comes back. `fresh` N: a
// client takes a new port, which is a new session for the relay, after N exchanges. --echo is the
// other end: it sends back what it gets. One thread; taskset(1) pins it.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <CLI/CLI.hpp>
#include <array>
#include <chrono>
#include <cstdio>
#include <vector>

#include "common/net/fd.hpp"
#include "common/net/sockaddr.hpp"
#include "tests/bench/process_cpu.hpp"

namespace {

using Clock = std::chrono::steady_clock;
constexpr unsigned kBatch = 64;
constexpr size_t kRoom = 65'536 + 64;

struct Options {
  std::string target;
  std::vector<pid_t> pids;
  uint16_t echo = 0;
  unsigned clients = 64, window = 1, fresh = 0;
  size_t size = 64;
  double seconds = 5;
};

// Room for a batch of any size, with the senders.
struct Batch {
  Batch() : memory(kBatch * kRoom) {
    for (unsigned i = 0; i < kBatch; ++i) {
      vectors[i] = {&memory[i * kRoom], kRoom};
      headers[i].msg_hdr.msg_iov = &vectors[i];
      headers[i].msg_hdr.msg_iovlen = 1;
    }
  }
  int receive(int fd, int flags) {
    for (unsigned i = 0; i < kBatch; ++i) {
      vectors[i].iov_len = kRoom;
      headers[i].msg_hdr.msg_name = &senders[i];
      headers[i].msg_hdr.msg_namelen = sizeof senders[i];
    }
    return recvmmsg(fd, headers.data(), kBatch, flags, nullptr);
  }
  void send_back(int fd, unsigned count) {
    for (unsigned i = 0; i < count; ++i) vectors[i].iov_len = headers[i].msg_len;
    sendmmsg(fd, headers.data(), count, 0);
  }
  std::vector<char> memory;
  std::array<sockaddr_in6, kBatch> senders;
  std::array<iovec, kBatch> vectors;
  std::array<mmsghdr, kBatch> headers{};
};

void enlarge(int fd) {
  const int room = 4 << 20;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
}

int echo(uint16_t port) {
  lb::net::Fd fd(socket(AF_INET, SOCK_DGRAM, 0));
  enlarge(fd.get());
  const auto where = lb::net::to_sockaddr(lb::Endpoint{lb::IpAddress::v4(0x7f000001), port});
  if (bind(fd.get(), where.get(), where.length) != 0) return 1;
  Batch batch;
  for (;;) {
    const int count = batch.receive(fd.get(), MSG_WAITFORONE);
    if (count > 0) batch.send_back(fd.get(), unsigned(count));
  }
}

class Clients {
 public:
  explicit Clients(const Options& options)
      : options_(options),
        target_(lb::net::to_sockaddr(lb::parse_endpoint(options.target).value())),
        question_(options.size, 'x'),
        epoll_(epoll_create1(0)),
        all_(options.clients) {
    for (size_t i = 0; i < all_.size(); ++i) start(i);
  }

  uint64_t run(double seconds) {
    uint64_t exchanges = 0;
    const auto end = Clock::now() + std::chrono::duration<double>(seconds);
    std::array<epoll_event, 256> events;
    while (Clock::now() < end) {
      const int count = epoll_wait(epoll_.get(), events.data(), int(events.size()), 100);
      if (count == 0) lost_ += restart_all();
      for (int i = 0; i < count; ++i) exchanges += serve(events[size_t(i)].data.u64);
    }
    return exchanges;
  }
  uint64_t lost() const { return lost_; }

 private:
  struct Client {
    lb::net::Fd fd;
    unsigned done = 0;
  };

  void start(size_t index) {
    all_[index].fd.reset(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0));
    all_[index].done = 0;
    const int fd = all_[index].fd.get();
    enlarge(fd);
    if (connect(fd, target_.get(), target_.length) != 0) return;
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = index;
    epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
    ask(fd, options_.window);
  }
  void ask(int fd, unsigned count) {
    if (count == 1) {
      send(fd, question_.data(), question_.size(), 0);
      return;
    }
    std::array<mmsghdr, kBatch> headers{};
    iovec vector{question_.data(), question_.size()};
    for (unsigned i = 0; i < count && i < kBatch; ++i) {
      headers[i].msg_hdr.msg_iov = &vector;
      headers[i].msg_hdr.msg_iovlen = 1;
    }
    sendmmsg(fd, headers.data(), std::min(count, kBatch), 0);
  }
  int receive_one(int fd) {
    return recv(fd, batch_.memory.data(), kRoom, MSG_DONTWAIT) >= 0 ? 1 : -1;
  }
  unsigned serve(size_t index) {
    Client& client = all_[index];
    const int count = options_.window == 1 ? receive_one(client.fd.get())
                                           : batch_.receive(client.fd.get(), MSG_DONTWAIT);
    if (count <= 0) return 0;
    client.done += unsigned(count);
    if (options_.fresh != 0 && client.done >= options_.fresh) {
      start(index);
    } else {
      ask(client.fd.get(), unsigned(count));
    }
    return unsigned(count);
  }
  // Everything stands still: whatever was under way is lost.
  uint64_t restart_all() {
    for (auto& client : all_) ask(client.fd.get(), options_.window);
    return all_.size() * options_.window;
  }

  const Options& options_;
  lb::net::SockAddr target_;
  std::vector<char> question_;
  lb::net::Fd epoll_;
  std::vector<Client> all_;
  Batch batch_;
  uint64_t lost_ = 0;
};

int measure(const Options& options) {
  Clients clients(options);
  clients.run(0.5);
  const uint64_t cpu_before = bench::cpu_ns(options.pids);
  const auto began = Clock::now();
  const uint64_t exchanges = clients.run(options.seconds);
  const double wall = std::chrono::duration<double>(Clock::now() - began).count();
  const double cpu = double(bench::cpu_ns(options.pids) - cpu_before);
  if (exchanges == 0) return 1;
  std::printf("%.0f exchanges/s  %.0f ns of CPU each  %.0f%% of a core  %lu lost\n",
              double(exchanges) / wall, cpu / double(exchanges), cpu / wall / 1e7, clients.lost());
  return 0;
}

}  // namespace

int main(int count, char** words) {
  Options options;
  CLI::App app{"CPU time of a UDP relay for each exchange"};
  app.add_option("--echo", options.echo);
  app.add_option("--target", options.target);
  app.add_option("--pid", options.pids);
  app.add_option("--clients", options.clients);
  app.add_option("--window", options.window);
  app.add_option("--fresh", options.fresh);
  app.add_option("--size", options.size);
  app.add_option("--seconds", options.seconds);
  CLI11_PARSE(app, count, words);
  return options.echo != 0 ? echo(options.echo) : measure(options);
}
