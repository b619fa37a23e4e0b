#include "controller/sources/docker_source.hpp"

#include <random>

#include "common/ops/log.hpp"

namespace lb::sources {
namespace {

constexpr size_t kMostReadsAtOnce = 4;
constexpr char kList[] = "/containers/json?all=1";
// {"type":["container","network"],"event":[...]}, percent-encoded.
constexpr char kEvents[] =
    "/events?filters=%7B%22type%22%3A%5B%22container%22%2C%22network%22%5D%2C%22event%22%3A%5B"
    "%22create%22%2C%22start%22%2C%22restart%22%2C%22kill%22%2C%22stop%22%2C%22die%22%2C"
    "%22destroy%22%2C%22pause%22%2C%22unpause%22%2C%22rename%22%2C%22update%22%2C"
    "%22health_status%22%2C%22connect%22%2C%22disconnect%22%5D%7D";

double random() {
  thread_local std::minstd_rand engine{std::random_device{}()};
  return std::uniform_real_distribution<double>(0, 1)(engine);
}

std::string one(const std::string& id) {
  return kList + ("&filters=%7B%22id%22%3A%5B%22" + id) + "%22%5D%7D";
}

}  // namespace

DockerSource::DockerSource(asio::io_context& io, Options options, SourceSink& sink)
    : io_(io),
      options_(std::move(options)),
      name_(prefix() + to_string(options_.server.address)),
      sink_(sink),
      backoff_(options_.first_retry, options_.last_retry),
      retry_timer_(io),
      ping_timer_(io),
      list_timer_(io),
      rest_timer_(io) {}

DockerSource::~DockerSource() { stop(); }

void DockerSource::start() { connect(); }

void DockerSource::stop() {
  if (std::exchange(stopped_, true)) return;
  session_.reset();
  events_.reset();
  client_.reset();
  for (auto* timer : {&retry_timer_, &ping_timer_, &list_timer_, &rest_timer_}) timer->cancel();
}

// What is asked in one session is not answered into the next, nor after the end.
template <class Handler>
auto DockerSource::in_session(Handler handler) {
  return [session = std::weak_ptr(session_), handler = std::move(handler)](auto&&... what) {
    if (!session.expired()) handler(std::forward<decltype(what)>(what)...);
  };
}

void DockerSource::connect() {
  session_ = std::make_shared<const bool>(true);
  client_ = std::make_unique<net::HttpClient>(io_, options_.server);
  net::HttpLines::Handlers handlers;
  handlers.opened = in_session([this] { opened(); });
  handlers.line = in_session([this](std::string_view line) { take_event(line); });
  handlers.ended = in_session([this](const Error& error) { fail(error); });
  events_ =
      std::make_unique<net::HttpLines>(io_, options_.server, net::HttpRequest{.target = kEvents},
                                       options_.ping_timeout, std::move(handlers));
}

void DockerSource::fail(const Error& error) {
  if (!session_) return;
  session_.reset();
  ++counters_.errors;
  // Not while they call us.
  asio::post(io_, [old = std::move(client_), events = std::move(events_)] {});
  for (auto* timer : {&ping_timer_, &list_timer_, &rest_timer_}) timer->cancel();
  dirty_.clear();
  reading_.clear();
  listing_ = list_wanted_ = resting_ = false;
  stale_ = true;
  sink_.freshness(name_, error);
  retry_timer_.expires_after(backoff_.next(random()));
  retry_timer_.async_wait([this](const boost::system::error_code& cancelled) {
    if (!cancelled && !stopped_) connect();
  });
}

void DockerSource::opened() {
  list_wanted_ = true;
  // What has happened to them meanwhile was told to nobody.
  for (const auto& [id, until] : draining_) settling_.insert(id);
  pump();
  await_ping();
  await_list();
}

void DockerSource::take_event(std::string_view line) {
  const auto event = plan::decode_container_event(line);
  if (!event) return fail({"Protocol", name_ + ": an event that is none"});
  if (!*event) return;
  ++counters_.events;
  const std::string& id = (*event)->id;
  if ((*event)->ends()) {
    settling_.erase(id);
    draining_[id] = Clock::now() + options_.drain_limit;
    set_.set_draining(id, true);
    flush();
  } else if ((*event)->begins_or_ended()) {
    settling_.insert(id);
  }
  if (plan::is_container_id(id)) {
    dirty_.insert(id);
  } else {
    list_wanted_ = true;
  }
  pump();
}

// A list and a read never overlap, nor two reads of one container: the older answer could come
// last.
void DockerSource::pump() {
  if (!session_ || listing_) return;
  if (list_wanted_ || dirty_.size() > options_.most_reads) {
    if (reading_.empty() && !resting_) read_all();
    return;
  }
  for (auto it = dirty_.begin(); it != dirty_.end() && reading_.size() < kMostReadsAtOnce;) {
    const std::string id = *it++;
    if (reading_.contains(id)) continue;
    dirty_.erase(id);
    read_one(id);
  }
}

void DockerSource::read_all() {
  listing_ = true;
  list_wanted_ = false;
  dirty_.clear();
  ask(kList, "", &DockerSource::take_all);
}

void DockerSource::read_one(const std::string& id) {
  reading_.insert(id);
  ++counters_.reads;
  ask(one(id), id, &DockerSource::take_one);
}

void DockerSource::ask(const std::string& target, const std::string& id, Read take) {
  client_->request({.target = target}, options_.list_timeout,
                   in_session([this, id, take](const Result<net::HttpResponse>& answer) {
                     if (!answer) return fail(answer.error());
                     if (answer->status != 200) {
                       return fail({"Status", name_ + ": " + std::to_string(answer->status)});
                     }
                     (this->*take)(id, answer->body);
                   }));
}

void DockerSource::take_all(const std::string&, const std::string& body) {
  auto list = plan::decode_containers(body);
  if (!list) return fail({"Protocol", name_ + ": " + list.error().message});
  ++counters_.lists;
  listing_ = false;
  std::set<std::string> kept;
  for (const auto& unread : list->unread) {
    tell_unread(unread);
    kept.insert(unread.id);
  }
  std::erase_if(told_unread_, [&](const std::string& each) { return !kept.contains(each); });
  set_.replace(std::move(list->containers), kept);
  settle_all();
  flush();
  sink_.synced(prefix(), set_.keys());
  fresh();
  rest();
  pump();
}

void DockerSource::take_one(const std::string& id, const std::string& body) {
  auto list = plan::decode_containers(body);
  if (!list) return fail({"Protocol", name_ + ": " + list.error().message});
  reading_.erase(id);
  bool there = false;
  for (const auto& unread : list->unread) {
    tell_unread(unread);
    there = true;
  }
  for (auto& container : list->containers) {
    if (container.id != id) continue;
    there = true;
    set_.put(std::move(container));
  }
  if (!there) set_.erase(id);
  settle(id);
  flush();
  pump();
}

// Once each: it is read again and again.
void DockerSource::tell_unread(const plan::UnreadContainer& unread) {
  ++counters_.unread;
  if (!told_unread_.insert(unread.id).second) return;
  ops::log(ops::Level::kWarning,
           "a container cannot be read, what was known of it stays: " + unread.error.message,
           {{"container", unread.id}, {"reason", unread.error.code}});
}

// An event after the answer was asked for: the next answer tells.
void DockerSource::settle(const std::string& id) {
  if (dirty_.contains(id) || settling_.erase(id) == 0) return;
  draining_.erase(id);
  set_.set_draining(id, false);
}

void DockerSource::settle_all() {
  for (const auto& id : std::set(settling_)) settle(id);
}

void DockerSource::flush() {
  auto changes = set_.take();
  for (const auto& key : changes.removed) sink_.remove(key);
  for (auto& service : changes.changed) sink_.upsert(std::move(service));
}

void DockerSource::fresh() {
  if (std::exchange(stale_, false)) sink_.freshness(name_, std::nullopt);
}

void DockerSource::await_ping() {
  ping_timer_.expires_after(options_.ping_interval);
  ping_timer_.async_wait(in_session([this](const boost::system::error_code& cancelled) {
    if (!cancelled) ping();
  }));
}

void DockerSource::ping() {
  client_->request({.target = "/_ping"}, options_.ping_timeout,
                   in_session([this](const Result<net::HttpResponse>& answer) {
                     if (!answer) return fail(answer.error());
                     if (answer->status != 200) {
                       return fail({"Status", name_ + ": " + std::to_string(answer->status)});
                     }
                     backoff_.reset();
                     end_drains(Clock::now());
                     await_ping();
                   }));
}

void DockerSource::end_drains(Clock::time_point now) {
  for (auto it = draining_.begin(); it != draining_.end();) {
    if (it->second > now) {
      ++it;
      continue;
    }
    set_.set_draining(it->first, false);
    it = draining_.erase(it);
  }
  flush();
}

void DockerSource::await_list() {
  list_timer_.expires_after(options_.list_interval);
  list_timer_.async_wait(in_session([this](const boost::system::error_code& cancelled) {
    if (cancelled) return;
    list_wanted_ = true;
    pump();
    await_list();
  }));
}

void DockerSource::rest() {
  resting_ = true;
  rest_timer_.expires_after(options_.list_pause);
  rest_timer_.async_wait(in_session([this](const boost::system::error_code& cancelled) {
    if (cancelled) return;
    resting_ = false;
    pump();
  }));
}

}  // namespace lb::sources
