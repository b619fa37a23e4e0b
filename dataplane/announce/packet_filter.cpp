#include "dataplane/announce/packet_filter.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "common/net/fd.hpp"

namespace lb::announce {
namespace {

constexpr char kProgram[] = "nft";
constexpr size_t kMaxComplaint = 500;

std::string ports_of(const Vip& vip, Protocol protocol) {
  std::string out;
  for (const auto& [each, port] : vip.ports) {
    if (each == protocol) out += (out.empty() ? "" : ", ") + std::to_string(port);
  }
  return out;
}

std::string rules_of(const Vip& vip) {
  const std::string destination = std::string("    ") + (vip.address.is_v4() ? "ip" : "ip6") +
                                  " daddr " + vip.address.to_string() + " ";
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

std::string read_all(const net::Fd& from) {
  std::string out;
  char block[512];
  ssize_t got;
  while ((got = ::read(from.get(), block, sizeof block)) > 0) {
    if (out.size() < kMaxComplaint) out.append(block, static_cast<size_t>(got));
  }
  while (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

void write_all(const net::Fd& to, const std::string& text) {
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t wrote = ::write(to.get(), text.data() + done, text.size() - done);
    if (wrote <= 0 && errno != EINTR) return;
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

Status run_nft(const std::string& ruleset) {
  Pipe in = make_pipe(), err = make_pipe();
  if (!in.read.valid() || !err.read.valid()) return Error{"Filter", std::strerror(errno)};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in.read.get(), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err.write.get(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err.write.get(), STDERR_FILENO);
  char path[] = "PATH=/usr/sbin:/sbin:/usr/bin:/bin";
  char name[] = "nft", file[] = "-f", dash[] = "-";
  char* const arguments[] = {name, file, dash, nullptr};
  char* const environment[] = {path, nullptr};
  pid_t child = 0;
  int failed = ENOENT;
  for (const char* folder : {"/usr/sbin/", "/sbin/", "/usr/bin/"}) {
    const std::string program = std::string(folder) + kProgram;
    if (failed != 0) {
      failed = ::posix_spawn(&child, program.c_str(), &actions, nullptr, arguments, environment);
    }
  }
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0)
    return Error{"Filter", std::string("nft cannot be run: ") + std::strerror(failed)};
  in.read.reset();
  err.write.reset();
  write_all(in.write, ruleset);
  in.write.reset();
  const std::string complaint = read_all(err.read);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return Done{};
  return Error{"Filter", "nft refused the ruleset: " + complaint.substr(0, kMaxComplaint)};
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
  return out + "  }\n}\n";
}

PacketFilter::PacketFilter(Failed failed)
    : failed_(std::move(failed)), thread_([this] { run(); }) {}

PacketFilter::~PacketFilter() { stop(); }

void PacketFilter::set(const std::vector<Vip>& vips) {
  {
    const std::lock_guard lock(mutex_);
    next_ = render(vips);
  }
  wake_.notify_all();
}

void PacketFilter::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    next_ = render({});
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void PacketFilter::run() {
  const std::string nothing = render({});
  for (;;) {
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [this] { return stopping_ || next_; });
    const bool last = stopping_;
    const auto ruleset = std::exchange(next_, std::nullopt);
    lock.unlock();
    // What is not there needs no removal.
    if (ruleset && (applied_ || *ruleset != nothing)) {
      if (const auto done = run_nft(*ruleset); !done) {
        failed_(done.error());
      } else {
        applied_ = *ruleset != nothing;
      }
    }
    if (last) return;
  }
}

}  // namespace lb::announce
