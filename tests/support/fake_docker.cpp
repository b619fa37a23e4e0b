#include "tests/support/fake_docker.hpp"

#include <cstdio>
#include <utility>

namespace lb::test {
namespace {

std::string chunk(const std::string& text) {
  char size[20];
  std::snprintf(size, sizeof size, "%zx\r\n", text.size());
  return size + text + "\r\n";
}

std::string json_of(const std::string& name, const FakeContainer& c) {
  return R"({"Id":")" + name + R"(","Names":["/)" + name + R"("],"State":")" + c.state +
         R"(","Status":")" + c.status + R"(","Created":)" + std::to_string(c.created) +
         R"(,"Labels":{)" + c.labels +
         R"(},"NetworkSettings":{"Networks":{"bridge":{"IPAddress":")" + c.address + R"("}}}})";
}

}  // namespace

FakeDocker::FakeDocker() { start(); }

FakeDocker::~FakeDocker() { stop(); }

void FakeDocker::converse(int fd) {
  std::string unread;
  const std::string head = read_head(fd, unread);
  const std::string target = head.empty() ? "" : target_of(head);
  if (target.starts_with("/events")) return stream(fd);
  if (!target.empty()) write_all(fd, answer(target));
}

std::string FakeDocker::answer(const std::string& target) {
  std::unique_lock lock(mutex_);
  wait_unless_stalled(lock);
  if (status_ != 200) return reply(status_, "{\"message\":\"no\"}");
  if (target == "/_ping") return ++counts_.pings, reply(200, "OK");
  if (!target.starts_with("/containers/json?all=1")) return reply(404, "{}");
  constexpr char kBefore[] = "%22id%22%3A%5B%22";
  const size_t found = target.find(kBefore);
  const size_t begin = found == std::string::npos ? 0 : found + sizeof kBefore - 1;
  const bool whole = begin == 0;
  const std::string body =
      list(whole ? "" : target.substr(begin, target.find("%22", begin) - begin));
  ++(whole ? counts_.lists : counts_.reads);
  const bool& held = whole ? lists_held_ : reads_held_;
  changed_.wait(lock, [&] { return !held || stopped_; });
  return reply(200, garbage_.empty() ? body : garbage_);
}

std::string FakeDocker::list(const std::string& id) {
  std::string out = "[";
  for (const auto& [name, container] : containers_) {
    if (!id.empty() && name != id) continue;
    out += (out.size() > 1 ? "," : "") + json_of(name, container);
  }
  return out + "]";
}

void FakeDocker::stream(int fd) {
  std::unique_lock lock(mutex_);
  wait_unless_stalled(lock);
  size_t told = lines_.size();
  const unsigned cuts = cuts_;
  ++counts_.streams, ++streams_;
  bool well = write_all(fd,
                        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                        "Transfer-Encoding: chunked\r\n\r\n");
  while (well && !stopped_) {
    changed_.wait(lock,
                  [&] { return stopped_ || cuts != cuts_ || (!stalled_ && told < lines_.size()); });
    if (cuts != cuts_) write_all(fd, chunk("{\"Type\":\"contai"));
    if (stopped_ || cuts != cuts_) break;
    std::string news;
    while (told < lines_.size()) news += lines_[told++] + "\n";
    lock.unlock();
    well = write_all(fd, chunk(news));
    lock.lock();
  }
  --streams_;
}

void FakeDocker::set(const std::string& name, FakeContainer container) {
  std::lock_guard lock(mutex_);
  containers_[name] = std::move(container);
}

void FakeDocker::forget(const std::string& name) {
  std::lock_guard lock(mutex_);
  containers_.erase(name);
}

void FakeDocker::tell(const std::string& action, const std::string& name,
                      const std::string& signal) {
  tell_line(R"({"Type":"container","Action":")" + action + R"(","Actor":{"ID":")" + name +
            R"(","Attributes":{"signal":")" + signal + R"("}}})");
}

void FakeDocker::tell_line(const std::string& line) {
  std::lock_guard lock(mutex_);
  lines_.push_back(line);
  changed_.notify_all();
}

void FakeDocker::run(const std::string& name, FakeContainer container) {
  set(name, std::move(container));
  tell("start", name);
}

void FakeDocker::end(const std::string& name) {
  forget(name);
  tell("die", name);
}

void FakeDocker::answer_garbage(std::string body) {
  std::lock_guard lock(mutex_);
  garbage_ = std::move(body);
}

void FakeDocker::answer_status(int status) {
  std::lock_guard lock(mutex_);
  status_ = status;
}

void FakeDocker::cut_events_within_a_line() {
  std::lock_guard lock(mutex_);
  ++cuts_;
  changed_.notify_all();
}

void FakeDocker::hold_lists(bool held) {
  std::lock_guard lock(mutex_);
  lists_held_ = held;
  changed_.notify_all();
}

void FakeDocker::hold_reads(bool held) {
  std::lock_guard lock(mutex_);
  reads_held_ = held;
  changed_.notify_all();
}

FakeDocker::Counts FakeDocker::counts() {
  std::lock_guard lock(mutex_);
  counts_.connections = accepted_;
  return counts_;
}

unsigned FakeDocker::open_streams() {
  std::lock_guard lock(mutex_);
  return streams_;
}

}  // namespace lb::test
