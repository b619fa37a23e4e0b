#include "controller/reconciler.hpp"

#include <algorithm>

#include "common/ops/log.hpp"

namespace lb::controller {
namespace {

using Clock = asio::steady_timer::clock_type;

// What of the set is new begins to count now; what has left it is forgotten.
template <class Key, class Set, class Limit>
std::vector<Key> overdue(std::map<Key, Clock::time_point>& since, const Set& present, Limit limit) {
  std::erase_if(since, [&](const auto& each) { return !present.contains(each.first); });
  const auto now = Clock::now();
  std::vector<Key> out;
  for (const auto& each : present) {
    const auto [found, added] = since.try_emplace(each, now);
    if (!added && now - found->second >= limit(each)) out.push_back(each);
  }
  return out;
}

void log_failure(const Failure& failure) {
  const std::string where = failure.backend.empty()
                                ? Endpoint{failure.address, failure.port}.to_string()
                                : failure.backend;
  ops::log(ops::Level::kWarning, "not served: " + failure.message,
           {{"service", failure.key}, {"where", where}, {"reason", failure.reason}});
}

}  // namespace

Reconciler::Reconciler(asio::io_context& io, Options options, kube::ApiWriter* writer)
    : io_(io),
      options_(std::move(options)),
      writes_(io, writer, options_.patch_retry, [this](const std::string& key) { touch(key); }),
      allocator_(all_pools()),
      age_timer_(io),
      leading_(options_.leading) {
  world_.settings = options_.settings;
  world_.unsynced = options_.sources;
}

void Reconciler::start() { age(); }

void Reconciler::stop() {
  stopped_ = true;
  writes_.stop();
  age_timer_.cancel();
}

void Reconciler::lead(bool leading) {
  if (std::exchange(leading_, leading) == leading) return;
  secrets_changed_ = true;
  wanted_secrets_.reset();
  if (leading) return touch_all();
  want_secrets();
  writes_.clear();
  const auto blocked = allocator_.blocked();
  allocator_ = plan::Allocator(all_pools());
  allocator_.set_blocked(blocked);
  world_.published.clear();
  world_.failed.clear();
  world_.health.clear();
  world_.features.clear();
  certificates_refused({});
  planned_sources_.clear();
  dirty_.clear();
  problems_.clear();
  contacted_ = lost_ = false;
}

void Reconciler::upsert(plan::SourceService service) {
  const std::string key = service.key;
  auto& held = world_.services[key];
  if (held == service) return;
  if (held.joins != service.joins) joins_.set(key, service.joins);
  note_secrets(held, service);
  held = std::move(service);
  touch_with_hosts(key);
}

void Reconciler::remove(const std::string& key) {
  const auto found = world_.services.find(key);
  if (found == world_.services.end()) return;
  note_secrets(found->second, {});
  world_.services.erase(found);
  joins_.set(key, {});
  touch_with_hosts(key);
}

void Reconciler::synced(const std::string& prefix, const std::set<std::string>& keys) {
  const auto before = keys_of_source_.find(prefix);
  const bool first = before == keys_of_source_.end();
  if (!first) {
    for (const auto& key : before->second) {
      if (!keys.contains(key)) remove(key);
    }
  }
  std::vector<std::string> vanished;
  for (const auto& [key, service] : world_.services) {
    if (key.starts_with(prefix) && !keys.contains(key)) vanished.push_back(key);
  }
  for (const auto& key : vanished) remove(key);
  keys_of_source_[prefix] = keys;
  world_.unsynced.erase(prefix);
  if (first) {
    ops::log(ops::Level::kInfo, "source synced", {{"source", prefix}, {"services", keys.size()}});
    touch_all();
  }
}

void Reconciler::nodes(std::set<IpAddress> addresses) {
  allocator_.set_blocked(std::move(addresses));
  schedule();
}

void Reconciler::freshness(const std::string& source, std::optional<Error> trouble) {
  if (!trouble) {
    if (stale_.erase(source) > 0) {
      ops::log(ops::Level::kInfo, "source is fresh again", {{"source", source}});
    }
    return;
  }
  // Said once: a source that stays away would fill the log.
  const bool news = stale_.insert_or_assign(source, *trouble).second;
  ops::log(news ? ops::Level::kWarning : ops::Level::kDebug,
           "source is stale, its last services are kept: " + trouble->message,
           {{"source", source}, {"reason", trouble->code}, {"pointer", trouble->pointer}});
}

void Reconciler::held(const DesiredState& state) {
  if (options_.on_held) options_.on_held(state);
  for (const auto& service : state.services) {
    if (!source_ready(service.key) || !guests_synced(service.key)) fleet_->keep(service);
  }
  contacted_ = true;
  touch_all();
}

void Reconciler::published(const std::set<std::string>& keys) {
  for (const auto& key : keys) {
    auto now = fleet_->publication(key);
    const auto before = world_.published.find(key);
    const bool known = before != world_.published.end();
    if (known == now.has_value() && (!known || before->second == *now)) continue;
    const auto names = [](const plan::Publication& each) {
      return plan::certificates_of(each.service->ports);
    };
    const std::vector<std::string> none;
    secrets_changed_ =
        secrets_changed_ || (known ? names(before->second) : none) != (now ? names(*now) : none);
    if (now) {
      world_.published.insert_or_assign(key, std::move(*now));
    } else {
      world_.published.erase(before);
    }
    // Before anybody is planned who might get the address.
    if (may_plan() && may_plan(key)) plan::claim_held(world_, allocator_, key);
    touch(key);
  }
}

void Reconciler::failed(std::vector<Failure> all) {
  std::map<std::string, std::vector<Failure>> now;
  for (const auto& failure : all) now[failure.key].push_back(failure);
  for (const auto& [key, list] : now) {
    const auto before = world_.failed.find(key);
    const bool known = before != world_.failed.end();
    if (known && before->second == list) continue;
    for (const auto& failure : list) {
      const bool said = known && std::find(before->second.begin(), before->second.end(), failure) !=
                                     before->second.end();
      if (!said) log_failure(failure);
    }
    touch(key);
  }
  for (const auto& [key, list] : world_.failed) {
    if (now.contains(key)) continue;
    ops::log(ops::Level::kInfo, "everything is served again", {{"service", key}});
    touch(key);
  }
  world_.failed = std::move(now);
}

// A status tells of the last backend only: of each that falls or rises, the metrics do.
void Reconciler::health(const std::set<std::string>& keys) {
  for (const auto& key : keys) {
    const auto now = fleet_->health(key);
    const bool was_hopeless = world_.health.contains(key) && world_.health.at(key).hopeless();
    if (now) {
      world_.health[key] = *now;
    } else {
      world_.health.erase(key);
    }
    if (was_hopeless != (now && now->hopeless())) touch(key);
  }
}

void Reconciler::features(std::set<std::string> common) {
  world_.features = std::move(common);
  touch_all();
}

void Reconciler::unheard(bool any) {
  allocator_.hold_back(any);
  touch_all();
}

void Reconciler::some_lost(bool any) {
  allocator_.keep_resting(any);
  schedule();
}

void Reconciler::lost(bool lost) {
  ops::log(
      lost ? ops::Level::kError : ops::Level::kInfo,
      lost ? "no data plane answers: deletions no longer wait for one" : "a data plane is back");
  lost_ = lost;
  touch_all();
}

bool Reconciler::may_plan() const {
  return leading_ && (contacted_ || lost_) && !keys_of_source_.empty();
}

// What belongs to a source that is configured and has not synced yet stays as it is.
bool Reconciler::source_ready(const std::string& key) const {
  const std::string prefix = key.substr(0, key.find('/') + 1);
  if (options_.await_pools && !cluster_pools_ && prefix == "kubernetes/") return false;
  return keys_of_source_.contains(prefix) || !options_.sources.contains(prefix);
}

bool Reconciler::guests_synced(const std::string& key) const {
  const auto& guests = joins_.guests_of(key);
  return std::all_of(guests.begin(), guests.end(),
                     [this](const std::string& guest) { return source_ready(guest); });
}

// Without a guest whose source has not synced yet, a group keeps what is published: so what every
// data plane holds must be known by then.
bool Reconciler::may_plan(const std::string& key) const {
  return source_ready(key) && (guests_synced(key) || !allocator_.holding_back());
}

bool Reconciler::ready() const {
  return std::all_of(options_.sources.begin(), options_.sources.end(),
                     [this](const auto& prefix) { return planned_sources_.contains(prefix); });
}

// Whoever begins to lead plans everything: what is remembered before that would only grow.
void Reconciler::touch(const std::string& key) {
  if (!leading_) return;
  dirty_.insert(key);
  schedule();
}

void Reconciler::touch_with_hosts(const std::string& key) {
  touch(key);
  for (const auto& host : joins_.hosts_of(key)) touch(host);
}

void Reconciler::touch_all() {
  if (!leading_) return;
  for (const auto& [key, service] : world_.services) dirty_.insert(key);
  for (const auto& [key, service] : world_.published) dirty_.insert(key);
  schedule();
}

void Reconciler::schedule() {
  if (scheduled_ || stopped_ || !may_plan()) return;
  scheduled_ = true;
  asio::post(io_, [this] {
    scheduled_ = false;
    if (!stopped_ && may_plan()) drain();  // a leadership may have ended meanwhile
  });
}

// The first plan of a source is whole: claims come before wishes.
void Reconciler::plan_new_sources() {
  bool news = false;
  for (const auto& [prefix, keys] : keys_of_source_) {
    if (source_ready(prefix)) news = planned_sources_.insert(prefix).second || news;
  }
  if (!news) return;
  std::erase_if(dirty_, [this](const std::string& key) { return may_plan(key); });
  auto plans =
      plan::plan_all(world_, allocator_, [this](const std::string& key) { return may_plan(key); });
  for (auto& [key, planned] : plans) carry_out(key, std::move(planned));
}

// Until nobody's outcome changes another's: published in between, two could serve one address.
void Reconciler::drain() {
  want_secrets();
  plan_new_sources();
  std::set<std::string> waiting;
  for (size_t round = 0; round <= world_.services.size(); ++round) {
    dirty_.merge(allocator_.take_changed());
    if (dirty_.empty()) break;
    for (const auto& key : std::exchange(dirty_, {})) {
      if (!may_plan(key)) {
        waiting.insert(key);
        continue;
      }
      carry_out(key, plan::plan_service(world_, allocator_, key));
    }
  }
  dirty_.merge(allocator_.take_changed());
  const bool more = !dirty_.empty();
  dirty_.merge(waiting);
  if (more) schedule();
}

void Reconciler::carry_out(const std::string& key, plan::ServicePlan planned) {
  ++plans_;
  fleet_->set(key, std::move(planned.desired));
  log_news(key, planned.problems);
  problems_.erase(key);
  if (!planned.problems.empty()) problems_[key] = planned.problems;
  const auto found = world_.services.find(key);
  if (found == world_.services.end()) return writes_.forget(key);
  if (!found->second.kube) return;
  const bool echo = planned.patch && !writes_.patch(key, *planned.patch);
  if (!echo) writes_.say(key, *found->second.kube, planned.events);
}

// Where there is no Service on which to write it, the log is where a person looks.
void Reconciler::log_news(const std::string& key, const std::vector<plan::Problem>& problems) {
  const auto found = world_.services.find(key);
  if (found != world_.services.end() && found->second.kube) return;
  const auto known = problems_.find(key);
  for (const auto& problem : problems) {
    const bool said =
        known != problems_.end() &&
        std::find(known->second.begin(), known->second.end(), problem) != known->second.end();
    if (said) continue;
    ops::log(ops::Level::kWarning, problem.message, {{"service", key}, {"reason", problem.reason}});
  }
}

// Ends quarantines and conflicts; the plan itself knows no time.
void Reconciler::age() {
  for (const auto& address :
       overdue(resting_, allocator_.quarantined(),
               [this](const IpAddress& each) { return quarantine_of(each); })) {
    allocator_.end_quarantine(address);
    schedule();
  }
  for (const auto& address : overdue(conflicting_, allocator_.conflicts(),
                                     [this](const IpAddress&) { return options_.conflict; })) {
    allocator_.end_conflict(address);
    schedule();
  }
  for (const auto& name : overdue(awaited_since_, world_.awaited_certificates,
                                  [this](const auto&) { return options_.secret_wait; })) {
    stop_waiting(name);
  }
  age_timer_.expires_after(std::chrono::seconds(1));
  age_timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error && !stopped_) age();
  });
}

std::vector<plan::Problem> Reconciler::problems_of(const std::string& key) const {
  const auto found = problems_.find(key);
  return found == problems_.end() ? std::vector<plan::Problem>{} : found->second;
}

std::map<std::string, uint64_t> Reconciler::problems() const {
  std::map<std::string, uint64_t> out;
  for (const auto& [key, problems] : problems_) {
    for (const auto& problem : problems) ++out[problem.reason];
  }
  return out;
}

}  // namespace lb::controller
