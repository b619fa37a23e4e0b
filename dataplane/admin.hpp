// The data plane's admin API: JSON over HTTP/1.1, as the wire contract describes it.
//
// Owned and called by the control thread; answers may come later, when every worker has applied a
// change or when a waiting reader has something to be told. Knows no socket: it turns requests into
// responses, so tests drive it as a function. Does not throw.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/net/asio.hpp"
#include "common/net/http_server.hpp"
#include "dataplane/coordinator.hpp"
#include "dataplane/drains.hpp"
#include "dataplane/proxy/data_path.hpp"
#include "dataplane/status_board.hpp"

namespace lb::dataplane {

struct AdminParts {
  asio::io_context& io;
  Coordinator& coordinator;
  proxy::DataPath& path;
  std::function<std::string()> metrics;
  std::vector<std::string> features;
  std::string instance;
  Drains& drains;
  // Whether what is held is being told to another process: a change now would be lost.
  std::function<bool()> handing_over = {};
};

class Admin {
 public:
  using Respond = net::HttpServer::Respond;

  explicit Admin(AdminParts parts);
  Admin(const Admin&) = delete;
  Admin& operator=(const Admin&) = delete;

  void handle(const net::HttpRequest& request, Respond respond);

  // The read-only half that may be shown without authentication: /healthz, /readyz, /metrics.
  void observe(const net::HttpRequest& request, Respond respond) const;

  static size_t body_limit(const std::string& method, const std::string& target);

  // Something may have changed: wakes the readers that wait for it.
  void notify();

  // Answers every waiting reader; no new one waits.
  void stop();

  // Refused changes by their reason.
  const std::map<std::string, uint64_t>& refusals() const { return refusals_; }

 private:
  struct Waiter {
    std::string since;
    asio::steady_timer::time_point until;
    Respond respond;
  };

  void put(const net::HttpRequest& request, Respond respond);
  void patch(const net::HttpRequest& request, Respond respond);
  void status(std::string_view query, Respond respond);
  void flows(const net::HttpRequest& request, std::string_view query, Respond respond);
  void kill(std::string_view id, Respond respond);
  void drain(const net::HttpRequest& request, Respond respond);
  template <class Decoded>
  void change(Result<Decoded> decoded, void (Coordinator::*apply)(Decoded, Coordinator::Answer),
              Respond respond);
  net::HttpResponse refusal(const Error& error);
  void refresh();
  std::string render(const StatusView& view) const;
  void watch();

  AdminParts parts_;
  StatusBoard board_;
  std::list<Waiter> waiters_;
  asio::steady_timer tick_;
  bool stopped_ = false;
  std::map<std::string, uint64_t> refusals_;
};

}  // namespace lb::dataplane
