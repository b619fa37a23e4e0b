#include "controller/kube/api_writer.hpp"

#include <algorithm>

namespace lb::kube {
namespace {

bool worth_retrying(int status) { return status == 429 || status == 401 || status >= 500; }

}  // namespace

ApiWriter::ApiWriter(Options options) : options_(std::move(options)) {}

ApiWriter::~ApiWriter() { stop(); }

void ApiWriter::start() {
  thread_ = std::thread([this] { run(); });
}

void ApiWriter::push(ApiCall call) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    if (call.key.empty() && queue_.size() >= options_.max_queue) {
      ++counters_.dropped;
      return;
    }
    const auto waiting = std::find_if(queue_.begin(), queue_.end(), [&](const ApiCall& each) {
      return !call.key.empty() && each.key == call.key;
    });
    if (waiting != queue_.end()) {
      ++counters_.replaced;
      *waiting = std::move(call);
    } else {
      queue_.push_back(std::move(call));
    }
  }
  wake_.notify_all();
}

void ApiWriter::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    if (client_) client_->cancel();
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

HttpClient& ApiWriter::client() {
  const std::lock_guard lock(mutex_);
  if (!client_) client_ = options_.make_client();
  if (stopping_) client_->cancel();
  return *client_;
}

// A write that a newer one of the same key has overtaken while it was being retried.
bool ApiWriter::replaced(const ApiCall& call) {
  const std::lock_guard lock(mutex_);
  if (call.key.empty()) return false;
  const bool newer = std::any_of(queue_.begin(), queue_.end(),
                                 [&](const ApiCall& each) { return each.key == call.key; });
  if (newer) ++counters_.replaced;
  return newer;
}

// True when the call is over.
bool ApiWriter::try_once(const ApiCall& call) {
  ++counters_.calls;
  const auto answer = client().request(call.request);
  if (!answer) return answer.error().code == "Cancelled";
  if (answer->status == 401 && options_.on_unauthorized) options_.on_unauthorized();
  if (worth_retrying(answer->status)) return false;
  if (answer->status >= 400) ++counters_.refused;
  if (call.done) call.done(*answer);
  return true;
}

void ApiWriter::run() {
  for (;;) {
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (stopping_) return;
    const ApiCall call = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    backoff_.reset();
    while (!try_once(call) && !replaced(call)) {
      ++counters_.retries;
      const auto pause = backoff_.next(std::uniform_real_distribution<>(0, 1)(random_));
      lock.lock();
      wake_.wait_for(lock, pause, [this] { return stopping_; });
      if (stopping_) return;
      lock.unlock();
    }
  }
}

}  // namespace lb::kube
