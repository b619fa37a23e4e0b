#include "tests/support/fake_consul.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "common/net/query.hpp"

namespace lb::test {
namespace {

constexpr char kCatalogue[] = "/v1/catalog/services";
constexpr char kHealth[] = "/v1/health/service/";

std::string header_of(const std::string& head, const std::string& name) {
  const size_t found = head.find("\r\n" + name + ": ");
  if (found == std::string::npos) return {};
  const size_t begin = found + name.size() + 4;
  return head.substr(begin, head.find("\r\n", begin) - begin);
}

std::string json_of(const std::string& service, const std::string& id, const FakeInstance& each,
                    uint64_t registered) {
  return R"({"Node":{"Node":"n1","Address":"192.0.2.1"},"Service":{"ID":")" + id +
         R"(","Service":")" + service + R"(","Address":")" + each.address + R"(","Port":)" +
         each.port + R"(,"Tags":[)" + each.tags + R"(],"ModifyIndex":)" +
         std::to_string(registered) + R"(},"Checks":[{"CheckID":"service:)" + id +
         R"(","Status":")" + each.status + "\"}" + (each.checks.empty() ? "" : "," + each.checks) +
         "]}";
}

}  // namespace

FakeConsul::FakeConsul() { start(); }

FakeConsul::~FakeConsul() { stop(); }

void FakeConsul::converse(int fd) {
  std::string unread;
  for (std::string head = read_head(fd, unread); !head.empty(); head = read_head(fd, unread)) {
    if (!write_all(fd, answer(parse(head)))) return;
  }
}

FakeConsul::Query FakeConsul::parse(const std::string& head) {
  const std::string target = target_of(head);
  const size_t sign = std::min(target.find('?'), target.size());
  Query out{target.substr(0, sign), header_of(head, "X-Consul-Token"), {}, 0};
  for (const auto& [name, value] :
       net::parse_query(target.substr(std::min(sign + 1, target.size())))) {
    if (name == "index") out.index = std::stoull(value);
    if (name == "wait") out.wait = value;
  }
  return out;
}

std::string FakeConsul::answer(const Query& query) {
  std::unique_lock lock(mutex_);
  targets_.insert(query.path);
  wait_unless_stalled(lock);
  if (status_ != 200) return reply(status_, "rejected");
  if (query.path == "/v1/status/leader") {
    return ++counts_.leaders, reply(200, leaderless_ ? "\"\"" : "\"127.0.0.1:8300\"");
  }
  if (query.token != token_) return reply(403, "ACL not found");
  const bool health = query.path.starts_with(kHealth);
  if (!health && query.path != kCatalogue) return reply(404, "");
  ++(health ? counts_.healths : counts_.catalogues);
  return answer_blocking(query, lock);
}

std::string FakeConsul::answer_blocking(const Query& query, std::unique_lock<std::mutex>& lock) {
  if (!query.wait.empty()) waits_.insert(query.wait);
  const unsigned wakes = wakes_;
  const auto news = [&] {
    return stopped_ || wakes != wakes_ || faulty() || index_of(query.path) > query.index;
  };
  if (query.index != 0) {
    const bool health = query.path.starts_with(kHealth);
    if (health) counts_.most_waiting = std::max(counts_.most_waiting, ++waiting_);
    changed_.wait_for(lock, std::chrono::milliseconds(std::stoul("0" + query.wait)), news);
    if (health) --waiting_;
    wait_unless_stalled(lock);
  }
  const auto index = given_index_.empty() ? std::to_string(index_of(query.path)) : given_index_;
  return reply(200, garbage_.empty() ? body_of(query.path) : garbage_,
               no_index_ ? "" : "X-Consul-Index: " + index + "\r\n");
}

// What is wrong is said at once, whenever it was asked.
bool FakeConsul::faulty() const {
  return !garbage_.empty() || no_index_ || (!given_index_.empty() && given_index_ != "0");
}

