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
#include <new>
#include <utility>

#include "common/net/fd.hpp"

namespace lb::announce {
namespace {

constexpr size_t kMaxComplaint = 2000;
constexpr std::chrono::seconds kPatience{5};
constexpr std::chrono::seconds kLookAgain{5};  // whether the table is still there
constexpr std::chrono::milliseconds kMemoryAgain{100};
constexpr int kLastTries = 10;

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

// nft, until it has been waited for. Whoever leaves early ends it.
class Child {
 public:
  explicit Child(pid_t pid) : pid_(pid) {}
  ~Child() {
    if (pid_ <= 0) return;
    kill();
    wait();
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  void kill() const { ::kill(pid_, SIGKILL); }
  int wait() {
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = 0;
    return status;
  }

 private:
  pid_t pid_;
};

int redirect(posix_spawn_file_actions_t& actions, const Pipe& in, const Pipe& err) {
  const std::pair<int, int> wanted[] = {{in.read.get(), STDIN_FILENO},
                                        {err.write.get(), STDOUT_FILENO},
                                        {err.write.get(), STDERR_FILENO}};
  for (const auto& [from, to] : wanted) {
    if (const int failed = ::posix_spawn_file_actions_adddup2(&actions, from, to)) return failed;
  }
  return 0;
}

// The child's id, or the reason why there is none.
Result<pid_t> spawn_nft(const std::vector<std::string>& words, const Pipe& in, const Pipe& err) {
  char path[] = "PATH=/usr/sbin:/sbin:/usr/bin:/bin";
  char name[] = "nft";
  std::vector<char*> arguments{name};
  for (const auto& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  char* const environment[] = {path, nullptr};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  pid_t child = 0;
  int failed = redirect(actions, in, err);
  if (failed == 0) {
    for (const char* program : {"/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft"}) {
      failed = ::posix_spawn(&child, program, &actions, nullptr, arguments.data(), environment);
      if (failed == 0) break;
    }
  }
  posix_spawn_file_actions_destroy(&actions);
  if (failed == 0) return child;
  return Error{"Filter", std::string("nft cannot be run: ") + std::strerror(failed)};
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

PacketFilter::PacketFilter(Failed failed, Nft nft)
    : failed_(std::move(failed)), nft_(std::move(nft)), thread_([this] { run(); }) {}

PacketFilter::~PacketFilter() { stop(); }

void PacketFilter::set(const std::vector<Vip>& vips, std::function<void()> done) {
  std::string ruleset = render(vips);
  {
    const std::lock_guard lock(mutex_);
    if (done) waiting_.push_back(std::move(done));
    next_ = std::move(ruleset);
  }
  wake_.notify_all();
}

void PacketFilter::stop() { end(Ending::kClear); }

void PacketFilter::leave() { end(Ending::kLeave); }

void PacketFilter::end(Ending how) {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    ending_ = how;
  }
  wake_.notify_all();
  thread_.join();
}

Result<std::string> PacketFilter::run_nft(const std::vector<std::string>& words,
                                          const std::string& input) {
  Pipe in = make_pipe(), err = make_pipe();
  if (!in.read.valid() || !err.read.valid()) return Error{"Filter", std::strerror(errno)};
  ::fcntl(in.write.get(), F_SETFL, O_NONBLOCK);
  const auto spawned = spawn_nft(words, in, err);
  if (!spawned) return spawned.error();
  Child child(*spawned);
  in.read.reset();
  err.write.reset();
  const auto deadline = Clock::now() + kPatience;
  write_all(in.write, input, deadline);
  in.write.reset();
  const Complaint complaint = read_all(err.read, deadline);
  if (!complaint.in_time) child.kill();
  const int status = child.wait();
  if (!complaint.in_time) return Error{"Filter", "nft did not end in time"};
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return complaint.text;
  return Error{"Filter", "nft refused the ruleset: " + complaint.text.substr(0, kMaxComplaint)};
}

// Somebody may have deleted the table, or emptied it.
bool PacketFilter::table_is_there() const {
  const auto printed = nft_({"list", "chain", "inet", "empalme", "guard"}, {});
  return printed && printed->find("ct state") != std::string::npos;
}

void PacketFilter::enforce(const std::string& target) {
  if (in_force_ == target && target != nothing_ && !table_is_there()) in_force_ = "flushed";
  if (in_force_ == target) return;
  in_force_ = "unknown";
  const auto done = nft_({"-f", "-"}, target);
  tell(done ? Status(Done{}) : Status(done.error()));
  if (done) in_force_ = target;
}

void PacketFilter::tell(const Status& outcome) {
  if (outcome) return complaint_.clear();
  if (complaint_ == outcome.error().message) return;
  failed_(outcome.error());
  complaint_ = outcome.error().message;
}

void PacketFilter::answer() {
  for (; !told_next_.empty(); told_next_.pop_front()) told_next_.front()();
}

// Nothing here asks for memory.
PacketFilter::Ending PacketFilter::await_turn() {
  std::unique_lock lock(mutex_);
  const auto news = [this] { return ending_ != Ending::kNone || next_; };
  if (in_want_) {
    wake_.wait_for(lock, kMemoryAgain, [this] { return ending_ == Ending::kLeave; });
  } else if (wanted_ == nothing_ && in_force_ == nothing_) {
    wake_.wait(lock, news);
  } else {
    wake_.wait_for(lock, kLookAgain, news);
  }
  if (next_) wanted_ = std::move(*next_);
  next_.reset();
  told_next_.splice(told_next_.end(), waiting_);
  return ending_;
}

// False: for want of memory it is not known what is in force, or not everybody has been told.
bool PacketFilter::take_turn(const std::string& target) {
  try {
    enforce(target);
    answer();
    return true;
  } catch (const std::bad_alloc&) {
    ++memory_wants_;
    return false;
  }
}

void PacketFilter::run() {
  for (int tries = 0; tries < kLastTries;) {
    const Ending ending = await_turn();
    if (ending == Ending::kLeave) return;
    in_want_ = !take_turn(ending == Ending::kClear ? nothing_ : wanted_);
    if (ending == Ending::kNone) continue;
    if (!in_want_) return;
    ++tries;
  }
}

}  // namespace lb::announce
