// The data plane's admin API: JSON over HTTP/1.1, as the wire contract describes it.
//
// Owned and called by the control thread; answers may come later, when every worker has applied a
// change or when a waiting reader has something to be told. Knows no socket: it turns requests into
// responses, so tests drive it as a function. Does not throw. Whatever changes something is refused
// (403) to a web page: a browser reaches our TCP address on loopback for any site that it shows.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/net/asio.hpp"
#include "common/net/http_server.hpp"
#include "dataplane/certificates.hpp"
#include "dataplane/coordinator.hpp"
#include "dataplane/drains.hpp"
#include "dataplane/proxy/data_path.hpp"
#include "dataplane/status_board.hpp"

namespace lb::dataplane {

struct AdminParts {
  asio::io_context& io;
  Coordinator& coordinator;
  proxy::DataPath& path;
  std::function<std::shared_ptr<const std::string>()> metrics;
  std::vector<std::string> features;
  std::string instance;
  Drains& drains;
  Certificates& certificates;
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

  // Something beside the state may have changed, in any service: wakes readers that wait for it.
  void notify();
  // The same in this service only.
  void notify(const std::string& service);

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
  net::HttpResponse refuse_page();
  net::HttpResponse refusal(const Error& error);
  void refresh();
  void refresh_changed(const DesiredState& held, std::vector<Failure> failed);
  void tell_waiting();
  std::string render(const StatusView& view) const;
  void watch();
  void look_at(asio::steady_timer::time_point when);
  void look();

  AdminParts parts_;
  StatusBoard board_;
  // What the board tells of, whole; what is being applied is told of again when it is.
  Coordinator::Held reported_ = std::make_shared<const DesiredState>();
  std::set<std::string> unsettled_;          // told of since, or about to be
  bool whole_due_ = true;                    // more may be new than what has changed in the state
  asio::steady_timer::time_point looked_{};  // at all of them
  std::list<Waiter> waiters_;
  asio::steady_timer tick_;
  bool stopped_ = false;
  std::map<std::string, uint64_t> refusals_;
};

}  // namespace lb::dataplane
