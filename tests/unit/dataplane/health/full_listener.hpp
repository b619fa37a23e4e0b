// A listener that answers no more connections: its queue is full, so the kernel drops every SYN.
//
// A black hole on loopback, without a network namespace. One thread; failures fail the test.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>

#include <vector>

#include "common/net/fd.hpp"
#include "common/net/sockaddr.hpp"

namespace lb::health {

class FullListener {
 public:
  FullListener() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    net::SockAddr any = net::to_sockaddr(Endpoint{IpAddress::v4(0x7f000001), 0});
    EXPECT_EQ(::bind(listener_.get(), any.get(), any.length), 0);
    // A backlog of 0 holds one connection (listen(2) in Linux).
    EXPECT_EQ(::listen(listener_.get(), 0), 0);
    fill();
  }

  Endpoint endpoint() const {
    net::SockAddr local;
    local.length = sizeof local.storage;
    EXPECT_EQ(
        ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&local.storage), &local.length),
        0);
    return net::to_endpoint(local);
  }

 private:
  void fill() {
    const net::SockAddr target = net::to_sockaddr(endpoint());
    net::Fd client(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    (void)::connect(client.get(), target.get(), target.length);
    pollfd ready{listener_.get(), POLLIN, 0};
    EXPECT_EQ(::poll(&ready, 1, 5000), 1) << "the queue does not fill";
    held_.push_back(std::move(client));
  }

  net::Fd listener_;
  std::vector<net::Fd> held_;
};

}  // namespace lb::health
