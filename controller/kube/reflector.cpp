#include "controller/kube/reflector.hpp"

#include <charconv>

#include "common/model/json.hpp"

namespace lb::kube {
namespace {

using nlohmann::json;

constexpr int kPage = 500;
constexpr size_t kMaxLine = 16u << 20;
// A watch that the server ends sooner, with nothing said, is a fault and not the end of its time.
constexpr std::chrono::seconds kShortWatch{1};
// One that lasts so long proves that the server is well.
constexpr std::chrono::seconds kHealthyWatch{5};
constexpr char kInitialEventsEnd[] = "k8s.io/initial-events-end";

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

// A list without items has null there.
bool is_list(const json& page) {
  const json& items = child(page, "items");
  return !page.is_discarded() && (items.is_array() || items.is_null());
}

json& items_of(json& page) {
  static json none;
  const auto found = page.is_object() ? page.find("items") : page.end();
  return found == page.end() ? none : *found;
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
  Next next = first();
  for (;;) {
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return;
    }
    if (next != Next::kList) {
      next = watch(next == Next::kWatchList);
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
    if (answer->status == 410) {
      ++counters_.gone;
      pause(unreachable_);
      return false;
    }
    if (answer->status != 200) return refused(*answer), false;
    json page = json::parse(answer->body, nullptr, false);
    if (!is_list(page)) {
      ++counters_.bad_events;
      return trouble({"Closed", "the list is not valid JSON"}), false;
    }
    for (auto& each : items_of(page)) all.push_back(item_of(each));
    version_ = text(child(page, "metadata"), "resourceVersion");
    more = text(child(page, "metadata"), "continue");
  } while (!more.empty());
  sink_.replaced(std::move(all));
  fine();
  return true;
}

std::string Reflector::watch_target(bool from_the_start) {
  const int seconds = 300 + static_cast<int>(random() * 300);
  const std::string out = options_.path + "?watch=1&allowWatchBookmarks=true&timeoutSeconds=" +
                          std::to_string(seconds) + "&resourceVersion=";
  // Without a version: what the cluster holds now, and not what a cache still does.
  if (from_the_start) return out + "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
  return out + version_;
}

Reflector::Next Reflector::watch(bool from_the_start) {
  ++counters_.watches;
  const auto began = std::chrono::steady_clock::now();
  const uint64_t seen = counters_.events;
  Stream stream;
  if (from_the_start) stream.gathered.emplace();
  const auto answer =
      client().stream({"GET", watch_target(from_the_start), {{"Accept", "application/json"}}, {}},
                      [&](const std::string& line) { return handle(line, stream); });
  return ended(stream, answer, std::chrono::steady_clock::now() - began, counters_.events == seen);
}

// What a watch that is over means for the next one.
Reflector::Next Reflector::ended(const Stream& stream, const Result<net::HttpResponse>& answer,
                                 std::chrono::steady_clock::duration lasted, bool silent) {
  const bool gone = stream.expired || (answer && answer->status == 410);
  if (gone) ++counters_.gone;
  if (lasted >= kHealthyWatch) {
    unreachable_.reset();
    refusals_.reset();
  }
  if (!answer) {
    trouble(answer.error());
  } else if (answer->status != 200 && !gone) {
    // A server that does not know WatchList is in good health.
    const bool unknown = stream.gathered && (answer->status == 400 || answer->status == 422);
    if (!unknown) refused(*answer);
  } else if (stream.error) {
    trouble(*stream.error);
  } else if (!gone && silent && lasted < kShortWatch) {
    trouble({"Closed", "the watch ended at once"});
  } else if (lasted < kShortWatch) {
    pause(unreachable_);
  }
  // No version is known before the whole beginning is in; a list asks for less of the server, and
  // of whatever stands between us.
  if (stream.gathered) return Next::kList;
  if (gone) return first();
  // The server does not know this version (yet): only a list helps.
  const bool unknown_version = answer && (answer->status == 400 || answer->status == 504);
  return unknown_version ? first() : Next::kWatch;
}

void Reflector::fine() {
  if (std::exchange(troubled_, false)) sink_.connection(std::nullopt);
}

// The beginning of a WatchList is in: from here on it is a watch like any other.
void Reflector::whole(Stream& stream) {
  std::vector<Item> all;
  for (auto& [name, item] : *stream.gathered) all.push_back(std::move(item));
  stream.gathered.reset();
  ++counters_.watch_lists;
  sink_.replaced(std::move(all));
  fine();
}

// One event; false ends this watch. A line that makes no sense ends it too: what came before is
// applied, and the next watch goes on from there.
bool Reflector::handle(const std::string& line, Stream& stream) {
  json event =
      line.size() > kMaxLine ? json(json::value_t::discarded) : json::parse(line, nullptr, false);
  const std::string type = event.is_discarded() ? std::string{} : text(event, "type");
  const auto found = type.empty() ? event.end() : event.find("object");
  if (found == event.end() || !found->is_object()) {
    ++counters_.bad_events;
    return false;
  }
  json& object = *found;
  if (type == "ERROR") {
    stream.expired = child(object, "code") == 410;
    if (!stream.expired) stream.error = Error{"Refused", text(object, "message")};
    return false;
  }
  ++counters_.events;
  if (!stream.gathered) fine();
  const json& meta = child(object, "metadata");
  const std::string version = text(meta, "resourceVersion");
  if (!version.empty()) version_ = version;
  if (type == "BOOKMARK") {
    if (stream.gathered && text(child(meta, "annotations"), kInitialEventsEnd) == "true") {
      whole(stream);
    }
    return true;
  }
  apply(type, object, stream);
  return true;
}

void Reflector::apply(const std::string& type, nlohmann::json& object, Stream& stream) {
  Item item = stream.gathered ? item_of(object) : parsed_item_of(object);
  const bool there = type == "ADDED" || type == "MODIFIED";
  // A Table, say, is no object of the resource.
  if (item.name.empty() || (!there && type != "DELETED")) {
    ++counters_.bad_events;
  } else if (stream.gathered) {
    const Name name{item.ns, item.name};
    stream.gathered->erase(name);
    if (there) stream.gathered->emplace(name, std::move(item));
  } else if (there) {
    sink_.changed(std::move(item));
  } else {
    sink_.removed(std::move(item.ns), std::move(item.name));
  }
}

}  // namespace lb::kube
