// A data plane that holds a state as the real one does, unless it is told to answer otherwise; over
// a real socket, on the test's io_context.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/model/diff.hpp"
#include "common/model/state_json.hpp"
#include "common/net/http_server.hpp"

namespace lb::controller {

inline Service service(const std::string& key, const char* address = "192.0.2.1") {
  Service out;
  out.key = key;
  out.addresses = {IpAddress::parse(address).value()};
  out.ports.emplace_back().port = 80;
  return out;
}

// One that ends TLS with these certificates.
inline Service tls_service(const std::string& key, std::vector<std::string> certificates) {
  Service out = service(key);
  out.ports[0].tls.mode = TlsMode::kTerminate;
  out.ports[0].tls.certificates = std::move(certificates);
  return out;
}

class FakeDataplane {
 public:
  explicit FakeDataplane(asio::io_context& io) {
    auto server = net::HttpServer::start(
        io,
        {.listen = Endpoint{IpAddress::parse("127.0.0.1").value(), 0},
         .body_limit = [](auto&, auto&) { return kMaxStateBytes; }},
        [this](const auto& request, auto respond) { answer(request, std::move(respond)); });
    server_ = std::move(server).value();
  }
  net::SocketAddress address() const { return server_->local(); }

  DesiredState held;
  std::string instance = "i";
  std::string features = R"("protocol=tcp")";  // as JSON, without brackets
  std::string failed;                          // the same
  std::string services;                        // the same
  std::deque<net::HttpResponse> instead;       // for PUT and PATCH
  std::deque<net::HttpResponse> unread;        // for GET of the state
  std::optional<Version> lie;                  // what status says instead of what is held
  std::vector<std::string> writes;
  std::vector<net::HttpServer::Respond> polls;
  std::map<std::string, std::string> certificates;    // chains, which are their fingerprints too
  std::map<std::string, net::HttpResponse> refusals;  // of calls about a certificate
  bool knows_certificates = true;                     // false: as one from before them
  std::vector<std::string> calls;                     // all that are not about status

  void tell_polls() {
    for (auto& respond : std::exchange(polls, {})) respond(net::json_response(200, status()));
  }

 private:
  std::string status() const {
    const Version said = lie.value_or(held.version);
    return R"({"schema":"empalme.io/v1","features":[)" + features + R"(],"instance":")" + instance +
           R"(","rev":")" + instance + R"(.1","epoch":)" + std::to_string(said.epoch) +
           R"(,"generation":)" + std::to_string(said.generation) + R"(,"failed":[)" + failed +
           R"(],"services":[)" + services + R"(],"removed":[]})";
  }
  void answer(const net::HttpRequest& request, net::HttpServer::Respond respond) {
    if (request.target.starts_with("/v1/status")) {
      if (request.target.find("wait=") != std::string::npos) return polls.push_back(respond);
      return respond(net::json_response(200, status()));
    }
    calls.push_back(request.method + " " + request.target);
    if (request.target.starts_with(kCertificates)) return respond(answer_certificate(request));
    if (request.method == "GET" && !unread.empty()) {
      respond(unread.front());
      return unread.pop_front();
    }
    if (request.method == "GET") return respond(net::json_response(200, encode_state(held)));
    writes.push_back(request.method);
    if (!instead.empty()) {
      respond(instead.front());
      instead.pop_front();
      return;
    }
    respond(net::json_response(200, apply(request)));
  }
  net::HttpResponse answer_certificate(const net::HttpRequest& request) {
    if (!knows_certificates) return net::text_response(404, "no such call\n");
    if (request.method == "GET") return net::json_response(200, listed());
    const std::string name = request.target.substr(sizeof kCertificates);
    const auto refused = refusals.find(name);
    if (refused != refusals.end()) return refused->second;
    if (request.method == "DELETE") return certificates.erase(name), net::json_response(200, "{}");
    constexpr std::string_view kBefore = R"({"certificate":")";
    const size_t end = request.body.find('"', kBefore.size());
    certificates[name] = request.body.substr(kBefore.size(), end - kBefore.size());
    return net::json_response(200, "{}");
  }
  std::string listed() const {
    std::string out;
    for (const auto& [name, chain] : certificates) {
      out += (out.empty() ? "" : ",") + std::string(R"({"name":")") + name +
             R"(","fingerprint":")" + chain + R"("})";
    }
    return R"({"certificates":[)" + out + "]}";
  }
  std::string apply(const net::HttpRequest& request) {
    if (request.method == "PUT") {
      held = decode_state(request.body).value();
    } else {
      held = apply_patch(held, decode_patch(request.body).value()).value();
    }
    return encode_apply_result({held.version, {}});
  }

  static constexpr char kCertificates[] = "/v1/certificates";
  std::unique_ptr<net::HttpServer> server_;
};

// Runs what is due until the condition holds; false when it does not within 5 s.
inline bool run_until(asio::io_context& io, const std::function<bool()>& holds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  io.restart();
  while (!holds() && std::chrono::steady_clock::now() < end) {
    io.run_one_for(std::chrono::milliseconds(50));
  }
  return holds();
}

}  // namespace lb::controller
