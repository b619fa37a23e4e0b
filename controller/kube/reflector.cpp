#include "controller/kube/reflector.hpp"

#include <charconv>
#include <nlohmann/json.hpp>

namespace lb::kube {
namespace {

using nlohmann::json;

constexpr int kPage = 500;
constexpr size_t kMaxLine = 16u << 20;
// A watch that the server ends sooner, with nothing said, is a fault and not the end of its time.
constexpr std::chrono::seconds kShortWatch{1};

const json& child(const json& object, const char* name) {
  static const json kNone;
  if (!object.is_object()) return kNone;
  const auto found = object.find(name);
  return found == object.end() ? kNone : *found;
}

std::string text(const json& object, const char* name) {
  const json& value = child(object, name);
  return value.is_string() ? value.get<std::string>() : std::string{};
}

Item item_of(const json& object) {
  const json& meta = child(object, "metadata");
  return {text(meta, "namespace"), text(meta, "name"),
          object.dump(-1, ' ', false, json::error_handler_t::replace)};
}

std::chrono::milliseconds retry_after(const net::HttpResponse& response) {
  const auto value = net::find(response.headers, "Retry-After");
  unsigned seconds = 0;
  if (value) std::from_chars(value->data(), value->data() + value->size(), seconds);
  return std::chrono::seconds(std::min(seconds, 30u));
}

// The API's Status object carries a sentence that was written for people.
std::string reason_of(const net::HttpResponse& response) {
  const json body = json::parse(response.body, nullptr, false);
  const std::string message = body.is_discarded() ? std::string{} : text(body, "message");
  return "HTTP " + std::to_string(response.status) + (message.empty() ? "" : ": " + message);
}

}  // namespace

Reflector::Reflector(Options options, ReflectorSink& sink)
    : options_(std::move(options)), sink_(sink) {}

Reflector::~Reflector() { stop(); }

void Reflector::start() {
  thread_ = std::thread([this] { run(); });
}

void Reflector::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    if (client_) client_->cancel();
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

HttpClient& Reflector::client() {
  const std::lock_guard lock(mutex_);
  if (!client_) client_ = options_.make_client();
  if (stopping_) client_->cancel();
  return *client_;
}

bool Reflector::wait(std::chrono::milliseconds time) {
  if (options_.wait) return options_.wait(time);
  std::unique_lock lock(mutex_);
  return wake_.wait_for(lock, time, [this] { return stopping_; });
}

double Reflector::random() { return std::uniform_real_distribution<>(0, 1)(random_); }

bool Reflector::pause(Backoff& backoff, std::chrono::milliseconds at_least) {
  return wait(std::max(backoff.next(random()), at_least));
}

void Reflector::run() {
  Next next = Next::kList;
  for (;;) {
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return;
    }
    if (next == Next::kWatch) {
      next = watch();
    } else if (list()) {
      next = Next::kWatch;
    }
  }
}

void Reflector::trouble(const Error& error) {
  if (error.code == "Cancelled") return;
  ++counters_.errors;
  troubled_ = true;
  sink_.connection(Error{error.code, options_.path + ": " + error.message});
  pause(unreachable_);
}

void Reflector::refused(const net::HttpResponse& response) {
  ++counters_.errors;
  troubled_ = true;
  if (response.status == 401 && options_.on_unauthorized) options_.on_unauthorized();
  const char* code = response.status == 404 ? "NotFound" : "Refused";
  sink_.connection(Error{code, options_.path + ": " + reason_of(response)});
  pause(refusals_, retry_after(response));
}

// True when the whole list is in; a page that has expired means starting over.
bool Reflector::list() {
  ++counters_.lists;
  std::vector<Item> all;
  std::string more;
  do {
    std::string target = options_.path + "?limit=" + std::to_string(kPage);
    if (!more.empty()) target += "&continue=" + more;
    const auto answer = client().request({"GET", target, {{"Accept", "application/json"}}, {}});
    if (!answer) return trouble(answer.error()), false;
    if (answer->status == 410) return ++counters_.gone, false;
    if (answer->status != 200) return refused(*answer), false;
    const json page = json::parse(answer->body, nullptr, false);
    const json& items = child(page, "items");
    if (page.is_discarded() || (!items.is_array() && !items.is_null())) {
      ++counters_.bad_events;
      return trouble({"Closed", "the list is not valid JSON"}), false;
    }
    for (const auto& each : items) all.push_back(item_of(each));
    version_ = text(child(page, "metadata"), "resourceVersion");
    more = text(child(page, "metadata"), "continue");
  } while (!more.empty());
  sink_.replaced(std::move(all));
  if (std::exchange(troubled_, false)) sink_.connection(std::nullopt);
  return true;
}

std::string Reflector::watch_target() {
  const int seconds = 290 + static_cast<int>(random() * 290);
  return options_.path +
         "?watch=1&allowWatchBookmarks=true&timeoutSeconds=" + std::to_string(seconds) +
         "&resourceVersion=" + version_;
}

Reflector::Next Reflector::watch() {
  ++counters_.watches;
  const auto began = std::chrono::steady_clock::now();
  const uint64_t seen = counters_.events;
  bool expired = false;
  const auto answer =
      client().stream({"GET", watch_target(), {{"Accept", "application/json"}}, {}},
                      [&](const std::string& line) { return handle(line, expired); });
  if (expired || (answer && answer->status == 410)) {
    ++counters_.gone;
    return Next::kList;
  }
  if (!answer) {
    trouble(answer.error());
  } else if (answer->status != 200) {
    refused(*answer);
    // The server does not know this version (yet): only a list helps.
    if (answer->status == 400 || answer->status == 504) return Next::kList;
  } else if (counters_.events == seen && std::chrono::steady_clock::now() - began < kShortWatch) {
    trouble({"Closed", "the watch ended at once"});
  } else {
    unreachable_.reset();
    refusals_.reset();
  }
  return Next::kWatch;
}

// One event; false ends this watch. A line that makes no sense ends it too: what came before is
// applied, and the next watch goes on from there.
bool Reflector::handle(const std::string& line, bool& expired) {
  const json event =
      line.size() > kMaxLine ? json(json::value_t::discarded) : json::parse(line, nullptr, false);
  const std::string type = event.is_discarded() ? std::string{} : text(event, "type");
  const json& object = child(event, "object");
  if (type.empty() || !object.is_object()) {
    ++counters_.bad_events;
    return false;
  }
  if (type == "ERROR") {
    ++counters_.errors;
    expired = child(object, "code") == 410;
    return false;
  }
  ++counters_.events;
  unreachable_.reset();
  refusals_.reset();
  if (std::exchange(troubled_, false)) sink_.connection(std::nullopt);
  const std::string version = text(child(object, "metadata"), "resourceVersion");
  if (!version.empty()) version_ = version;
  if (type == "ADDED" || type == "MODIFIED") {
    sink_.changed(item_of(object));
  } else if (type == "DELETED") {
    Item item = item_of(object);
    sink_.removed(std::move(item.ns), std::move(item.name));
  } else if (type != "BOOKMARK") {
    ++counters_.bad_events;
  }
  return true;
}

}  // namespace lb::kube
