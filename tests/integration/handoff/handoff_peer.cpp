// A process that can be upgraded without a failed connection, for the tests of the handoff.
//
//   handoff_peer FOLDER WORKERS [DIE_AT]
//
// Takes over from the process that listens in FOLDER, or opens sockets of its own; says what
// happens in lines on its output; ends when its input does, or once it has handed over and its
// connections are over (three seconds at most). DIE_AT names the step at which it kills itself.
// HANDOFF_SPARE_FILES limits the descriptors that it may still open.

#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>

#include "common/net/sockaddr.hpp"
#include "dataplane/handoff/handoff_client.hpp"
#include "dataplane/handoff/handoff_server.hpp"
#include "dataplane/handoff/socket_plan.hpp"
#include "tests/integration/handoff/acceptor.hpp"

namespace lb::handoff {
namespace {

using namespace std::chrono_literals;

void say(const std::string& line) {
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

[[noreturn]] void fail(const Error& error) {
  say("failed " + error.code + " " + error.message);
  std::_Exit(3);
}

struct Options {
  std::string folder;
  unsigned workers = 2;
  std::string die_at;

  std::string path() const { return folder + "/handoff.sock"; }
  std::string lock() const { return folder + "/lock"; }
  void step(const char* name) const {
    if (die_at == name) std::raise(SIGKILL);
  }
};

net::Fd bound(int type, uint16_t port) {
  net::Fd fd(::socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  const net::SockAddr at = net::to_sockaddr(Endpoint{*IpAddress::parse("127.0.0.1"), port});
  if (::bind(fd.get(), at.get(), at.length) != 0) fail({"Bind", "cannot bind"});
  if (type == SOCK_STREAM) ::listen(fd.get(), 1024);
  return fd;
}

Endpoint endpoint_of(const net::Fd& socket) {
  net::SockAddr local;
  local.length = sizeof local.storage;
  ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&local.storage), &local.length);
  return net::to_endpoint(local);
}

class Process {
 public:
  explicit Process(Options options) : options_(std::move(options)), input_(io_, ::dup(0)) {}

  void run() {
    if (!take()) open_own();
    serve();
    read_input();
    io_.run();
    workers_.clear();
  }

 private:
  uint64_t accepted() const {
    uint64_t sum = base_;
    for (const auto& worker : workers_) sum += worker->accepted();
    return sum;
  }

  uint64_t connections() const {
    uint64_t sum = 0;
    for (const auto& worker : workers_) sum += worker->connections();
    return sum;
  }

  // The steps of take_over() one by one, as a process that dies in the middle sees them.
  void die_on_the_way() {
    auto channel = BlockingChannel::connect(options_.path(), BlockingChannel::Clock::now() + 10s);
    if (!channel.ok() || !channel->has_value()) fail({"Nobody", "nobody to take over from"});
    options_.step("connected");
    const LengthBytes length = encode_length(100);
    if (options_.die_at == "half_hello") {
      ::send((*channel)->descriptor(), length.data(), length.size(), MSG_NOSIGNAL);
    }
    options_.step("half_hello");
    if (!(*channel)->send_document(encode(Hello{"dying"})).ok()) fail({"Hello", "not sent"});
    options_.step("hello_sent");
    const auto document = (*channel)->receive_document(kMaxOfferBytes);
    if (!document.ok()) fail(document.error());
    options_.step("document_read");
    const auto fds = (*channel)->receive_descriptors(decode_offer(*document)->descriptors());
    if (!fds.ok()) fail(fds.error());
    options_.step("descriptors_read");
    ::send((*channel)->descriptor(), length.data(), length.size(), MSG_NOSIGNAL);
    options_.step("half_serving");
  }

  bool take() {
    if (!options_.die_at.empty() && options_.die_at != "accepting") die_on_the_way();
    limit_files();
    auto taken = take_over(options_.path(), "test", 10s);
    if (!taken.ok()) fail(taken.error());
    if (!taken->has_value()) return false;
    if (!is_open_on((*taken)->lock, options_.lock())) fail({"Lock", "not the lock of the folder"});
    lock_ = std::move((*taken)->lock);
    start_workers((*taken)->listeners);
    options_.step("accepting");
    const auto counters = (*taken)->confirm(true);
    if (!counters.ok()) fail(counters.error());
    base_ = counters->at("accepted");
    return true;
  }

