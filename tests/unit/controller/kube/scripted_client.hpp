// An HTTP client that answers what the test has put down, in order, and remembers what was asked.
//
// Used by one thread at a time but for cancel(); when nothing is left it waits to be cancelled.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <vector>

#include "controller/kube/http_client.hpp"

namespace lb::kube {

struct Scripted {
  Result<net::HttpResponse> answer = net::HttpResponse{200, {}, ""};
  std::vector<std::string> lines = {};  // for a stream
};

class Script {
 public:
  void add(Scripted step) {
    const std::lock_guard lock(mutex_);
    steps_.push_back(std::move(step));
    changed_.notify_all();
  }
  void add(int status, std::string body) { add({net::HttpResponse{status, {}, std::move(body)}}); }
  void add_stream(std::vector<std::string> lines) {
    add({net::HttpResponse{200, {}, ""}, std::move(lines)});
  }
  void fail(std::string code) { add({Error{std::move(code), "as told"}}); }

  // Waits until everything was asked for; false after five seconds.
  bool used_up() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(5),
                             [this] { return steps_.empty() && waiting_; });
  }
  std::vector<net::HttpRequest> asked() {
    const std::lock_guard lock(mutex_);
    return asked_;
  }
  std::vector<std::string> targets() {
    std::vector<std::string> out;
    for (const auto& request : asked()) out.push_back(request.target);
    return out;
  }

  Scripted next(const net::HttpRequest& request) {
    std::unique_lock lock(mutex_);
    if (steps_.empty()) {
      waiting_ = true;
      changed_.notify_all();
    }
    changed_.wait(lock, [this] { return cancelled_ || !steps_.empty(); });
    waiting_ = false;
    if (cancelled_) return {Error{"Cancelled", "closed"}};
    asked_.push_back(request);
    Scripted out = std::move(steps_.front());
    steps_.pop_front();
    return out;
  }
  void cancel() {
    const std::lock_guard lock(mutex_);
    cancelled_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Scripted> steps_;
  std::vector<net::HttpRequest> asked_;
  bool cancelled_ = false;
  bool waiting_ = false;
};

class ScriptedClient : public HttpClient {
 public:
  explicit ScriptedClient(Script& script) : script_(script) {}
  Result<net::HttpResponse> request(const net::HttpRequest& request) override {
    return script_.next(request).answer;
  }
  Result<net::HttpResponse> stream(const net::HttpRequest& request,
                                   const OnLine& on_line) override {
    const Scripted step = script_.next(request);
    for (const auto& line : step.lines) {
      if (!on_line(line)) break;
    }
    return step.answer;
  }
  void cancel() override { script_.cancel(); }

 private:
  Script& script_;
};

}  // namespace lb::kube
