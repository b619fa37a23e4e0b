#include "empalme/supervisor.hpp"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "common/ops/log.hpp"
#include "empalme/programs.hpp"

namespace lb::cli {
namespace {

constexpr int kCannotExec = 127;

int code_of(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status); }

// In the child: nothing here may allocate or lock.
[[noreturn]] void become(char* const* argv, char* const* environment, pid_t parent) {
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  for (const int signal : {SIGTERM, SIGINT, SIGCHLD, SIGPIPE}) ::signal(signal, SIG_DFL);
  // A group of its own: Ctrl-C reaches us alone, and we hand it on in order.
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) ::_exit(kCannotExec);
  ::execvpe(argv[0], argv, environment);
  ::_exit(kCannotExec);
}

}  // namespace

Supervisor::Supervisor(asio::io_context& io, std::vector<ChildSpec> children, Options options)
    : io_(io), options_(options), deaths_(io, SIGCHLD), signals_(io, SIGTERM, SIGINT) {
  for (auto& spec : children) {
    children_.push_back(
        {std::move(spec), 0, false, options_.first_pause, {}, asio::steady_timer(io)});
  }
}

void Supervisor::start() {
  await_children();
  await_signals();
  for (auto& child : children_) spawn(child);
}

void Supervisor::spawn(Child& child) {
  std::vector<char*> argv{child.spec.program.data()};
  for (auto& argument : child.spec.arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const std::vector<char*> environment = environment_for_children();
  const pid_t parent = ::getpid();
  child.began = std::chrono::steady_clock::now();
  child.pid = ::fork();
  if (child.pid == 0) become(argv.data(), environment.data(), parent);
  if (child.pid < 0) {
    child.pid = 0;
    restart_later(child);
  }
}

void Supervisor::await_children() {
  deaths_.async_wait([this](const boost::system::error_code& error, int) {
    if (error) return;
    reap();
    if (!over_) await_children();
  });
}

void Supervisor::await_signals() {
  signals_.async_wait([this](const boost::system::error_code& error, int signal) {
    if (error) return;
    stop(signal);
    if (!over_) await_signals();
  });
}

void Supervisor::reap() {
  int status = 0;
  pid_t pid;
  while ((pid = ::waitpid(-1, &status, WNOHANG)) > 0) {
    const auto found = std::find_if(children_.begin(), children_.end(),
                                    [pid](const Child& each) { return each.pid == pid; });
    if (found != children_.end()) ended(*found, status);
  }
}

void Supervisor::ended(Child& child, int status) {
  child.pid = 0;
  const int code = code_of(status);
  if (stopping_) return finish_if_over();
  const bool settled = std::chrono::steady_clock::now() - child.began >= options_.settled;
  child.settled_once = child.settled_once || settled;
  if (settled) child.pause = options_.first_pause;
  const bool again = child.settled_once || WIFSIGNALED(status);
  const auto ending = WIFSIGNALED(status)
                          ? ops::Field("signal", static_cast<uint64_t>(WTERMSIG(status)))
                          : ops::Field("exit_code", static_cast<uint64_t>(code));
  ops::log(ops::Level::kError,
           child.spec.name + (again ? " has ended and is started again" : " could not start"),
           {ending});
  if (again) return restart_later(child);
  exit_code_ = code == 0 ? 1 : code;
  stop(SIGTERM);
}

void Supervisor::restart_later(Child& child) {
  child.timer.expires_after(child.pause);
  child.pause = std::min(child.pause * 2, options_.longest_pause);
  child.timer.async_wait([this, &child](const boost::system::error_code& error) {
    if (!error && !stopping_) spawn(child);
  });
}

// The controller goes first: what it said last stays, and nobody changes it while the data plane
// drains. A second signal insists.
void Supervisor::stop(int signal) {
  const int passed_on = stopping_ ? SIGKILL : signal;
  stopping_ = true;
  for (auto child = children_.rbegin(); child != children_.rend(); ++child) {
    child->timer.cancel();
    if (child->pid > 0) ::kill(child->pid, passed_on);
  }
  finish_if_over();
}

void Supervisor::finish_if_over() {
  const bool running = std::any_of(children_.begin(), children_.end(),
                                   [](const Child& each) { return each.pid > 0; });
  if (running) return;
  over_ = true;
  deaths_.cancel();
  signals_.cancel();
}

}  // namespace lb::cli
