#include "controller/kube/api_writer.hpp"

#include <algorithm>
#include <charconv>

namespace lb::kube {
namespace {

bool worth_retrying(int status) { return status == 429 || status == 401 || status >= 500; }

// Seconds, as the API server says it (RFC 9110 section 10.2.3).
std::chrono::milliseconds retry_after(const net::HttpResponse& answer) {
  const auto text = net::find(answer.headers, "Retry-After").value_or("");
  unsigned seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc{} || end != text.data() + text.size()) return {};
  return std::chrono::seconds(std::min(seconds, 30U));
}

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
    const auto waiting = std::find_if(queue_.begin(), queue_.end(), [&](const Waiting& each) {
      return !call.key.empty() && each.call.key == call.key;
    });
    if (waiting != queue_.end()) {
      ++counters_.replaced;
      waiting->call = std::move(call);
      waiting->due = {};  // it may well be right
    } else {
      queue_.push_back({std::move(call), epoch_});
    }
  }
  wake_.notify_all();
}

void ApiWriter::clear() {
  const std::lock_guard lock(mutex_);
  counters_.dropped += queue_.size();
  queue_.clear();
  ++epoch_;
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

ApiWriter::Outcome ApiWriter::try_once(const ApiCall& call, std::chrono::milliseconds& asked_for) {
  ++counters_.calls;
  const auto answer = client().request(call.request);
  if (!answer) return answer.error().code == "Cancelled" ? Outcome::kOver : Outcome::kNobody;
  if (answer->status == 401 && options_.on_unauthorized) options_.on_unauthorized();
  if (worth_retrying(answer->status)) {
    asked_for = retry_after(*answer);
    return Outcome::kRefused;
  }
  if (answer->status >= 400) ++counters_.refused;
  if (call.done) call.done(*answer);
  return Outcome::kOver;
}

// The first call whose time has come; nullopt: stop() came instead.
std::optional<ApiWriter::Waiting> ApiWriter::next(std::unique_lock<std::mutex>& lock) {
  for (;;) {
    if (stopping_) return std::nullopt;
    const auto now = Clock::now();
    const auto due = std::find_if(queue_.begin(), queue_.end(),
                                  [&](const Waiting& each) { return each.due <= now; });
    if (due != queue_.end()) {
      Waiting out = std::move(*due);
      queue_.erase(due);
      return out;
    }
    if (queue_.empty()) {
      wake_.wait(lock);
      continue;
    }
    const auto first =
        std::min_element(queue_.begin(), queue_.end(),
                         [](const Waiting& a, const Waiting& b) { return a.due < b.due; });
    wake_.wait_until(lock, Clock::time_point(first->due));
  }
}

void ApiWriter::try_later(Waiting waiting, Outcome outcome, std::chrono::milliseconds asked_for) {
  ++counters_.retries;
  auto& backoff = outcome == Outcome::kNobody ? waiting.nobody : waiting.refused;
  const auto pause = backoff.next(std::uniform_real_distribution<>(0, 1)(random_));
  waiting.due = Clock::now() + std::max(pause, asked_for);
  const std::lock_guard lock(mutex_);
  if (waiting.epoch != epoch_) {
    ++counters_.dropped;
    return;
  }
  const bool overtaken = std::any_of(queue_.begin(), queue_.end(), [&](const Waiting& each) {
    return !waiting.call.key.empty() && each.call.key == waiting.call.key;
  });
  if (overtaken) {
    ++counters_.replaced;
  } else {
    queue_.push_back(std::move(waiting));
  }
}

void ApiWriter::run() {
  std::unique_lock lock(mutex_);
  while (auto waiting = next(lock)) {
    lock.unlock();
    std::chrono::milliseconds asked_for{0};
    const Outcome outcome = try_once(waiting->call, asked_for);
    if (outcome != Outcome::kOver) try_later(std::move(*waiting), outcome, asked_for);
    lock.lock();
  }
}

}  // namespace lb::kube
