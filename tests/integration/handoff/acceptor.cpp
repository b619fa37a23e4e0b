#include "tests/integration/handoff/acceptor.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace lb::handoff {

Acceptor::Acceptor(std::vector<ListeningSocket> sockets)
    : sockets_(std::move(sockets)),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      thread_([this] { run(); }) {}

Acceptor::~Acceptor() {
  running_ = false;
  ::eventfd_write(wake_.get(), 1);
  thread_.join();
}

void Acceptor::stop_accepting() {
  accepting_ = false;
  ::eventfd_write(wake_.get(), 1);
  stopped_accepting_.get_future().wait();
}

void Acceptor::run() {
  while (running_) {
    serve_ready();
    obey();
  }
}

// On the thread: the listeners are closed without another accept, as the queue is not ours alone.
void Acceptor::obey() {
  if (accepting_ || sockets_.empty()) return;
  sockets_.clear();
  stopped_accepting_.set_value();
}

bool Acceptor::serve_ready() {
  std::vector<pollfd> entries{{wake_.get(), POLLIN, 0}};
  for (const auto& socket : sockets_) entries.push_back({socket.fd.get(), POLLIN, 0});
  for (const auto& connection : open_) entries.push_back({connection.get(), POLLIN, 0});
  if (::poll(entries.data(), entries.size(), -1) <= 0) return false;
  eventfd_t ignored = 0;
  if (entries[0].revents != 0) ::eventfd_read(wake_.get(), &ignored);
  const size_t first_connection = 1 + sockets_.size();
  for (size_t i = first_connection; i < entries.size(); ++i) {
    if (entries[i].revents != 0) serve_connection(open_[i - first_connection]);
  }
  std::erase_if(open_, [](const net::Fd& each) { return !each.valid(); });
  for (size_t i = 1; i < first_connection; ++i) {
    if (entries[i].revents != 0) serve_listener(sockets_[i - 1]);
  }
  connections_ = open_.size();
  return true;
}

void Acceptor::serve_listener(const ListeningSocket& listener) {
  if (listener.protocol == Protocol::kTcp) {
    net::Fd client(::accept4(listener.fd.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!client.valid()) return;
    ++accepted_;
    ::send(client.get(), "k", 1, MSG_NOSIGNAL);
    open_.push_back(std::move(client));
    return;
  }
  char bytes[64];
  sockaddr_storage from{};
  socklen_t length = sizeof from;
  auto* address = reinterpret_cast<sockaddr*>(&from);
  const ssize_t n = ::recvfrom(listener.fd.get(), bytes, sizeof bytes, 0, address, &length);
  if (n < 0) return;
  ++datagrams_;
  ::sendto(listener.fd.get(), bytes, static_cast<size_t>(n), MSG_NOSIGNAL, address, length);
}

void Acceptor::serve_connection(net::Fd& connection) {
  char byte = 0;
  if (::recv(connection.get(), &byte, 1, 0) == 1) {
    ::send(connection.get(), &byte, 1, MSG_NOSIGNAL);
  } else {
    connection.reset();
  }
}

}  // namespace lb::handoff
