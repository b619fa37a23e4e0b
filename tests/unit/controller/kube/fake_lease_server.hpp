// One Lease as an API server keeps it: versions grow, a write on an old version is a conflict.
//
// Shared by several clients; can be told to fail, to hang until cancelled, or to lose answers.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "controller/core/lease.hpp"
#include "controller/kube/http_client.hpp"

namespace lb::kube {

class FakeLeaseServer {
 public:
  enum class Mood : uint8_t { kWell, kRefuses, kLosesAnswers };

  void set_mood(Mood mood) {
    const std::lock_guard lock(mutex_);
    mood_ = mood;
  }
  std::string holder() {
    const std::lock_guard lock(mutex_);
    return exists_ ? record_.holder : "none";
  }
  uint64_t transitions() {
    const std::lock_guard lock(mutex_);
    return record_.transitions;
  }
  int writes() {
    const std::lock_guard lock(mutex_);
    return writes_;
  }
  // As somebody else would, with a version of its own.
  void put(plan::LeaseRecord record) {
    const std::lock_guard lock(mutex_);
    exists_ = true;
    record_ = std::move(record);
    ++version_;
  }
  void remove() {
    const std::lock_guard lock(mutex_);
    exists_ = false;
    ++created_;
  }

  Result<net::HttpResponse> answer(const net::HttpRequest& request) {
    const std::lock_guard lock(mutex_);
    if (mood_ == Mood::kRefuses) return Error{"Connect", "as told"};
    const auto out = request.method == "GET" ? read() : write(request);
    if (mood_ == Mood::kLosesAnswers) return Error{"Timeout", "as told"};
    return out;
  }

 private:
  net::HttpResponse read() const {
    if (!exists_) return {404, {}, ""};
    return {200, {}, body()};
  }
  net::HttpResponse write(const net::HttpRequest& request) {
    const bool creates = request.method == "POST";
    if (creates == exists_) return {creates ? 409 : 404, {}, ""};
    // What a client sends has no date; the server sets it.
    std::string text = request.body;
    text.insert(text.find("\"namespace\""), "\"creationTimestamp\":\"2026-01-31T12:00:00Z\",");
    const auto offered = plan::decode_lease(text);
    if (!offered) return {422, {}, offered.error().message};
    if (!creates && offered->resource_version != std::to_string(version_)) return {409, {}, ""};
    exists_ = true;
    record_ = offered->record;
    ++version_;
    ++writes_;
    return {creates ? 201 : 200, {}, body()};
  }
  std::string body() const {
    std::string out = plan::encode_lease("ns", "lease", std::to_string(version_), record_);
    const std::string second = std::to_string(10 + created_);
    out.insert(out.find("\"namespace\""),
               "\"creationTimestamp\":\"2026-01-31T12:00:" + second + "Z\",");
    return out;
  }

  std::mutex mutex_;
  Mood mood_ = Mood::kWell;
  bool exists_ = false;
  plan::LeaseRecord record_;
  uint64_t version_ = 1;
  int created_ = 0;
  int writes_ = 0;
};

class FakeLeaseClient : public HttpClient {
 public:
  explicit FakeLeaseClient(FakeLeaseServer& server) : server_(server) {}
  Result<net::HttpResponse> request(const net::HttpRequest& request) override {
    return server_.answer(request);
  }
  Result<net::HttpResponse> stream(const net::HttpRequest&, const OnLine&) override {
    return Error{"Closed", "no stream here"};
  }
  void cancel() override {}

 private:
  FakeLeaseServer& server_;
};

}  // namespace lb::kube
