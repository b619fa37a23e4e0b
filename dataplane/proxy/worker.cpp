#include "dataplane/proxy/worker.hpp"

#include <algorithm>

namespace lb::proxy {
namespace {

UdpHooks udp_hooks(const EngineHooks& hooks, size_t udp_sessions) {
  UdpHooks out;
  out.on_eject = hooks.on_eject;
  out.on_close = hooks.on_close;
  out.log_each = hooks.log_each;
  out.worker_limit = udp_sessions;
  out.descriptor_line = hooks.descriptor_line;
  return out;
}

}  // namespace

size_t udp_share(uint64_t descriptors, size_t workers) {
  return std::max<uint64_t>(descriptors / 2 / std::max<size_t>(workers, 1), 1);
}

Worker::Worker(size_t index, EngineHooks hooks, size_t udp_sessions)
    : engine_(index, hooks), udp_(index, udp_hooks(hooks, udp_sessions)) {
  thread_ = std::thread([this] { loop_.run(); });
}

Worker::~Worker() { halt(); }

void Worker::halt() {
  if (!thread_.joinable()) return;
  loop_.post([this] {
    loop_.stop();
    engine_.reset_everything();
    udp_.reset_everything();
  });
  thread_.join();
}

void Worker::post(std::function<void(RelayEngine&)> task) {
  loop_.post([this, task = std::move(task)] { task(engine_); });
}

bool Worker::hand_over(const Endpoint& listener, int client) try {
  const auto held = std::make_shared<net::Fd>();
  coming_.fetch_add(1, std::memory_order_relaxed);
  const auto adopt = [this, listener, held](RelayEngine& engine) {
    engine.adopt(listener, std::move(*held));
    coming_.fetch_sub(1, std::memory_order_relaxed);
  };
  held->reset(client);
  try {
    post(adopt);
  } catch (const std::bad_alloc&) {
    held->release();
    coming_.fetch_sub(1, std::memory_order_relaxed);
    return false;
  }
  return true;
} catch (const std::bad_alloc&) {
  return false;
}

void Worker::post_udp(std::function<void(UdpRelay&)> task) {
  loop_.post([this, task = std::move(task)] { task(udp_); });
}

}  // namespace lb::proxy
