// A data path of two workers on loopback, its control thread, and raw sockets on both sides of it.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

#include <cerrno>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "common/net/asio.hpp"
#include "common/net/fd.hpp"
#include "dataplane/proxy/data_path.hpp"

namespace lb::proxy {

using net::Fd;

inline sockaddr_in loopback(uint16_t port) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(port);
  out.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return out;
}

inline uint16_t port_of(int fd) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

// A listening backend whose accepted connections the test drives by hand.
struct Server {
  Server() : fd(socket(AF_INET, SOCK_STREAM, 0)) {
    const auto address = loopback(0);
    EXPECT_EQ(bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(listen(fd.get(), 512), 0);
    const timeval limit{5, 0};
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    port = port_of(fd.get());
  }
  Fd accept_one() { return Fd(accept(fd.get(), nullptr, nullptr)); }
  Fd fd;
  uint16_t port = 0;
};

// A port on which every connect hangs: its queue is full, so the kernel drops what comes.
struct BlackHole {
  BlackHole() : fd(socket(AF_INET, SOCK_STREAM, 0)) {
    const auto address = loopback(0);
    bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    listen(fd.get(), 0);
    port = port_of(fd.get());
    for (int i = 0; i < 4; ++i) {
      fill.push_back(Fd(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)));
      const auto where = loopback(port);
      connect(fill.back().get(), reinterpret_cast<const sockaddr*>(&where), sizeof where);
    }
  }
  Fd fd;
  uint16_t port = 0;
  std::vector<Fd> fill;
};

// A port on which nothing listens. It stays bound until the program ends: no other call and no
// outgoing connection is given it, while who sets SO_REUSEADDR, as every listener of ours does, may
// still listen there.
inline uint16_t free_port() {
  static std::vector<Fd> held;
  Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const auto address = loopback(0);
  EXPECT_EQ(bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  held.push_back(std::move(fd));
  return port_of(held.back().get());
}

inline Fd dial(uint16_t port) {
  Fd fd(socket(AF_INET, SOCK_STREAM, 0));
  const timeval limit{5, 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  const auto address = loopback(port);
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    fd.reset();
  return fd;
}

inline std::string read_all(int fd) {
  std::string out;
  char block[65536];
  for (ssize_t got; (got = recv(fd, block, sizeof block, 0)) > 0;) out.append(block, size_t(got));
  return out;
}

inline void write_all(int fd, const std::string& text) {
  for (size_t sent = 0; sent < text.size();) {
    const ssize_t n = send(fd, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
    ASSERT_GT(n, 0);
    sent += size_t(n);
  }
}

inline void reset(Fd& fd) {
  const linger now{1, 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
  fd.reset();
}

class DataPathTest : public testing::Test {
 protected:
  void SetUp() override { signal(SIGPIPE, SIG_IGN); }

  void TearDown() override {
    on_control([this] { path_.reset(); });
    work_.reset();
    thread_.join();
  }

  std::vector<Failure> serve(const std::vector<uint16_t>& backends) {
    DesiredState state{{1, ++generation_}, {}};
    Service service{"file/web", {*IpAddress::parse("127.0.0.1")}, {}, {}};
    ServicePort listener;
    listener.port = port_;
    listener.policy = policy_;
    for (const uint16_t port : backends) {
      Backend backend;
      backend.address = *IpAddress::parse("127.0.0.1");
      backend.port = port;
      listener.backends.push_back(backend);
    }
    service.ports.push_back(listener);
    state.services.push_back(service);
    return apply(state);
  }

  // Runs on the control thread and waits for it.
  void on_control(std::function<void()> task) {
    std::promise<void> done;
    asio::post(control_, [&] {
      task();
      done.set_value();
    });
    done.get_future().wait();
  }

  std::vector<Failure> apply(DesiredState state) {
    std::promise<std::vector<Failure>> answer;
    on_control([&] {
      path_->apply(std::make_shared<DesiredState>(std::move(state)),
                   [&](std::vector<Failure> failed) { answer.set_value(std::move(failed)); });
    });
    auto future = answer.get_future();
    EXPECT_EQ(future.wait_for(std::chrono::seconds(10)), std::future_status::ready);
    return future.get();
  }

  PortStatus port_status() {
    PortStatus out;
    on_control([&] { out = path_->status().at(0).ports.at(0); });
    return out;
  }
  DataPathCounters counters() {
    DataPathCounters out;
    on_control([&] { out = path_->counters(); });
    return out;
  }
  std::vector<Flow> flows() {
    std::promise<std::vector<Flow>> answer;
    on_control([&] {
      path_->flows({}, [&](std::vector<Flow> found) { answer.set_value(std::move(found)); });
    });
    return answer.get_future().get();
  }
  bool kill(uint64_t id) {
    std::promise<bool> answer;
    on_control([&] { path_->kill(id, [&](bool found) { answer.set_value(found); }); });
    return answer.get_future().get();
  }
  void drain(unsigned grace_ms) {
    std::promise<void> drained;
    on_control([&] { path_->drain(grace_ms, [&] { drained.set_value(); }); });
    EXPECT_EQ(drained.get_future().wait_for(std::chrono::seconds(5)), std::future_status::ready);
  }
  void set_health(uint16_t backend, Health health) {
    const BackendId id{
        "file/web", port_, Protocol::kTcp, {*IpAddress::parse("127.0.0.1"), backend}};
    on_control([&] { path_->set_health(id, health, ""); });
  }
  // Looks again until it holds, for five seconds at most.
  bool eventually(const std::function<bool()>& holds) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    while (!holds()) {
      if (std::chrono::steady_clock::now() > end) return false;
      std::this_thread::yield();
    }
    return true;
  }
  // A reset may come before connect(2) is back: dial() has then no socket to give.
  static bool is_reset(const Fd& client) {
    if (!client.valid()) return errno == ECONNRESET;
    char text[1];
    return recv(client.get(), text, 1, 0) < 0 && errno == ECONNRESET;
  }

  asio::io_context control_;
  asio::executor_work_guard<asio::io_context::executor_type> work_{control_.get_executor()};
  Policy policy_;
  uint16_t port_ = free_port();
  uint64_t generation_ = 0;
  std::unique_ptr<DataPath> path_ =
      make_data_path({.workers = 2, .post = [this](std::function<void()> task) {
                        asio::post(control_, std::move(task));
                      }});
  std::thread thread_{[this] { control_.run(); }};
};

}  // namespace lb::proxy
