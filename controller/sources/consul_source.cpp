#include "controller/sources/consul_source.hpp"

#include <algorithm>
#include <random>

#include "common/net/query.hpp"
#include "common/ops/log.hpp"
#include "controller/core/label_reader.hpp"
#include "controller/core/text.hpp"
#include "controller/sources/read_file.hpp"

namespace lb::sources {
namespace {

constexpr char kCatalogue[] = "/v1/catalog/services";
constexpr char kHealth[] = "/v1/health/service/";
constexpr char kLeader[] = "/v1/status/leader";

double random() {
  thread_local std::minstd_rand engine{std::random_device{}()};
  return std::uniform_real_distribution<double>(0, 1)(engine);
}

// As a header may hold it.
bool is_token(const std::string& text) {
  return !text.empty() && text.size() <= 4096 &&
         std::ranges::all_of(text, [](char c) { return c > ' ' && c < '\x7f'; });
}

// One path segment: a service's name may hold anything.
std::string segment(const std::string& name) {
  std::string out = net::percent_encode(name);
  for (size_t at = 0; (at = out.find('/', at)) != std::string::npos; at += 3) {
    out.replace(at, 1, "%2F");
  }
  return out;
}

}  // namespace

ConsulSource::ConsulSource(asio::io_context& io, Options options, SourceSink& sink)
    : io_(io),
      options_(std::move(options)),
      name_(prefix() + to_string(options_.server.address)),
      sink_(sink),
      watches_(options_.watches),
      backoff_(options_.first_retry, options_.last_retry),
      retry_timer_(io),
      ping_timer_(io),
      catalogue_timer_(io),
      pump_timer_(io),
      belief_timer_(io) {}

ConsulSource::~ConsulSource() { stop(); }

void ConsulSource::start() { connect(); }

void ConsulSource::stop() {
  if (std::exchange(stopped_, true)) return;
  session_.reset();
  ping_client_.reset();
  catalogue_client_.reset();
  clients_.clear();
  for (auto* timer :
       {&retry_timer_, &ping_timer_, &catalogue_timer_, &pump_timer_, &belief_timer_}) {
    timer->cancel();
  }
}

// What is asked in one session is not answered into the next, nor after the end.
template <class Handler>
auto ConsulSource::in_session(Handler handler) {
  return [session = std::weak_ptr(session_), handler = std::move(handler)](auto&&... what) {
    if (!session.expired()) handler(std::forward<decltype(what)>(what)...);
  };
}

void ConsulSource::connect() {
  session_ = std::make_shared<const bool>(true);
  if (const auto read = read_token(); !read) return fail(read.error());
  ping_client_ = std::make_unique<net::HttpClient>(io_, options_.server);
  catalogue_client_ = std::make_unique<net::HttpClient>(
      io_, options_.server, net::HttpClient::Connections::kKept, options_.most_body);
  ping();
  ask_catalogue();
}

Status ConsulSource::read_token() {
  if (options_.token_file.empty()) return Done{};
  auto text = read_file(options_.token_file);
  if (!text) return Error{"Token", options_.token_file + ": " + text.error().message};
  token_ = plan::trimmed(*text);
  if (is_token(token_)) return Done{};
  return Error{"Token", options_.token_file + " holds no token"};
}

void ConsulSource::fail(const Error& error) {
  if (!session_) return;
  session_.reset();
  ++counters_.errors;
  // Not while they call us.
  asio::post(io_, [ping = std::move(ping_client_), catalogue = std::move(catalogue_client_),
                   clients = std::move(clients_)] {});
  clients_.clear();
  idle_.clear();
  for (auto* timer : {&ping_timer_, &catalogue_timer_, &pump_timer_, &belief_timer_}) {
    timer->cancel();
  }
  watches_.clear();
  catalogue_index_ = 0;
  if (!set_.names().empty() && !set_.doubted()) {
    set_.doubt();
    ++counters_.doubts;
  }
  catalogue_read_ = whole_ = false;
  stale_ = true;
  sink_.freshness(name_, error);
  retry_timer_.expires_after(backoff_.next(random()));
  retry_timer_.async_wait([this](const boost::system::error_code& cancelled) {
    if (!cancelled && !stopped_) connect();
  });
}

std::string ConsulSource::target(const std::string& path, uint64_t index, Milliseconds wait) const {
  std::string query;
  const auto add = [&](const std::string& item) { query += (query.empty() ? "?" : "&") + item; };
  if (!options_.datacenter.empty()) add("dc=" + net::percent_encode(options_.datacenter));
  if (index != 0) {
    add("index=" + std::to_string(index));
    add("wait=" + std::to_string(wait.count()) + "ms");
  }
  return path + query;
}

// Consul adds up to a sixteenth to what it was told to wait.
void ConsulSource::ask(net::HttpClient& client, const std::string& path, uint64_t index,
                       Milliseconds wait, Take take) {
  const auto longest = index == 0 ? Milliseconds{0} : wait + wait / 16;
  send(client, target(path, index, wait), options_.answer_timeout + longest, std::move(take));
}

void ConsulSource::send(net::HttpClient& client, const std::string& target, Milliseconds timeout,
                        Take take) {
  net::HttpRequest request{.target = target};
  if (!token_.empty()) request.headers.push_back({"X-Consul-Token", token_});
  client.request(
      std::move(request), timeout,
      in_session([this, take = std::move(take)](const Result<net::HttpResponse>& answer) {
        if (!answer) return fail(answer.error());
        if (answer->status == 200) return take(*answer);
        fail({answer->status == 403 ? "Denied" : "Status",
              name_ + ": " + std::to_string(answer->status)});
      }));
}

std::optional<uint64_t> ConsulSource::index_after(uint64_t asked, const net::HttpResponse& answer) {
  const auto next = next_index(asked, net::find(answer.headers, "X-Consul-Index"));
  if (!next) {
    fail({next.error().code, name_ + ": " + next.error().message});
    return std::nullopt;
  }
  if (*next == 0) ++counters_.resets;
  return *next;
}

void ConsulSource::ask_catalogue() {
  const auto asked = Clock::now();
  catalogue_timer_.expires_at(asked + options_.catalogue_pause);
  ask(*catalogue_client_, kCatalogue, catalogue_index_, options_.watches.wait,
      [this](const net::HttpResponse& answer) { take_catalogue(answer); });
}

void ConsulSource::take_catalogue(const net::HttpResponse& answer) {
  const auto index = index_after(catalogue_index_, answer);
  if (!index) return;
  auto names = plan::decode_consul_services(answer.body);
  if (!names) return fail({"Protocol", name_ + ": the catalogue: " + names.error().message});
  ++counters_.catalogues;
  catalogue_index_ = *index;
  catalogue_read_ = true;
  std::erase_if(*names, [this](const std::string& name) {
    if (plan::is_key_part(name)) return false;
    tell_unread(name, {"Name", "no key can be made of its name"});
    return true;
  });
  named_ = std::move(*names);
  follow_names();
  catalogue_timer_.async_wait(in_session([this](const boost::system::error_code& cancelled) {
    if (!cancelled) ask_catalogue();
  }));
}

void ConsulSource::follow_names() {
  std::set<std::string> names = named_;
  if (set_.doubted()) names.merge(set_.names());
  watches_.follow(names);
  flush(set_.keep(names));
  settle();
  pump();
}

void ConsulSource::pump() {
  const auto now = Clock::now();
  while (const auto question = watches_.next(now)) ask_service(*question);
  const auto due = watches_.due();
  if (!due) return;
  pump_timer_.expires_at(*due);
  pump_timer_.async_wait(in_session([this](const boost::system::error_code& cancelled) {
    if (!cancelled) pump();
  }));
}

net::HttpClient& ConsulSource::idle_client() {
  if (idle_.empty()) {
    clients_.push_back(std::make_unique<net::HttpClient>(
        io_, options_.server, net::HttpClient::Connections::kKept, options_.most_body));
    return *clients_.back();
  }
  net::HttpClient& out = *idle_.back();
  idle_.pop_back();
  return out;
}

void ConsulSource::ask_service(const ConsulWatches::Question& question) {
  net::HttpClient& client = idle_client();
  ask(client, kHealth + segment(question.name), question.index, question.wait,
      [this, question, &client](const net::HttpResponse& answer) {
        idle_.push_back(&client);
        take_service(question, answer);
      });
}

void ConsulSource::take_service(const ConsulWatches::Question& question,
                                const net::HttpResponse& answer) {
  const auto index = index_after(question.index, answer);
  if (!index) return;
  auto instances = plan::decode_consul_instances(answer.body);
  if (!instances) {
    return fail(
        {"Protocol", name_ + ": service " + question.name + ": " + instances.error().message});
  }
  ++counters_.reads;
  for (const auto& unread : instances->unread) {
    tell_unread(question.name + " " + unread.key, unread.error);
  }
  if (watches_.answered(question.name, *index, Clock::now())) {
    flush(set_.put(question.name, std::move(*instances)));
  }
  settle();
  pump();
}

// Once each: it is read again and again.
void ConsulSource::tell_unread(const std::string& what, const Error& error) {
  constexpr size_t kMostTold = 1'000;
  ++counters_.unread;
  if (told_unread_.size() >= kMostTold || !told_unread_.insert(what).second) return;
  ops::log(ops::Level::kWarning,
           "something of Consul's cannot be read, what was known of it stays: " + error.message,
           {{"instance", what}, {"reason", error.code}});
}

// Every service of this session has been read.
void ConsulSource::settle() {
  if (whole_ || !catalogue_read_ || !watches_.whole()) return;
  whole_ = true;
  sink_.synced(prefix(), set_.keys());
  if (std::exchange(stale_, false)) sink_.freshness(name_, std::nullopt);
  if (set_.doubted()) await_belief();
}

void ConsulSource::await_belief() {
  belief_timer_.expires_after(options_.doubt);
  belief_timer_.async_wait(in_session([this](const boost::system::error_code& cancelled) {
    if (cancelled) return;
    flush(set_.believe());
    follow_names();
  }));
}

void ConsulSource::flush(ConsulSet::Changes changes) {
  for (const auto& key : changes.removed) sink_.remove(key);
  for (auto& service : changes.changed) sink_.upsert(std::move(service));
}

void ConsulSource::await_ping() {
  ping_timer_.expires_after(options_.ping_interval);
  ping_timer_.async_wait(in_session([this](const boost::system::error_code& cancelled) {
    if (!cancelled) ping();
  }));
}

void ConsulSource::ping() {
  send(*ping_client_, kLeader, options_.ping_timeout,
       [this](const net::HttpResponse& answer) { check_leader(answer.body); });
}

// The leader's address as a JSON string.
void ConsulSource::check_leader(const std::string& body) {
  const std::string text = plan::trimmed(body);
  if (text == "\"\"") return fail({"NoLeader", name_ + ": the cluster has no leader"});
  if (text.size() < 3 || text.front() != '"' || text.back() != '"') {
    return fail({"Protocol", name_ + ": the leader is no address"});
  }
  if (whole_) backoff_.reset();
  await_ping();
}

}  // namespace lb::sources
