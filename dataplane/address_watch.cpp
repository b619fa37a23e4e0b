#include "dataplane/address_watch.hpp"

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "common/net/fd.hpp"

namespace lb::dataplane {
namespace {

constexpr std::chrono::milliseconds kPause{50};

}  // namespace

Result<std::unique_ptr<AddressWatch>> AddressWatch::open(asio::io_context& io,
                                                         std::function<void()> on_change) {
  net::Fd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR;
  if (!fd.valid() ||
      ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return Error{"Netlink",
                 std::string("cannot watch this host's addresses: ") + std::strerror(errno)};
  }
  auto out = std::make_unique<AddressWatch>(io, fd.get(), std::move(on_change));
  fd.release();
  return out;
}

AddressWatch::AddressWatch(asio::io_context& io, int socket, std::function<void()> on_change)
    : on_change_(std::move(on_change)), socket_(io, socket), pause_(io) {
  wait();
}

void AddressWatch::wait() {
  socket_.async_wait(asio::posix::stream_descriptor::wait_read,
                     [this](const boost::system::error_code& error) {
                       if (!error) read();
                     });
}

// What it says does not matter; an overflow (ENOBUFS) says that something was lost.
void AddressWatch::read() {
  std::array<char, 8192> message;
  for (;;) {
    const auto size = ::recv(socket_.native_handle(), message.data(), message.size(), 0);
    if (size < 0 && errno != ENOBUFS && errno != EINTR) break;
  }
  wait();
  tell_soon();
}

void AddressWatch::tell_soon() {
  if (telling_) return;
  pause_.expires_after(kPause);
  pause_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    telling_ = false;
    on_change_();
  });
  telling_ = true;
}

}  // namespace lb::dataplane
