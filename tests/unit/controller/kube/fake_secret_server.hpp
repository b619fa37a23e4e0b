// Secrets as an API server keeps them: versions grow, a write on an old version is a conflict.
//
// Shared by several clients, from any thread.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "common/model/json.hpp"
#include "controller/kube/base64.hpp"
#include "controller/kube/http_client.hpp"
#include "controller/kube/tls_material.hpp"

namespace lb::kube {

class FakeSecretServer {
 public:
  // Called before each write, outside the lock: somebody else may be quicker.
  std::function<void()> before_write;
  int refuse_with = 0;

  Result<net::HttpResponse> answer(const net::HttpRequest& request) {
    if (request.method != "GET" && before_write) std::exchange(before_write, nullptr)();
    const std::lock_guard lock(mutex_);
    ++requests_[request.method];
    if (refuse_with != 0) return net::HttpResponse{refuse_with, {}, "{}"};
    if (request.method == "GET") {
      const std::string name = request.target.substr(kPath.size() + 1);
      ++reads_[name];
      return get(name);
    }
    const auto body = nlohmann::json::parse(request.body);
    const std::string name = body["metadata"]["name"];
    const auto held = secrets_.find(name);
    const bool creates = request.method == "POST";
    if (creates ? held != secrets_.end()
                : held == secrets_.end() ||
                      body["metadata"].value("resourceVersion", "") != held->second.version) {
      return net::HttpResponse{409, {}, "{}"};
    }
    SecretData data;
    for (const auto& [key, value] : body["data"].items()) data[key] = *decode_base64(value);
    secrets_[name] = {std::move(data), std::to_string(++version_)};
    return get(name);
  }

  SecretData data(const std::string& name) {
    const std::lock_guard lock(mutex_);
    const auto found = secrets_.find(name);
    return found == secrets_.end() ? SecretData{} : found->second.data;
  }
  void put(const std::string& name, SecretData data) {
    const std::lock_guard lock(mutex_);
    secrets_[name] = {std::move(data), std::to_string(++version_)};
  }
  void remove(const std::string& name) {
    const std::lock_guard lock(mutex_);
    secrets_.erase(name);
  }
  int requests(const std::string& method) {
    const std::lock_guard lock(mutex_);
    return requests_[method];
  }
  int reads(const std::string& name) {
    const std::lock_guard lock(mutex_);
    return reads_[name];
  }

 private:
  struct Secret {
    SecretData data;
    std::string version;
  };
  static constexpr std::string_view kPath = "/api/v1/namespaces/lb/secrets";

  Result<net::HttpResponse> get(const std::string& name) {
    const auto found = secrets_.find(name);
    if (found == secrets_.end()) return net::HttpResponse{404, {}, "{}"};
    nlohmann::json out{{"metadata", {{"name", name}, {"resourceVersion", found->second.version}}}};
    for (const auto& [key, text] : found->second.data) out["data"][key] = encode_base64(text);
    return net::HttpResponse{200, {}, out.dump()};
  }

  std::mutex mutex_;
  std::map<std::string, Secret> secrets_;
  std::map<std::string, int> requests_, reads_;
  int version_ = 0;
};

class FakeSecretClient : public HttpClient {
 public:
  explicit FakeSecretClient(FakeSecretServer& server) : server_(server) {}
  Result<net::HttpResponse> request(const net::HttpRequest& request) override {
    return server_.answer(request);
  }
  Result<net::HttpResponse> stream(const net::HttpRequest&, const OnLine&) override {
    return Error{"Closed", "no streams here"};
  }
  void cancel() override {}

 private:
  FakeSecretServer& server_;
};

}  // namespace lb::kube
