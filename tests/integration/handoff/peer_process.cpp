#include "tests/integration/handoff/peer_process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <utility>

namespace lb::handoff {
namespace {

constexpr int kPatienceMs = 20'000;

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> all;
  for (auto& word : words) all.push_back(word.data());
  all.push_back(nullptr);
  return all;
}

}  // namespace

PeerProcess::PeerProcess(std::vector<std::string> arguments, std::vector<std::string> environment) {
  int in[2], out[2];
  if (::pipe2(in, O_CLOEXEC) != 0 || ::pipe2(out, O_CLOEXEC) != 0) return;
  const net::Fd their_input(in[0]), their_output(out[1]);
  input_.reset(in[1]);
  output_.reset(out[0]);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, their_input.get(), 0);
  ::posix_spawn_file_actions_adddup2(&actions, their_output.get(), 1);
  arguments.insert(arguments.begin(), HANDOFF_PEER);
  for (char** each = environ; *each != nullptr; ++each) environment.emplace_back(*each);
  const auto words = pointers(arguments), variables = pointers(environment);
  if (::posix_spawn(&id_.pid, HANDOFF_PEER, &actions, nullptr, words.data(), variables.data()) !=
      0) {
    id_.pid = -1;
  }
  ::posix_spawn_file_actions_destroy(&actions);
}

PeerProcess::~PeerProcess() {
  if (id_.pid <= 0) return;
  ::kill(id_.pid, SIGKILL);
  wait();
}

int PeerProcess::wait() {
  int status = 0;
  if (id_.pid <= 0 || ::waitpid(id_.pid, &status, 0) != id_.pid) return -1000;
  id_.pid = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

bool PeerProcess::read_more() {
  pollfd entry{output_.get(), POLLIN, 0};
  if (::poll(&entry, 1, kPatienceMs) <= 0) return false;
  char bytes[512];
  const ssize_t n = ::read(output_.get(), bytes, sizeof bytes);
  if (n <= 0) return false;
  unread_.append(bytes, static_cast<size_t>(n));
  return true;
}

std::string PeerProcess::line(const std::string& word) {
  for (;;) {
    const size_t end = unread_.find('\n');
    if (end == std::string::npos) {
      if (!read_more()) return "(none)";
      continue;
    }
    const std::string line = unread_.substr(0, end);
    unread_.erase(0, end + 1);
    if (line.starts_with(word + " ")) return line.substr(word.size() + 1);
  }
}

}  // namespace lb::handoff
