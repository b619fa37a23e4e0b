// What a test tells the server to do wrong from now on.
#include "tests/support/fake_api_server.hpp"

namespace lb::test {

void FakeApiServer::order(Order order) {
  {
    const std::lock_guard lock(mutex_);
    orders_.push_back(std::move(order));
  }
  changed_.notify_all();
}

void FakeApiServer::end_watches() { order({Order::Kind::kEnd, {}}); }
void FakeApiServer::cut_watches() { order({Order::Kind::kCut, {}}); }
void FakeApiServer::lie_to_watches() {
  order({Order::Kind::kLine, R"({"type":"ADDED","object":)"});
}
void FakeApiServer::tell_watches(std::string line) { order({Order::Kind::kLine, std::move(line)}); }

void FakeApiServer::bookmark() {
  uint64_t version = 0;
  {
    const std::lock_guard lock(mutex_);
    version = cluster_.version();
  }
  tell_watches(bookmark_line(version, false));
}

void FakeApiServer::expire(bool as_event) {
  {
    const std::lock_guard lock(mutex_);
    expired_as_event_ = as_event;
    cluster_.compact();
    orders_.push_back({Order::Kind::kEnd, {}});
  }
  changed_.notify_all();
}

void FakeApiServer::refuse(int status, int times, Which which, std::string retry_after) {
  const std::lock_guard lock(mutex_);
  refusals_ = {{status, times, which, std::move(retry_after)}};
}

void FakeApiServer::require_token(std::string token) {
  {
    const std::lock_guard lock(mutex_);
    token_ = std::move(token);
  }
  end_watches();
}

void FakeApiServer::freeze() {
  {
    const std::lock_guard lock(mutex_);
    frozen_before_ = ++epoch_;
  }
  changed_.notify_all();
}

void FakeApiServer::slow(size_t bytes, std::chrono::milliseconds pause) {
  const std::lock_guard lock(mutex_);
  piece_ = bytes;
  pause_ = pause;
}

void FakeApiServer::set_watch_list(bool known) {
  const std::lock_guard lock(mutex_);
  watch_list_ = known;
}

void FakeApiServer::set_page(size_t items) {
  const std::lock_guard lock(mutex_);
  page_ = items;
}

}  // namespace lb::test
