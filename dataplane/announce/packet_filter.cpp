#include "dataplane/announce/packet_filter.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "common/net/fd.hpp"

namespace lb::announce {
namespace {

constexpr char kProgram[] = "nft";
constexpr size_t kMaxComplaint = 2000;
constexpr std::chrono::seconds kPatience{5};
constexpr std::chrono::seconds kLookAgain{5};  // whether the table is still there

std::string ports_of(const Vip& vip, Protocol protocol) {
  std::string out;
  for (const auto& [each, port] : vip.ports) {
    if (each == protocol) out += (out.empty() ? "" : ", ") + std::to_string(port);
  }
  return out;
}

std::string match_of(const Vip& vip) {
  return std::string("    ") + (vip.address.is_v4() ? "ip" : "ip6") + " daddr " +
         vip.address.to_string() + " ";
}

std::string pins_of(const Vip& vip) {
  std::string out;
  for (const Protocol protocol : {Protocol::kTcp, Protocol::kUdp}) {
    const std::string ports = ports_of(vip, protocol);
    if (ports.empty()) continue;
    out += match_of(vip) + to_string(protocol) + " dport { " + ports + " } dnat " +
           (vip.address.is_v4() ? "ip" : "ip6") + " to " + vip.address.to_string() + "\n";
  }
  return out;
}

std::string rules_of(const Vip& vip) {
  const std::string destination = match_of(vip);
  std::string out;
  for (const Protocol protocol : {Protocol::kTcp, Protocol::kUdp}) {
    const std::string name = to_string(protocol);
    const std::string ports = ports_of(vip, protocol);
    if (!ports.empty()) out += destination + name + " dport { " + ports + " } accept\n";
  }
  out += destination + "meta l4proto 6 reject with tcp reset\n";
  out += destination + "meta l4proto 17 reject\n";
  return out;
}

using Clock = std::chrono::steady_clock;

int milliseconds_until(Clock::time_point deadline) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
  return static_cast<int>(std::max<int64_t>(0, left.count()));
}

// False when the other end said nothing more before the deadline.
bool ready(const net::Fd& fd, short events, Clock::time_point deadline) {
  pollfd waiting{fd.get(), events, 0};
  int count;
  do {
    count = ::poll(&waiting, 1, milliseconds_until(deadline));
  } while (count < 0 && errno == EINTR);
  return count > 0;
}

struct Complaint {
  std::string text;
  bool in_time = true;
};

Complaint read_all(const net::Fd& from, Clock::time_point deadline) {
  Complaint out;
  char block[512];
  for (;;) {
    if (!ready(from, POLLIN, deadline)) return {std::move(out.text), false};
    const ssize_t got = ::read(from.get(), block, sizeof block);
    if (got <= 0) break;
    if (out.text.size() < kMaxComplaint) out.text.append(block, static_cast<size_t>(got));
  }
  while (!out.text.empty() && out.text.back() == '\n') out.text.pop_back();
  return out;
}

void write_all(const net::Fd& to, const std::string& text, Clock::time_point deadline) {
  size_t done = 0;
  while (done < text.size() && ready(to, POLLOUT, deadline)) {
    const ssize_t wrote = ::write(to.get(), text.data() + done, text.size() - done);
    if (wrote <= 0 && errno != EINTR && errno != EAGAIN) return;
    if (wrote > 0) done += static_cast<size_t>(wrote);
  }
}

struct Pipe {
  net::Fd read, write;
};

Pipe make_pipe() {
  int ends[2] = {-1, -1};
  if (::pipe2(ends, O_CLOEXEC) != 0) return {};
  return {net::Fd(ends[0]), net::Fd(ends[1])};
}

// The child's id, or the reason why there is none.
Result<pid_t> spawn_nft(const std::vector<std::string>& words, const Pipe& in, const Pipe& err) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in.read.get(), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err.write.get(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err.write.get(), STDERR_FILENO);
  char path[] = "PATH=/usr/sbin:/sbin:/usr/bin:/bin";
  char name[] = "nft";
  std::vector<char*> arguments{name};
  for (const auto& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  char* const environment[] = {path, nullptr};
  pid_t child = 0;
  int failed = ENOENT;
  for (const char* folder : {"/usr/sbin/", "/sbin/", "/usr/bin/"}) {
    const std::string program = std::string(folder) + kProgram;
    if (failed != 0) {
      failed =
          ::posix_spawn(&child, program.c_str(), &actions, nullptr, arguments.data(), environment);
    }
  }
  posix_spawn_file_actions_destroy(&actions);
  if (failed == 0) return child;
  return Error{"Filter", std::string("nft cannot be run: ") + std::strerror(failed)};
}

// What it has printed.
Result<std::string> run_nft(const std::vector<std::string>& words, const std::string& input) {
  Pipe in = make_pipe(), err = make_pipe();
  if (!in.read.valid() || !err.read.valid()) return Error{"Filter", std::strerror(errno)};
  ::fcntl(in.write.get(), F_SETFL, O_NONBLOCK);
  const auto child = spawn_nft(words, in, err);
  if (!child) return child.error();
  in.read.reset();
  err.write.reset();
  const auto deadline = Clock::now() + kPatience;
  write_all(in.write, input, deadline);
  in.write.reset();
  const Complaint complaint = read_all(err.read, deadline);
  if (!complaint.in_time) ::kill(*child, SIGKILL);
  int status = 0;
  while (::waitpid(*child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!complaint.in_time) return Error{"Filter", "nft did not end in time"};
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return complaint.text;
  return Error{"Filter", "nft refused the ruleset: " + complaint.text.substr(0, kMaxComplaint)};
}

// Somebody may have deleted the table, or emptied it.
bool table_is_there() {
  const auto printed = run_nft({"list", "chain", "inet", "empalme", "guard"}, {});
  return printed && printed->find("ct state") != std::string::npos;
}

}  // namespace

std::string render(const std::vector<Vip>& vips) {
  // Adding first makes the deletion succeed whether or not the table was there.
  std::string out = "add table inet empalme\ndelete table inet empalme\n";
  if (vips.empty()) return out;
  // ICMP, ICMPv6, TCP and UDP by number: an image need not have /etc/protocols.
  // After connection tracking (-200), before kube-proxy's translation (-100).
  out +=
      "table inet empalme {\n"
      "  chain guard {\n"
      "    type filter hook prerouting priority -110; policy accept;\n"
      "    iif \"lo\" accept\n"
      "    ct state established,related accept\n"
      "    meta l4proto { 1, 58 } accept\n";
  for (const auto& vip : vips) out += rules_of(vip);
  out += "  }\n";
  // The first translation of a connection stands: to the address that it has already. What comes
  // later at this hook (node ports, host ports) can then not lead it elsewhere.
  for (const char* hook : {"prerouting", "output"}) {
    out += std::string("  chain pin_") + hook + " {\n    type nat hook " + hook +
           " priority -105; policy accept;\n";
    for (const auto& vip : vips) out += pins_of(vip);
    out += "  }\n";
  }
  return out + "}\n";
}

PacketFilter::PacketFilter(Failed failed)
    : failed_(std::move(failed)), thread_([this] { run(); }) {}

PacketFilter::~PacketFilter() { stop(); }

void PacketFilter::set(const std::vector<Vip>& vips, std::function<void()> done) {
  {
    const std::lock_guard lock(mutex_);
    next_ = render(vips);
    if (done) waiting_.push_back(std::move(done));
  }
  wake_.notify_all();
}

void PacketFilter::stop() { end(render({})); }

void PacketFilter::leave() { end(std::nullopt); }

// Without a last ruleset nothing is touched any more.
void PacketFilter::end(std::optional<std::string> last) {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    next_ = std::move(last);
  }
  wake_.notify_all();
  thread_.join();
}

