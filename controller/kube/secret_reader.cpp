#include "controller/kube/secret_reader.hpp"

#include <algorithm>
#include <utility>

#include "controller/core/certificate_book.hpp"
#include "controller/kube/secret_batch.hpp"

namespace lb::kube {
namespace {

// Told together, so that hundreds of them are not hundreds of news.
constexpr size_t kBatch = 64;
constexpr std::chrono::milliseconds kTellAfter{200};

Error refusal(const SecretName& name, const net::HttpResponse& answer) {
  const std::string secret = "Secret " + name.to_string();
  if (answer.status == 404) return {"SecretNotFound", secret + " does not exist"};
  if (answer.status == 403) {
    return {"SecretForbidden", "the controller may not read " + secret +
                                   ": a Role of its namespace has to allow get on it by name"};
  }
  return {"SecretUnreadable", secret + ": HTTP " + std::to_string(answer.status)};
}

}  // namespace

SecretReader::~SecretReader() { stop(); }

void SecretReader::start() {
  thread_ = std::thread([this] { run(); });
}

void SecretReader::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    if (client_) client_->cancel();
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void SecretReader::follow(const std::set<SecretName>& names) {
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(turns_, [&](const auto& each) { return !names.contains(each.first); });
    const auto now = Clock::now();
    for (const auto& name : names) {
      turns_.try_emplace(name, Turn{now, Backoff(options_.retry, options_.period)});
    }
  }
  wake_.notify_all();
}

HttpClient& SecretReader::client() {
  const std::lock_guard lock(mutex_);
  if (!client_) client_ = options_.make_client();
  if (stopping_) client_->cancel();
  return *client_;
}

void SecretReader::run() {
  for (auto due = next(); !due.empty(); due = next()) {
    Answers answers;
    auto told = Clock::now();
    for (const auto& name : due) {
      answers.push_back(read(name));
      plan_next(answers.back());
      // Where each takes long, nobody waits for the last of them.
      if (&name != &due.back() && Clock::now() - told < kTellAfter) continue;
      if (stopping()) return;
      options_.on_answers(std::exchange(answers, {}));
      told = Clock::now();
    }
  }
}

bool SecretReader::stopping() {
  const std::lock_guard lock(mutex_);
  return stopping_;
}

// Those that have waited longest, a batch at most; empty: stop() came.
std::vector<SecretName> SecretReader::next() {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (stopping_) return {};
    DueNames due;
    const auto now = Clock::now();
    auto first = Clock::time_point::max();
    for (const auto& [name, turn] : turns_) {
      first = std::min(first, turn.due);
      if (turn.due <= now) due[name.ns].emplace_back(turn.due, name);
    }
    if (!due.empty()) return batch_of(std::move(due), kBatch);
    if (turns_.empty()) {
      wake_.wait(lock);
    } else {
      wake_.wait_until(lock, first);
    }
  }
}

SecretAnswer SecretReader::read(const SecretName& name) {
  ++counters_.reads;
  auto answer =
      client().request({"GET", "/api/v1/namespaces/" + name.ns + "/secrets/" + name.name, {}, {}});
  if (!answer) {
    return {name, Error{"SecretUnreadable",
                        "Secret " + name.to_string() + ": " + answer.error().message}};
  }
  if (answer->status == 401 && options_.on_unauthorized) options_.on_unauthorized();
  if (answer->status != 200) return {name, refusal(name, *answer)};
  auto secret = secret_from(answer->body);
  plan::wipe(answer->body);
  if (!secret) {
    return {name, Error{"SecretUnreadable",
                        "Secret " + name.to_string() + ": " + secret.error().message}};
  }
  return {name, std::move(secret->data)};
}

void SecretReader::plan_next(const SecretAnswer& answer) {
  const std::lock_guard lock(mutex_);
  if (!answer.data) ++counters_.failures;
  const auto turn = turns_.find(answer.name);
  if (turn == turns_.end()) return;  // not asked for any more
  const double random = std::uniform_real_distribution<>(0, 1)(random_);
  auto pause = options_.period;
  if (answer.data) {
    turn->second.retry.reset();
  } else {
    pause = turn->second.retry.next(random);
  }
  turn->second.due = Clock::now() + pause;
}

}  // namespace lb::kube
