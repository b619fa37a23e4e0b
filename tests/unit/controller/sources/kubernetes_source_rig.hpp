// A KubernetesSource whose API server answers each resource by a script of its own.
#pragma once

#include <gmock/gmock.h>

#include "controller/sources/kubernetes_source.hpp"

#include "tests/unit/controller/kube/scripted_client.hpp"

namespace lb::sources {

class Sink : public SourceSink {
 public:
  void upsert(plan::SourceService service) override { services[service.key] = service; }
  void remove(const std::string& key) override { services.erase(key); }
  void synced(const std::string&, const std::set<std::string>& keys) override {
    synced_with = keys;
  }
  void nodes(std::set<IpAddress> addresses) override { node_addresses = addresses; }
  void freshness(const std::string& source, std::optional<Error> trouble) override {
    if (trouble) stale.insert(source);
    if (!trouble) stale.erase(source);
  }
  std::map<std::string, plan::SourceService> services;
  std::optional<std::set<std::string>> synced_with;
  std::set<IpAddress> node_addresses;
  std::set<std::string> stale;
};

// One script for each resource, chosen by what is asked for.
class Scripts {
 public:
  kube::Script services, slices, nodes, pods;
  kube::Script& of(const std::string& target) {
    if (target.find("endpointslices") != std::string::npos) return slices;
    if (target.find("/pods") != std::string::npos) return pods;
    return target.find("nodes") != std::string::npos ? nodes : services;
  }
  void cancel() {
    services.cancel();
    slices.cancel();
    nodes.cancel();
    pods.cancel();
  }
};

class Client : public kube::HttpClient {
 public:
  explicit Client(Scripts& scripts) : scripts_(scripts) {}
  Result<net::HttpResponse> request(const net::HttpRequest& request) override {
    return scripts_.of(request.target).next(request).answer;
  }
  Result<net::HttpResponse> stream(const net::HttpRequest& request,
                                   const OnLine& on_line) override {
    const auto step = scripts_.of(request.target).next(request);
    for (const auto& line : step.lines) on_line(line);
    return step.answer;
  }
  void cancel() override { scripts_.cancel(); }

 private:
  Scripts& scripts_;
};

inline constexpr char kService[] = R"({"metadata":{"namespace":"d","name":"web","uid":"u"},
  "spec":{"type":"LoadBalancer","ports":[{"name":"http","port":80}]}})";
inline std::string slice(const char* address) {
  return std::string(R"({"metadata":{"namespace":"d","name":"web-1",
    "labels":{"kubernetes.io/service-name":"web"}},"addressType":"IPv4",
    "ports":[{"name":"http","port":8080,"protocol":"TCP"}],
    "endpoints":[{"addresses":[")") +
         address + R"("]}]})";
}
inline std::string list(const std::string& items) {
  return R"({"metadata":{"resourceVersion":"1"},"items":[)" + items + "]}";
}
inline std::string event(const std::string& type, const std::string& object) {
  return R"({"type":")" + type + R"(","object":)" + object + "}";
}

class KubernetesSourceTest : public testing::Test {
 protected:
  void start(bool strict = false) {
    KubernetesSource::Options options{[this] { return std::make_unique<Client>(scripts); }, [] {}};
    options.strict_endpoints = strict;
    source = std::make_unique<KubernetesSource>(io, std::move(options), sink);
    source->start();
  }
  ~KubernetesSourceTest() override {
    if (source) source->stop();
  }
  bool run_until(const std::function<bool()>& holds) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    while (!holds() && std::chrono::steady_clock::now() < end) {
      io.restart();
      io.run_for(std::chrono::milliseconds(5));
    }
    return holds();
  }
  size_t backends() { return sink.services["kubernetes/d/web"].ports.at(0).backends.size(); }

  asio::io_context io;
  Scripts scripts;
  Sink sink;
  std::unique_ptr<KubernetesSource> source;
};

}  // namespace lb::sources
