#include "tests/bench/backend_side.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace bench {
namespace {

constexpr uint32_t kBackends = 3;
constexpr int kBacklog = 65535;

void watch(int epoll, int fd, uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

lb::net::Fd listen_on(uint16_t port) {
  lb::net::Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
  const int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      listen(fd.get(), kBacklog) != 0) {
    std::fprintf(stderr, "backend port %d: %s\n", port, std::strerror(errno));
    std::exit(2);
  }
  return fd;
}

}  // namespace

BackendSide::BackendSide(int epoll, uint16_t first_port, const Pattern& pattern)
    : epoll_(epoll), pattern_(pattern) {
  for (uint32_t i = 0; i < kBackends; ++i) {
    listening_.push_back(listen_on(static_cast<uint16_t>(first_port + i)));
    listeners_[listening_.back().get()] = i;
    watch(epoll_, listening_.back().get(), EPOLLIN);
  }
}

void BackendSide::on_event(int fd) {
  if (listeners_.contains(fd)) return accept_all(fd);
  Connection& connection = *connections_.at(fd);
  bool alive = true;
  while (alive) {
    const bool answering = connection.answering;
    alive = answering ? write_answer(connection) : read_request(connection);
    if (alive && connection.answering == answering) return;
  }
  connections_.erase(fd);
}

void BackendSide::accept_all(int listener) {
  for (;;) {
    const int fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK);
    if (fd < 0) return;
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    auto connection = std::make_unique<Connection>();
    connection->fd.reset(fd);
    connection->backend = listeners_.at(listener);
    connections_[fd] = std::move(connection);
    watch(epoll_, fd, EPOLLIN | EPOLLOUT | EPOLLET);
    on_event(fd);
  }
}

// False when the connection is over; unchanged `answering` when there is no more to read now.
bool BackendSide::read_request(Connection& connection) {
  while (!connection.answering) {
    const size_t head_left = sizeof(RequestHead) - connection.head_got;
    const uint64_t body_left = connection.head.request_bytes - connection.body_got;
    char* into = buffer_.data();
    size_t room = std::min<uint64_t>(buffer_.size(), body_left);
    if (head_left > 0) {
      into = reinterpret_cast<char*>(&connection.head) + connection.head_got;
      room = head_left;
    }
    const ssize_t got = recv(connection.fd.get(), into, room, 0);
    if (got < 0) return errno == EAGAIN;
    if (got == 0) return false;
    const auto size = static_cast<size_t>(got);
    if (head_left > 0) {
      connection.head_got += size;
    } else {
      connection.bad += pattern_.wrong(connection.head.tag, connection.body_got, into, size);
      connection.body_got += size;
    }
    const bool whole = connection.head_got == sizeof(RequestHead) &&
                       connection.body_got == connection.head.request_bytes;
    if (whole) begin_answer(connection);
  }
  return true;
}

void BackendSide::begin_answer(Connection& connection) {
  AnswerHead head;
  head.backend = connection.backend;
  head.tag = connection.head.tag;
  head.bytes = connection.head.answer_bytes;
  head.bad = connection.bad;
  connection.answer_head.assign(reinterpret_cast<const char*>(&head), sizeof head);
  connection.answer_head_sent = 0;
  connection.body_sent = 0;
  connection.answering = true;
}

bool BackendSide::write_answer(Connection& connection) {
  while (connection.answering) {
    const size_t head_left = sizeof(AnswerHead) - connection.answer_head_sent;
    const uint64_t body_left = connection.head.answer_bytes - connection.body_sent;
    const size_t body = std::min<uint64_t>(body_left, Pattern::kWindow);
    iovec parts[2] = {
        {connection.answer_head.data() + connection.answer_head_sent, head_left},
        {const_cast<char*>(pattern_.at(connection.head.tag, connection.body_sent)), body}};
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    const ssize_t sent = sendmsg(connection.fd.get(), &message, MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN;
    const size_t of_head = std::min(static_cast<size_t>(sent), head_left);
    connection.answer_head_sent += of_head;
    connection.body_sent += static_cast<uint64_t>(sent) - of_head;
    const bool whole = connection.answer_head_sent == sizeof(AnswerHead) &&
                       connection.body_sent == connection.head.answer_bytes;
    if (!whole) continue;
    connection.head_got = 0;
    connection.body_got = 0;
    connection.bad = 0;
    connection.answering = false;
  }
  return true;
}

}  // namespace bench
