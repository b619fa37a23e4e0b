#include "dataplane/admin.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <new>
#include <set>
#include <utility>

#include "common/model/diff.hpp"
#include "common/model/state_json.hpp"
#include "dataplane/certificates_json.hpp"
#include "dataplane/flows_json.hpp"
#include "dataplane/status_json.hpp"

namespace lb::dataplane {
namespace {

constexpr size_t kSmallBody = 64 * 1024;
constexpr unsigned kMaxWaitSeconds = 300;
constexpr size_t kMaxWaiters = 64;
constexpr std::chrono::seconds kAgain{1};  // after want of memory
constexpr std::chrono::seconds kLookAgain{60};
constexpr std::string_view kFlowPath = "/v1/flows/";

std::pair<std::string_view, std::string_view> split(std::string_view text, char at) {
  const size_t found = text.find(at);
  if (found == std::string_view::npos) return {text, {}};
  return {text.substr(0, found), text.substr(found + 1)};
}

struct StatusQuery {
  std::optional<std::string> since;
  unsigned wait = 0;
};

Result<StatusQuery> parse_status_query(std::string_view query) {
  StatusQuery out;
  while (!query.empty()) {
    const auto [item, rest] = split(query, '&');
    const auto [name, value] = split(item, '=');
    query = rest;
    if (name == "since") {
      out.since = std::string(value);
    } else if (name == "wait") {
      const auto [end, error] =
          std::from_chars(value.data(), value.data() + value.size(), out.wait);
      if (error != std::errc{} || end != value.data() + value.size()) {
        return Error{"Query", "wait takes a whole number of seconds"};
      }
      out.wait = std::min(out.wait, kMaxWaitSeconds);
    } else {
      return Error{"Query", "unknown parameter '" + std::string(name.substr(0, 64)) + "'"};
    }
  }
  return out;
}

net::HttpResponse not_found() {
  return net::json_response(404, encode_error({"NotFound", "no such call"}));
}

net::HttpResponse not_allowed(const char* allowed) {
  auto out = net::json_response(
      405, encode_error({"MethodNotAllowed", std::string("this call takes ") + allowed}));
  out.headers.push_back({"Allow", allowed});
  return out;
}

bool reads(const net::HttpRequest& request) {
  return request.method == "GET" || request.method == "HEAD";
}

// A browser says so of each request that may change something; nobody else does.
bool comes_from_a_page(const net::HttpRequest& request) {
  return !reads(request) && net::find(request.headers, "Origin").has_value();
}

// Those that have failures now and had none or others before, or the other way round.
std::set<std::string> keys_of_others(const std::vector<Failure>& before,
                                     const std::vector<Failure>& now) {
  std::set<std::string> out;
  if (before == now) return out;
  for (const auto& each : before) out.insert(each.key);
  for (const auto& each : now) out.insert(each.key);
  return out;
}

}  // namespace

Admin::Admin(AdminParts parts)
    : parts_(std::move(parts)), board_(parts_.instance), tick_(parts_.io) {}

size_t Admin::body_limit(const std::string& method, const std::string& target) {
  const bool state = split(target, '?').first == "/v1/state";
  if (method == "PUT" && Certificates::owns(target)) return kMaxCertificateBytes;
  return state && (method == "PUT" || method == "PATCH") ? kMaxStateBytes : kSmallBody;
}

void Admin::handle(const net::HttpRequest& request, Respond respond) {
  const auto [path, query] = split(request.target, '?');
  if (comes_from_a_page(request)) return respond(refuse_page());
  if (stopped_ && !reads(request)) {
    return respond(
        net::json_response(503, encode_error({"Stopping", "this data plane is ending"})));
  }
  const bool changes =
      !reads(request) && (path == "/v1/state" || path == "/v1/drain" || Certificates::owns(path));
  if (changes && parts_.handing_over && parts_.handing_over()) {
    return respond(net::json_response(
        503, encode_error({"HandingOver", "another process takes over; ask again"})));
  }
  if (path == "/v1/state") {
    if (request.method == "PUT") return put(request, std::move(respond));
    if (request.method == "PATCH") return patch(request, std::move(respond));
    if (!reads(request)) return respond(not_allowed("GET, PUT, PATCH"));
    return respond(net::json_response(200, encode_state(*parts_.coordinator.held())));
  }
  if (path == "/v1/status") {
    if (!reads(request)) return respond(not_allowed("GET"));
    return status(query, std::move(respond));
  }
  if (path == "/v1/flows") return flows(request, query, std::move(respond));
  if (path.starts_with(kFlowPath)) {
    if (request.method != "DELETE") return respond(not_allowed("DELETE"));
    return kill(path.substr(kFlowPath.size()), std::move(respond));
  }
  if (path == "/v1/drain") return drain(request, std::move(respond));
  if (Certificates::owns(path)) {
    return parts_.certificates.handle(request, path, parts_.coordinator, std::move(respond));
  }
  observe(request, std::move(respond));
}

void Admin::flows(const net::HttpRequest& request, std::string_view query, Respond respond) {
  if (!reads(request)) return respond(not_allowed("GET"));
  auto filter = parse_flow_query(query);
  if (!filter) return respond(net::json_response(400, encode_error(filter.error())));
  parts_.path.flows(std::move(filter).value(),
                    [respond = std::move(respond)](const std::vector<proxy::Flow>& flows) {
                      respond(net::json_response(200, encode_flows(flows)));
                    });
}

void Admin::kill(std::string_view text, Respond respond) {
  const auto id = parse_flow_id(text);
  if (!id) return respond(net::json_response(400, encode_error(id.error())));
  parts_.path.kill(*id, [respond = std::move(respond)](bool found) {
    if (found) return respond(net::json_response(200, "{}"));
    respond(net::json_response(404, encode_error({"NotFound", "no such connection"})));
  });
}

void Admin::drain(const net::HttpRequest& request, Respond respond) {
  const bool begin = request.method == "POST";
  if (!begin && request.method != "DELETE") return respond(not_allowed("POST, DELETE"));
  auto drain = decode_drain(request.body.empty() ? "{}" : request.body);
  if (!drain) {
    return respond(net::json_response(http_status(drain.error()), encode_error(drain.error())));
  }
  if (begin) {
    parts_.drains.add(std::move(drain).value());
  } else {
    parts_.drains.lift(*drain);
  }
  parts_.path.set_drains(parts_.drains.all(), [this, respond = std::move(respond)] {
    respond(net::json_response(200, encode_drains(parts_.drains.all(), parts_.path.status())));
    notify();
  });
}

void Admin::observe(const net::HttpRequest& request, Respond respond) const {
  const auto path = split(request.target, '?').first;
  if (path != "/healthz" && path != "/readyz" && path != "/metrics") return respond(not_found());
  if (!reads(request)) return respond(not_allowed("GET"));
  if (path == "/healthz") return respond(net::text_response(200, "ok\n"));
  if (path == "/metrics") return respond(net::metrics_response(parts_.metrics()));
  const bool ready = parts_.coordinator.applied() && !stopped_;
  respond(ready ? net::text_response(200, "ok\n")
                : net::text_response(503, stopped_ ? "stopping\n" : "no state applied yet\n"));
}

net::HttpResponse Admin::refuse_page() {
  const Error error{"CrossSite", "a web page, which sends Origin, may not change anything"};
  ++refusals_[error.code];
  return net::json_response(403, encode_error(error));
}

net::HttpResponse Admin::refusal(const Error& error) {
  ++refusals_[error.code];
  const Version held = parts_.coordinator.held()->version;
  return net::json_response(http_status(error),
                            encode_error(error, error.code == "Order" ? &held : nullptr));
}

template <class Decoded>
void Admin::change(Result<Decoded> decoded,
                   void (Coordinator::*apply)(Decoded, Coordinator::Answer), Respond respond) {
  if (!decoded) return respond(refusal(decoded.error()));
  (parts_.coordinator.*apply)(std::move(decoded).value(),
                              [this, respond = std::move(respond)](Result<ApplyResult> answer) {
                                if (!answer) {
                                  whole_due_ = true;  // it may be served in part
                                  return respond(refusal(answer.error()));
                                }
                                respond(net::json_response(200, encode_apply_result(*answer)));
                                tell_waiting();
                              });
}

void Admin::put(const net::HttpRequest& request, Respond respond) {
  change(decode_state(request.body), &Coordinator::put, std::move(respond));
}

void Admin::patch(const net::HttpRequest& request, Respond respond) {
  change(decode_patch(request.body), &Coordinator::patch, std::move(respond));
}

void Admin::refresh() {
  const Coordinator::Held held = parts_.coordinator.held();
  auto failed = parts_.coordinator.failed();
  if (whole_due_) {
    looked_ = asio::steady_timer::clock_type::now();
    auto services = report(*held, parts_.path.status(), failed);
    board_.update(held->version, std::move(failed), std::move(services));
    whole_due_ = !parts_.coordinator.settled();
  } else {
    refresh_changed(*held, std::move(failed));
  }
  if (parts_.coordinator.settled()) {
    reported_ = held;
    unsettled_.clear();
  }
}

// A change to one of very many services must not cost a look at all of them.
void Admin::refresh_changed(const DesiredState& held, std::vector<Failure> failed) {
  const StateDiff change = diff(*reported_, held);
  std::set<std::string>& keys = unsettled_;
  for (const auto& service : change.changed) keys.insert(service.key);
  for (auto& key : keys_of_others(board_.failed(), failed)) keys.insert(std::move(key));
  for (const auto& key : change.removed) keys.insert(key);
  DesiredState part;
  std::vector<std::string> gone;
  for (const auto& key : keys) {
    const auto found =
        std::lower_bound(held.services.begin(), held.services.end(), key,
                         [](const Service& s, const std::string& k) { return s.key < k; });
    if (found != held.services.end() && found->key == key) {
      part.services.share_back(found.element());
    } else {
      gone.push_back(key);
    }
  }
  auto services = report(part, parts_.path.status_of(keys), failed);
  board_.update_some(held.version, std::move(failed), std::move(services), gone);
}

std::string Admin::render(const StatusView& view) const {
  return encode_status(view, board_.instance(), parts_.features);
}

void Admin::status(std::string_view query, Respond respond) {
  const auto asked = parse_status_query(query);
  if (!asked) return respond(net::json_response(400, encode_error(asked.error())));
  if (!asked->since || !board_.knows(*asked->since)) whole_due_ = true;
  refresh();
  const StatusView view = board_.view(asked->since);
  // An answer without news would have the reader ask again at once.
  if (stopped_ && !view.news) {
    return respond(
        net::json_response(503, encode_error({"Stopping", "this data plane is ending"})));
  }
  const bool wait = !view.news && asked->wait > 0 && !stopped_ && waiters_.size() < kMaxWaiters;
  if (!wait) return respond(net::json_response(200, render(view)));
  const auto until = asio::steady_timer::clock_type::now() + std::chrono::seconds(asked->wait);
  waiters_.push_back({*asked->since, until, std::move(respond)});
  watch();
}

// For the reader whose time is over first.
void Admin::watch() {
  if (waiters_.empty() || stopped_) return;
  const auto first =
      std::min_element(waiters_.begin(), waiters_.end(),
                       [](const Waiter& a, const Waiter& b) { return a.until < b.until; });
  look_at(first->until);
}

void Admin::look_at(asio::steady_timer::time_point when) {
  tick_.expires_at(when);
  tick_.async_wait([this](const boost::system::error_code& error) {
    if (!error) look();
  });
}

void Admin::look() {
  // Whatever changes is told of; what somebody forgot to tell is found all the same.
  whole_due_ = whole_due_ || asio::steady_timer::clock_type::now() - looked_ >= kLookAgain;
  try {
    tell_waiting();
  } catch (const std::bad_alloc&) {
    look_at(asio::steady_timer::clock_type::now() + kAgain);
    throw;
  }
}

void Admin::notify() {
  whole_due_ = true;
  tell_waiting();
}

void Admin::notify(const std::string& service) {
  unsettled_.insert(service);
  tell_waiting();
}

void Admin::tell_waiting() {
  if (waiters_.empty()) return;
  refresh();
  const auto now = asio::steady_timer::clock_type::now();
  std::list<Waiter> due;
  for (auto each = waiters_.begin(); each != waiters_.end();) {
    const auto next = std::next(each);
    const bool over = stopped_ || now >= each->until || board_.has_news(each->since);
    if (over) due.splice(due.end(), waiters_, each);
    each = next;
  }
  for (const auto& waiter : due) {
    waiter.respond(net::json_response(200, render(board_.view(waiter.since))));
  }
  watch();
}

void Admin::stop() {
  stopped_ = true;
  notify();
  tick_.cancel();
}

}  // namespace lb::dataplane