uint64_t FakeConsul::index_of(const std::string& path) const {
  if (given_index_ == "0") return 0;
  const auto found = indexes_.find(path);
  return found == indexes_.end() ? 1 : found->second;
}

std::string FakeConsul::body_of(const std::string& path) const {
  std::string out;
  if (path == kCatalogue) {
    for (const auto& [name, instances] : services_) {
      std::string tags;
      for (const auto& [id, each] : instances) {
        if (!each.tags.empty()) tags += (tags.empty() ? "" : ",") + each.tags;
      }
      out += (out.empty() ? "\"" : ",\"") + name + "\":[" + tags + "]";
    }
    return "{" + out + "}";
  }
  const std::string name = net::parse_query("n=" + path.substr(sizeof kHealth - 1))[0].second;
  const auto found = services_.find(name);
  if (found == services_.end()) return "[]";
  for (const auto& [id, each] : found->second) {
    out += (out.empty() ? "" : ",") + json_of(name, id, each, registered_.at(name + "/" + id));
  }
  return "[" + out + "]";
}

void FakeConsul::touch(const std::string& service, bool catalogue) {
  ++index_;
  indexes_[kHealth + net::percent_encode(service)] = index_;
  if (catalogue) indexes_[kCatalogue] = index_;
  changed_.notify_all();
}

void FakeConsul::set(const std::string& service, const std::string& id, FakeInstance instance) {
  std::lock_guard lock(mutex_);
  auto& instances = services_[service];
  const auto found = instances.find(id);
  const bool registers = found == instances.end() || found->second.tags != instance.tags ||
                         found->second.address != instance.address;
  instances[id] = std::move(instance);
  if (registers) registered_[service + "/" + id] = index_ + 1;
  touch(service, registers);
}

void FakeConsul::forget(const std::string& service, const std::string& id) {
  std::lock_guard lock(mutex_);
  auto& instances = services_[service];
  instances.erase(id);
  if (instances.empty()) services_.erase(service);
  touch(service, true);
}

void FakeConsul::forget_all() {
  std::lock_guard lock(mutex_);
  for (const auto& [name, instances] : std::exchange(services_, {})) touch(name, true);
}

void FakeConsul::answer_garbage(std::string body) {
  std::lock_guard lock(mutex_);
  garbage_ = std::move(body);
  ++wakes_;
  changed_.notify_all();
}

void FakeConsul::answer_status(int status) {
  std::lock_guard lock(mutex_);
  status_ = status;
}

void FakeConsul::lose_leader(bool lost) {
  std::lock_guard lock(mutex_);
  leaderless_ = lost;
}

void FakeConsul::omit_index(bool omitted) {
  std::lock_guard lock(mutex_);
  no_index_ = omitted;
  ++wakes_;
  changed_.notify_all();
}

void FakeConsul::answer_index(const std::string& index) {
  std::lock_guard lock(mutex_);
  given_index_ = index;
  ++wakes_;
  changed_.notify_all();
}

void FakeConsul::restart_index() {
  std::lock_guard lock(mutex_);
  index_ = 1;
  indexes_.clear();
  ++wakes_;
  changed_.notify_all();
}

void FakeConsul::want_token(const std::string& token) {
  std::lock_guard lock(mutex_);
  token_ = token;
  ++wakes_;
  changed_.notify_all();
}

FakeConsul::Counts FakeConsul::counts() {
  std::lock_guard lock(mutex_);
  counts_.connections = accepted_;
  return counts_;
}

unsigned FakeConsul::waiting() {
  std::lock_guard lock(mutex_);
  return waiting_;
}

std::set<std::string> FakeConsul::targets() {
  std::lock_guard lock(mutex_);
  return targets_;
}

std::set<std::string> FakeConsul::waits_asked() {
  std::lock_guard lock(mutex_);
  return waits_;
}

}  // namespace lb::test
