#include "dataplane/announce/keepalived.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <new>
#include <sstream>

#include "common/net/fd.hpp"

namespace lb::announce {
namespace {

constexpr size_t kLongestLine = 4096;
constexpr std::string_view kReady = "Startup complete";

// In the child, between fork and exec: calls that are safe after a fork of many threads only.
[[noreturn]] void become(const std::vector<char*>& arguments, int log, pid_t parent) {
  ::setpgid(0, 0);  // Ctrl-C is for us; keepalived is told by us
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) ::_exit(1);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  ::dup2(log, STDOUT_FILENO);
  ::dup2(log, STDERR_FILENO);
  ::execv(arguments[0], arguments.data());
  ::_exit(127);
}

Error failed(const char* what) {
  return Error{"Keepalived",
               std::string("keepalived cannot be started: ") + what + ": " + std::strerror(errno)};
}

// "Sat Nov 21 13:17:55 2026: text"
std::string without_time(std::string line) {
  constexpr size_t kTime = 24;
  if (line.size() > kTime + 2 && line.compare(kTime, 2, ": ") == 0) return line.substr(kTime + 2);
  return line;
}

}  // namespace

std::string find_program(const std::string& name) {
  const char* path = std::getenv("PATH");
  std::istringstream folders(std::string(path != nullptr ? path : "") +
                             ":/usr/sbin:/sbin:/usr/bin");
  for (std::string folder; std::getline(folders, folder, ':');) {
    const std::string candidate = folder + "/" + name;
    if (!folder.empty() && ::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return {};
}

Keepalived::Keepalived(asio::io_context& io, KeepalivedOptions options)
    : io_(io),
      options_(std::move(options)),
      again_(io),
      silence_(io),
      process_(io),
      log_(io),
      unread_(kLongestLine),
      delay_(options_.first_delay) {}

Keepalived::~Keepalived() {
  stop();
  bury();
}

void Keepalived::start() {
  if (pid_ != 0 || stopped_) return;
  try {
    spawn();
  } catch (const std::bad_alloc&) {
    bury();  // nobody would watch it
    start_later();
    throw;
  }
}

void Keepalived::spawn() {
  started_at_ = std::chrono::steady_clock::now();
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return could_not_start("pipe");
  net::Fd read(ends[0]), write(ends[1]);
  std::vector<char*> arguments;
  for (const auto& word : options_.command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  const pid_t parent = ::getpid();
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  for (const auto& file : options_.pid_files) ::unlink(file.c_str());
  ready_ = false;
  reload_wanted_ = false;
  const pid_t child = ::fork();
  if (child == 0) become(arguments, write.get(), parent);
  if (child < 0) return could_not_start("fork");
  pid_ = child;
  ++starts_;
  ::setpgid(pid_, pid_);
  boost::system::error_code ignored;
  log_.close(ignored);
  unread_.consume(unread_.size());
  log_.assign(read.release(), ignored);
  read_log();
  await_ready();
  watch();
}

// Another version may say it in other words.
void Keepalived::await_ready() {
  silence_.expires_after(options_.ready_at_latest);
  silence_.async_wait([this](const boost::system::error_code& error) {
    if (error || ready_ || pid_ <= 0) return;
    ++silent_starts_;
    became_ready();
  });
}

void Keepalived::became_ready() {
  ready_ = true;
  if (std::exchange(reload_wanted_, false)) reload();
}

// Nothing has died, so there is nothing to tidy up behind.
void Keepalived::could_not_start(const char* what) {
  options_.report(failed(what));
  ++start_failures_;
  start_later();
}

void Keepalived::watch() {
  const auto pidfd = static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0));
  if (pidfd < 0) {
    options_.report(failed("pidfd_open"));
    ++start_failures_;
    ::kill(-pid_, SIGKILL);
    return died();
  }
  boost::system::error_code ignored;
  process_.assign(pidfd, ignored);
  process_.async_wait(asio::posix::stream_descriptor::wait_read,
                      [this](const boost::system::error_code& error) {
                        if (!error) died();
                      });
}

// Its child, too, must be gone before anybody tidies up behind it.
void Keepalived::bury() {
  boost::system::error_code ignored;
  process_.close(ignored);
  silence_.cancel();
  if (pid_ <= 0) return;
  ::kill(-pid_, SIGKILL);
  while (::waitpid(-pid_, nullptr, 0) > 0 || errno == EINTR) {
  }
  pid_ = 0;
}

void Keepalived::died() {
  bury();
  if (stopped_) return;
  ++deaths_;
  start_later();
  options_.on_exit();
}

void Keepalived::start_later() {
  if (std::chrono::steady_clock::now() - started_at_ > 2 * options_.longest_delay) {
    delay_ = options_.first_delay;
  }
  again_.expires_after(delay_);
  delay_ = std::min(2 * delay_, options_.longest_delay);
  again_.async_wait([this](const boost::system::error_code& error) {
    if (!error) start();
  });
}

void Keepalived::read_log() {
  asio::async_read_until(log_, unread_, '\n',
                         [this](const boost::system::error_code& error, size_t) {
                           if (error && error != asio::error::not_found) return;
                           take_log_and_go_on();
                         });
}

// A log that nobody reads would stop keepalived once its pipe is full.
void Keepalived::take_log_and_go_on() {
  try {
    take_log();
  } catch (const std::bad_alloc&) {
    read_log();
    throw;
  }
  read_log();
}

void Keepalived::take_log() {
  std::istream in(&unread_);
  std::string line;
  const bool full = unread_.size() == unread_.max_size();
  std::string text(asio::buffers_begin(unread_.data()), asio::buffers_end(unread_.data()));
  size_t taken = 0;
  for (size_t end; (end = text.find('\n', taken)) != std::string::npos; taken = end + 1) {
    take_line(text.substr(taken, end - taken));
  }
  if (taken == 0 && full) {
    take_line(text);
    taken = text.size();
  }
  unread_.consume(taken);
}

void Keepalived::take_line(std::string line) {
  line = without_time(std::move(line));
  if (line.find(kReady) != std::string::npos) became_ready();
  options_.on_line(line);
}

void Keepalived::reload() {
  if (pid_ <= 0) return;
  // Before its handlers stand, SIGHUP would end it.
  if (!ready_) {
    reload_wanted_ = true;
    return;
  }
  ++reloads_;
  ::kill(pid_, SIGHUP);
}

void Keepalived::stop() {
  if (std::exchange(stopped_, true)) return;
  again_.cancel();
  boost::system::error_code ignored;
  if (pid_ > 0) {
    ::kill(pid_, SIGTERM);
    pollfd gone{process_.native_handle(), POLLIN, 0};
    const auto patience = static_cast<int>(options_.patience.count());
    while (::poll(&gone, 1, patience) < 0 && errno == EINTR) {
    }
    bury();
  }
  log_.close(ignored);
}

void Keepalived::stop_abandoned() {
  stopped_ = false;
  stop();
}

void Keepalived::abandon(std::chrono::milliseconds patience, std::function<void()> gone) {
  if (stopped_) return asio::post(io_, std::move(gone));
  again_.expires_after(pid_ > 0 ? patience : std::chrono::milliseconds(0));
  again_.async_wait([this, gone = std::move(gone)](const boost::system::error_code& error) {
    if (error) return;
    bury();
    gone();
  });
  stopped_ = true;  // last: it is asked again, should there have been no memory
}

}  // namespace lb::announce
