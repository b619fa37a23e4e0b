#include "tests/support/fake_api_server.hpp"

#include <algorithm>
#include <charconv>
#include <sstream>

namespace lb::test {
namespace {

using asio::ip::tcp;

constexpr char kLeases[] = "/apis/coordination.k8s.io/v1/leases";

uint64_t number(const std::string& text) {
  uint64_t out = 0;
  std::from_chars(text.data(), text.data() + text.size(), out);
  return out;
}

std::string hex(size_t value) {
  std::ostringstream out;
  out << std::hex << value;
  return out.str();
}

std::vector<std::string> parts_of(const std::string& path) {
  std::vector<std::string> out;
  std::istringstream in(path);
  for (std::string part; std::getline(in, part, '/');) {
    if (!part.empty()) out.push_back(part);
  }
  return out;
}

// False when the peer is gone.
bool read_request(tcp::socket& socket, std::string& buffer, net::HttpRequest& out) {
  boost::system::error_code error;
  const size_t head = asio::read_until(socket, asio::dynamic_buffer(buffer), "\r\n\r\n", error);
  if (error) return false;
  std::istringstream lines(buffer.substr(0, head));
  std::string line;
  lines >> out.method >> out.target;
  std::getline(lines, line);
  while (std::getline(lines, line) && line != "\r") {
    const size_t colon = line.find(':');
    const size_t value = line.find_first_not_of(' ', colon + 1);
    if (colon == std::string::npos || value == std::string::npos) continue;
    line.pop_back();
    out.headers.push_back({line.substr(0, colon), line.substr(value)});
  }
  buffer.erase(0, head);
  const size_t length = number(net::find(out.headers, "Content-Length").value_or("0"));
  const size_t there = buffer.size();
  if (there < length) {
    buffer.resize(length);
    asio::read(socket, asio::buffer(buffer.data() + there, length - there), error);
  }
  if (error) return false;
  out.body = buffer.substr(0, length);
  buffer.erase(0, length);
  return true;
}

}  // namespace

std::string query_value(const std::string& query, const std::string& name) {
  std::istringstream in(query);
  for (std::string pair; std::getline(in, pair, '&');) {
    if (pair.starts_with(name + "=")) return pair.substr(name.size() + 1);
  }
  return {};
}

FakeApiServer::FakeApiServer() { open(0); }

FakeApiServer::~FakeApiServer() {
  stop_accepting();
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  end_connections();
  for (auto& each : connections_) each.thread.join();
}

std::string FakeApiServer::url() const { return "http://127.0.0.1:" + std::to_string(port_); }

void FakeApiServer::open(uint16_t port) {
  const tcp::endpoint where(asio::ip::address_v4::loopback(), port);
  acceptor_.open(where.protocol());
  acceptor_.set_option(tcp::acceptor::reuse_address(true));
  acceptor_.bind(where);
  acceptor_.listen();
  port_ = acceptor_.local_endpoint().port();
  acceptor_thread_ = std::thread([this] { accept(); });
}

void FakeApiServer::accept() {
  for (;;) {
    boost::system::error_code error;
    tcp::socket socket(io_);
    acceptor_.accept(socket, error);
    if (error) return;
    const std::lock_guard lock(mutex_);
    ++counts_.connections;
    auto& connection = connections_.emplace_back(std::move(socket), epoch_);
    connection.thread = std::thread([this, &connection] { serve(connection); });
  }
}

void FakeApiServer::end_connections() {
  const std::lock_guard lock(mutex_);
  for (auto& each : connections_) {
    if (!each.over) ::shutdown(each.socket.native_handle(), SHUT_RDWR);
  }
}

void FakeApiServer::stop_accepting() {
  if (!acceptor_thread_.joinable()) return;
  ::shutdown(acceptor_.native_handle(), SHUT_RDWR);  // wakes accept(), as close() would not
  acceptor_thread_.join();
  acceptor_.close();
  end_connections();
}

void FakeApiServer::accept_again() { open(port_); }

void FakeApiServer::serve(Connection& connection) {
  std::string buffer;
  for (;;) {
    net::HttpRequest request;
    if (!read_request(connection.socket, buffer, request) || !answer(connection, request)) break;
  }
  const std::lock_guard lock(mutex_);
  boost::system::error_code ignored;
  connection.socket.close(ignored);
  connection.over = true;
}

bool FakeApiServer::authorized(const net::HttpRequest& request) const {
  return token_.empty() ||
         net::find(request.headers, "Authorization").value_or("") == "Bearer " + token_;
}

std::optional<FakeApiServer::Refusal> FakeApiServer::refusal(const net::HttpRequest& request) {
  const bool watches = request.target.find("watch=1") != std::string::npos;
  const bool writes = request.method != "GET";
  for (auto& each : refusals_) {
    const bool meant = each.which == Which::kAll || (each.which == Which::kWatches && watches) ||
                       (each.which == Which::kWrites && writes);
    if (each.times <= 0 || !meant) continue;
    --each.times;
    ++counts_.refused;
    return each;
  }
  return std::nullopt;
}

// False: the connection is over.
bool FakeApiServer::answer(Connection& connection, const net::HttpRequest& request) {
  const std::string path = request.target.substr(0, request.target.find('?'));
  const std::string query =
      path.size() < request.target.size() ? request.target.substr(path.size() + 1) : "";
  std::unique_lock lock(mutex_);
  requests_.push_back(request);
  if (connection.epoch < frozen_before_) {
    changed_.wait(lock, [this] { return stopping_; });
    return false;
  }
  if (!authorized(request)) {
    ++counts_.unauthorized;
    lock.unlock();
    return send(connection, 401, status_body(401, "Unauthorized", "Unauthorized"));
  }
  if (const auto refused = refusal(request)) {
    lock.unlock();
    const std::string extra =
        refused->retry_after.empty() ? "" : "Retry-After: " + refused->retry_after + "\r\n";
    return send(connection, refused->status, status_body(refused->status, "Told", "as told"),
                extra);
  }
  if (query.find("watch=1") != std::string::npos) {
    lock.unlock();
    return watch(connection, path, query);
  }
  ClusterAnswer out =
      path.find("/namespaces/") == std::string::npos ? list(path, query) : named(request, path);
  if (request.method != "GET") ++counts_.writes;
  if (out.status == 409) ++counts_.conflicts;
  lock.unlock();
  changed_.notify_all();
  return send(connection, out.status, out.body);
}

bool FakeApiServer::send(Connection& connection, int status, const Json& body,
                         const std::string& extra) {
  const std::string text = body.dump();
  const std::string all = "HTTP/1.1 " + std::to_string(status) +
                          " Told\r\nContent-Type: application/json\r\n" + extra +
                          "Content-Length: " + std::to_string(text.size()) + "\r\n\r\n" + text;
  boost::system::error_code error;
  asio::write(connection.socket, asio::buffer(all), error);
  return !error;
}

// A page that goes on after the cluster has changed is no longer to be had.
ClusterAnswer FakeApiServer::list(const std::string& resource, const std::string& query) {
  ++counts_.lists;
  const std::string more = query_value(query, "continue");
  const size_t from = more.empty() ? 0 : number(more.substr(more.find('-') + 1));
  if (!more.empty() && number(more) != cluster_.version()) {
    ++counts_.expired;
    return {410, status_body(410, "Expired", "the continue token is too old")};
  }
  const auto all = cluster_.list(resource);
  const size_t end = std::min(all.size(), from + page_);
  Json meta{{"resourceVersion", std::to_string(cluster_.version())}};
  if (end < all.size()) {
    meta["continue"] = std::to_string(cluster_.version()) + "-" + std::to_string(end);
  }
  Json items = Json::array();
  for (size_t i = from; i < end; ++i) items.push_back(all[i]);
  return {200, {{"kind", "List"}, {"metadata", meta}, {"items", std::move(items)}}};
}

// /api/v1/namespaces/NS/services/NAME[/status], and the same under /apis/GROUP/VERSION.
ClusterAnswer FakeApiServer::named(const net::HttpRequest& request, const std::string& path) {
  const size_t at = path.find("/namespaces/");
  const auto parts = parts_of(path.substr(at + sizeof "/namespaces/" - 1));
  if (parts.size() < 2) return {404, status_body(404, "NotFound", "no such path")};
  const std::string resource = path.substr(0, at) + "/" + parts[1];
  const std::string name = parts.size() > 2 ? parts[2] : "";
  const Json body = Json::parse(request.body, nullptr, false);
  if (request.method == "GET") return cluster_.get(resource, parts[0], name);
  if (body.is_discarded()) return {400, status_body(400, "BadRequest", "no JSON")};
  if (request.method == "POST" && parts[1] == "events") {
    events_.push_back(body);
    return {201, body};
  }
  if (request.method == "POST" && resource == kLeases) return cluster_.create(resource, body);
  if (request.method == "PUT" && resource == kLeases) return cluster_.replace(resource, body);
  if (request.method == "PATCH") return cluster_.patch(resource, parts[0], name, body);
  return {405, status_body(405, "MethodNotAllowed", request.method)};
}

bool FakeApiServer::watch(Connection& connection, const std::string& resource,
                          const std::string& query) {
  const uint64_t from = number(query_value(query, "resourceVersion"));
  const bool initial = query.find("sendInitialEvents=true") != std::string::npos;
  std::unique_lock lock(mutex_);
  ++(initial ? counts_.watch_lists : counts_.watches);
  if (initial && !watch_list_) {
    lock.unlock();
    return send(connection, 422, status_body(422, "Invalid", "sendInitialEvents is forbidden"));
  }
  const uint64_t version = cluster_.version();
  if (!initial && from > version) {
    lock.unlock();
    return send(connection, 504, status_body(504, "Timeout", "Too large resource version"));
  }
  std::vector<std::string> first;
  const bool expired = !initial && !cluster_.since(resource, from);
  if (expired) {
    ++counts_.expired;
    const Json status = status_body(410, "Expired", "too old resource version");
    if (!expired_as_event_) return lock.unlock(), send(connection, 410, status);
    first.push_back(event_line("ERROR", status));
  }
  if (initial) {
    for (const Json& object : cluster_.list(resource)) first.push_back(event_line("ADDED", object));
    first.push_back(bookmark_line(version, true));
  }
  lock.unlock();
  return stream(connection, resource,
                expired   ? UINT64_MAX
                : initial ? version
                          : from,
                std::move(first));
}

// Writes what has happened since `from`, and goes on until it is told to end.
bool FakeApiServer::stream(Connection& connection, const std::string& resource, uint64_t from,
                           std::vector<std::string> lines) {
  boost::system::error_code error;
  asio::write(connection.socket,
              asio::buffer(std::string("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                                       "Transfer-Encoding: chunked\r\n\r\n")),
              error);
  std::unique_lock lock(mutex_);
  size_t orders = orders_.size();
  ++watching_;
  changed_.notify_all();
  bool alive = !error, cut = false, end = from == UINT64_MAX;
  while (alive && !stopping_) {
    if (connection.epoch < frozen_before_) {
      changed_.wait(lock, [this] { return stopping_; });
      break;
    }
    if (from != UINT64_MAX) {
      const auto news = cluster_.since(resource, from);
      if (!news) end = true;
      for (const auto& event : news.value_or(std::vector<ClusterEvent>{})) {
        lines.push_back(event_line(event.type, event.object));
        from = event.version;
      }
    }
    for (; orders < orders_.size() && !end && !cut; ++orders) {
      const Order& each = orders_[orders];
      if (each.kind == Order::Kind::kLine) lines.push_back(each.line);
      end = each.kind == Order::Kind::kEnd;
      cut = each.kind == Order::Kind::kCut;
    }
    if (!lines.empty()) {
      lock.unlock();
      for (const auto& line : lines) alive = alive && write_line(connection, line);
      lines.clear();
      lock.lock();
      continue;
    }
    if (end || cut) break;
    changed_.wait(lock);
  }
  --watching_;
  const bool whole = end && alive;
  lock.unlock();
  changed_.notify_all();
  if (cut) asio::write(connection.socket, asio::buffer(std::string("ff\r\n{\"type\":\"AD")), error);
  if (whole) asio::write(connection.socket, asio::buffer(std::string("0\r\n\r\n")), error);
  return whole && !error;
}

// In two chunks, since one may end anywhere; or in as many as slow() asked for.
bool FakeApiServer::write_line(Connection& connection, const std::string& line) {
  size_t piece = 0;
  std::chrono::milliseconds pause{0};
  {
    const std::lock_guard lock(mutex_);
    piece = piece_;
    pause = pause_;
  }
  const std::string text = line + "\n";
  if (piece == 0) piece = text.size() / 2 + 1;
  boost::system::error_code error;
  for (size_t at = 0; at < text.size() && !error; at += piece) {
    const std::string part = text.substr(at, piece);
    asio::write(connection.socket, asio::buffer(hex(part.size()) + "\r\n" + part + "\r\n"), error);
    if (pause.count() > 0) std::this_thread::sleep_for(pause);
  }
  return !error;
}

ServerCounts FakeApiServer::counts() {
  const std::lock_guard lock(mutex_);
  return counts_;
}

std::vector<net::HttpRequest> FakeApiServer::requests() {
  const std::lock_guard lock(mutex_);
  return requests_;
}

std::vector<Json> FakeApiServer::events() {
  const std::lock_guard lock(mutex_);
  return events_;
}

size_t FakeApiServer::open_watches() {
  const std::lock_guard lock(mutex_);
  return watching_;
}

bool FakeApiServer::wait_watching(size_t watches) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, std::chrono::seconds(5), [&] { return watching_ == watches; });
}

}  // namespace lb::test
