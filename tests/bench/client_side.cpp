#include "tests/bench/client_side.hpp"

#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace bench {
namespace {

constexpr uint64_t kEndless = uint64_t{1} << 50;
constexpr std::chrono::milliseconds kLate{1};

}  // namespace

ClientSide::ClientSide(int epoll, ClientOptions options, const Pattern& pattern)
    : epoll_(epoll), options_(options), pattern_(pattern) {
  target_.sin_family = AF_INET;
  target_.sin_port = htons(options_.target_port);
  target_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
}

void ClientSide::start() {
  for (unsigned i = 0; i < options_.connections; ++i) open();
}

void ClientSide::open() {
  auto connection = std::make_unique<Connection>();
  connection->fd.reset(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
  const int fd = connection->fd.get();
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  const int connected = connect(fd, reinterpret_cast<sockaddr*>(&target_), sizeof target_);
  if (connected != 0 && errno != EINPROGRESS) {
    ++counts_.errors;
    return;
  }
  begin(*connection);
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLET;
  event.data.fd = fd;
  epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
  connections_[fd] = std::move(connection);
  turn_.push_back(fd);
}

void ClientSide::begin(Connection& connection) {
  RequestHead head;
  head.request_bytes = options_.request_bytes;
  head.answer_bytes = options_.work == Work::kBulk ? kEndless : options_.answer_bytes;
  head.tag = connection.tag = next_tag_++;
  connection.request.assign(reinterpret_cast<const char*>(&head), sizeof head);
  connection.request.append(pattern_.at(head.tag, 0), options_.request_bytes);
  connection.sent = 0;
  connection.head_got = 0;
  connection.body_got = 0;
}

void ClientSide::reopen(int fd, bool failed) {
  if (failed) ++counts_.errors;
  std::erase(turn_, fd);
  connections_.erase(fd);
  open();
}

void ClientSide::send_due() {
  const auto now = Clock::now();
  const std::chrono::duration<double> gap(1 / options_.rate);
  for (;;) {
    const auto due =
        began_ + std::chrono::duration_cast<Clock::duration>(gap * static_cast<double>(scheduled_));
    if (due > now || turn_.empty()) return;
    const int fd = turn_[scheduled_++ % turn_.size()];
    Connection& connection = *connections_.at(fd);
    connection.waiting.push_back(due);
    if (connection.resting && begin_waiting(connection)) progress(fd);
  }
}

bool ClientSide::begin_waiting(Connection& connection) {
  connection.resting = connection.waiting.empty();
  if (connection.resting) return false;
  if (Clock::now() - connection.waiting.front() > kLate) ++counts_.late;
  connection.waiting.pop_front();
  begin(connection);
  return true;
}

void ClientSide::on_event(int fd) {
  if (!connections_.at(fd)->resting) progress(fd);
}

void ClientSide::progress(int fd) {
  Connection& connection = *connections_.at(fd);
  for (;;) {
    bool whole = false;
    if (!write_request(connection) || !read_answer(connection, whole)) return reopen(fd, true);
    if (!whole) return;
    finish(connection);
    if (options_.work == Work::kIdle) return;
    if (options_.work == Work::kConnections) return reopen(fd, false);
    if (options_.work == Work::kRate) {
      if (!begin_waiting(connection)) return;
    } else {
      begin(connection);
    }
  }
}

bool ClientSide::write_request(Connection& connection) {
  while (connection.sent < connection.request.size()) {
    const ssize_t sent = send(connection.fd.get(), connection.request.data() + connection.sent,
                              connection.request.size() - connection.sent, MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN || errno == ENOTCONN;
    connection.sent += static_cast<size_t>(sent);
  }
  return true;
}

// False when the connection is broken; `whole` when the answer has ended.
bool ClientSide::read_answer(Connection& connection, bool& whole) {
  for (;;) {
    const size_t head_left = sizeof(AnswerHead) - connection.head_got;
    const uint64_t body_left = connection.head.bytes - connection.body_got;
    if (head_left == 0 && body_left == 0) return whole = true;
    char* into = buffer_.data();
    size_t room = std::min<uint64_t>(buffer_.size(), body_left);
    if (head_left > 0) {
      into = reinterpret_cast<char*>(&connection.head) + connection.head_got;
      room = head_left;
    }
    const ssize_t got = recv(connection.fd.get(), into, room, 0);
    if (got < 0) return errno == EAGAIN || errno == ENOTCONN;
    if (got == 0) return false;
    const auto size = static_cast<size_t>(got);
    counts_.bytes += size;
    if (head_left > 0) {
      connection.head_got += size;
    } else {
      counts_.corrupt += pattern_.wrong(connection.tag, connection.body_got, into, size);
      connection.body_got += size;
    }
  }
}

void ClientSide::finish(Connection& connection) {
  ++counts_.operations;
  const AnswerHead expected;
  const bool right = connection.head.magic == expected.magic &&
                     connection.head.tag == connection.tag && connection.head.bad == 0 &&
                     connection.head.backend < counts_.by_backend.size();
  if (right) {
    ++counts_.by_backend[connection.head.backend];
  } else {
    ++counts_.corrupt;
  }
  if (!std::exchange(connection.settled, true)) ++settled_;
}

}  // namespace bench