Status PacketFilter::apply(const std::string& ruleset) {
  const auto done = run_nft({"-f", "-"}, ruleset);
  in_force_ = done ? ruleset : "unknown";
  return done ? Status(Done{}) : Status(done.error());
}

void PacketFilter::tell(const Status& outcome) {
  const std::string complaint = outcome ? std::string{} : outcome.error().message;
  if (std::exchange(complaint_, complaint) == complaint || complaint.empty()) return;
  failed_(outcome.error());
}

void PacketFilter::run() {
  const std::string nothing = render({});
  std::string wanted = nothing;
  for (;;) {
    std::unique_lock lock(mutex_);
    const auto news = [this] { return stopping_ || next_; };
    const bool idle = wanted == nothing && in_force_ == nothing;
    if (idle) {
      wake_.wait(lock, news);
    } else {
      wake_.wait_for(lock, kLookAgain, news);
    }
    const bool last = stopping_;
    if (last && !next_) return;
    if (next_) wanted = *std::exchange(next_, std::nullopt);
    const auto waiting = std::exchange(waiting_, {});
    lock.unlock();
    if (in_force_ == wanted && wanted != nothing && !table_is_there()) in_force_ = "flushed";
    if (in_force_ != wanted) tell(apply(wanted));
    for (const auto& done : waiting) done();
    if (last) return;
  }
}

}  // namespace lb::announce