  static void limit_files() {
    const char* spare = std::getenv("HANDOFF_SPARE_FILES");
    if (spare == nullptr) return;
    const net::Fd lowest_free(::dup(0));
    rlimit files{};
    ::getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = static_cast<rlim_t>(lowest_free.get()) + std::strtoul(spare, nullptr, 10);
    ::setrlimit(RLIMIT_NOFILE, &files);
  }

  void open_own() {
    lock_.reset(::open(options_.lock().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (::flock(lock_.get(), LOCK_EX | LOCK_NB) != 0) fail({"Locked", "the folder is taken"});
    std::vector<TakenSocket> sockets;
    uint16_t port = 0;
    for (unsigned worker = 0; worker < options_.workers; ++worker) {
      net::Fd tcp = bound(SOCK_STREAM, port);
      const Endpoint at = endpoint_of(tcp);
      port = at.port;
      sockets.push_back({{{at, Protocol::kTcp}, worker, false}, std::move(tcp)});
    }
    net::Fd udp = bound(SOCK_DGRAM, 0);
    const Endpoint at = endpoint_of(udp);
    sockets.push_back({{{at, Protocol::kUdp}, 0, true}, std::move(udp)});
    start_workers(sockets);
  }

  void start_workers(std::vector<TakenSocket>& sockets) {
    std::vector<SocketLabel> labels;
    for (const auto& socket : sockets) labels.push_back(socket.label);
    std::vector<std::vector<ListeningSocket>> shares(options_.workers);
    for (const auto& [listener, plan] : plan_sockets(labels, options_.workers)) {
      ports_[listener.protocol] = listener.at.port;
      for (unsigned worker = 0; worker < options_.workers; ++worker) {
        for (const size_t i : plan.owned[worker]) {
          const SocketLabel label{listener, worker, labels[i].shared};
          offered_.push_back({label, sockets[i].fd.get()});
          shares[worker].push_back({std::move(sockets[i].fd), listener.protocol});
        }
      }
    }
    for (auto& share : shares) workers_.push_back(std::make_unique<Acceptor>(std::move(share)));
  }

  Offer offer() const {
    Offer offer;
    offer.version = "test";
    offer.workers = options_.workers;
    offer.counters = {{"accepted", accepted()}};
    offer.listeners = offered_;
    offer.state = "{}";
    offer.lock = lock_.get();
    return offer;
  }

  void released(FinalReport& report) {
    for (const auto& worker : workers_) worker->stop_accepting();
    lock_.reset();
    report.counters = {{"accepted", accepted()}};
    give_up_ = std::chrono::steady_clock::now() + 3s;
    drain();
  }

  void drain() {
    if (connections() == 0 || std::chrono::steady_clock::now() > give_up_) {
      say("drained " + std::to_string(connections()));
      input_.cancel();
      return;
    }
    timer_.expires_after(5ms);
    timer_.async_wait([this](const boost::system::error_code&) { drain(); });
  }

  void serve() {
    Callbacks callbacks{[this]() -> Result<Offer> { return offer(); }, [this] { return offered_; },
                        [this](FinalReport& report) { released(report); },
                        [](const Error& error) { say("note " + error.code); }};
    auto server = HandoffServer::open(io_, options_.path(), std::move(callbacks), {2s, 5s});
    if (!server.ok()) fail(server.error());
    server_ = std::move(*server);
    say("serving " + std::to_string(ports_[Protocol::kTcp]) + " " +
        std::to_string(ports_[Protocol::kUdp]) + " " + std::to_string(base_));
  }

  void read_input() {
    input_.async_read_some(asio::buffer(byte_),
                           [this](const boost::system::error_code& ended, size_t) {
                             if (!ended) return read_input();
                             if (ended == asio::error::eof)
                               say("total " + std::to_string(accepted()));
                             server_.reset();
                           });
  }

  const Options options_;
  asio::io_context io_;
  asio::posix::stream_descriptor input_;
  asio::steady_timer timer_{io_};
  std::array<char, 1> byte_{};
  net::Fd lock_;
  uint64_t base_ = 0;
  std::map<Protocol, uint16_t> ports_;
  std::vector<OfferedSocket> offered_;
  std::vector<std::unique_ptr<Acceptor>> workers_;
  std::unique_ptr<HandoffServer> server_;
  std::chrono::steady_clock::time_point give_up_;
};

}  // namespace
}  // namespace lb::handoff

int main(int count, char** words) {
  if (count < 3) return 2;
  lb::handoff::Options options{words[1], static_cast<unsigned>(std::atoi(words[2])),
                               count > 3 ? words[3] : ""};
  lb::handoff::Process(std::move(options)).run();
  return 0;
}
