#include "tests/support/unix_fake.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <stdexcept>
#include <utility>

#include "common/net/sockaddr.hpp"

namespace lb::test {

void UnixFake::start() {
  const auto where = net::to_sockaddr(net::UnixPath{path_});
  const int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (::bind(listener, where.get(), where.length) != 0 || ::listen(listener, 128) != 0) {
    throw std::runtime_error("no socket at " + path_);
  }
  std::lock_guard lock(mutex_);
  stopped_ = false;
  listener_ = listener;
  acceptor_ = std::thread([this, listener] { accept_all(listener); });
}

void UnixFake::stop() {
  {
    std::lock_guard lock(mutex_);
    if (std::exchange(stopped_, true)) return;
    ::shutdown(listener_, SHUT_RDWR);
    for (auto& connection : connections_) ::shutdown(connection.fd, SHUT_RDWR);
    changed_.notify_all();
  }
  acceptor_.join();
  ::close(listener_);
  ::unlink(path_.c_str());
  for (auto& connection : connections_) {
    connection.thread.join();
    ::close(connection.fd);
  }
  connections_.clear();
}

void UnixFake::stall(bool stalled) {
  std::lock_guard lock(mutex_);
  stalled_ = stalled;
  changed_.notify_all();
}

void UnixFake::accept_all(int listener) {
  for (;;) {
    const int fd = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return;
    std::lock_guard lock(mutex_);
    if (stopped_) {
      ::close(fd);
      return;
    }
    // What is over makes room: a test may open thousands.
    connections_.remove_if([](Connection& each) {
      if (!each.over) return false;
      each.thread.join();
      ::close(each.fd);
      return true;
    });
    ++accepted_;
    Connection& connection = connections_.emplace_back();
    connection.fd = fd;
    connection.thread = std::thread([this, &connection] { serve(connection); });
  }
}

void UnixFake::serve(Connection& connection) {
  converse(connection.fd);
  ::shutdown(connection.fd, SHUT_RDWR);
  std::lock_guard lock(mutex_);
  connection.over = true;
}

void UnixFake::wait_unless_stalled(std::unique_lock<std::mutex>& lock) {
  changed_.wait(lock, [this] { return !stalled_ || stopped_; });
}

bool UnixFake::write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t sent = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    text.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

std::string UnixFake::read_head(int fd, std::string& unread) {
  char piece[4096];
  size_t end = 0;
  while ((end = unread.find("\r\n\r\n")) == std::string::npos) {
    const ssize_t got = ::recv(fd, piece, sizeof piece, 0);
    if (got <= 0) return {};
    unread.append(piece, static_cast<size_t>(got));
  }
  std::string out = unread.substr(0, end + 2);
  unread.erase(0, end + 4);
  return out;
}

std::string UnixFake::target_of(const std::string& head) {
  const size_t begin = head.find(' ') + 1;
  return head.substr(begin, head.find(' ', begin) - begin);
}

std::string UnixFake::reply(int status, const std::string& body, const std::string& headers) {
  return "HTTP/1.1 " + std::to_string(status) + " Said\r\nContent-Type: application/json\r\n" +
         headers + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

}  // namespace lb::test
