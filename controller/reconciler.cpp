#include "controller/reconciler.hpp"

#include <ctime>
#include <random>
#include <sstream>

#include "common/ops/log.hpp"
#include "controller/kube/api_requests.hpp"

namespace lb::controller {
namespace {

using Clock = asio::steady_timer::clock_type;

std::string now_rfc3339() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

// Names of Events must not repeat over restarts.
std::string random_prefix() {
  std::random_device random;
  std::ostringstream out;
  out << std::hex << random();
  return out.str();
}

// What of the set is new begins to count now; what has left it is forgotten.
template <class Set>
std::vector<IpAddress> overdue(std::map<IpAddress, Clock::time_point>& since, const Set& present,
                               std::chrono::seconds limit) {
  std::erase_if(since, [&](const auto& each) { return !present.contains(each.first); });
  const auto now = Clock::now();
  std::vector<IpAddress> out;
  for (const auto& address : present) {
    const auto [found, added] = since.try_emplace(address, now);
    if (!added && now - found->second >= limit) out.push_back(address);
  }
  return out;
}

}  // namespace

Reconciler::Reconciler(asio::io_context& io, Options options, kube::ApiWriter* writer)
    : io_(io),
      options_(std::move(options)),
      writer_(writer),
      allocator_(options_.pools),
      age_timer_(io),
      event_prefix_(random_prefix()) {
  world_.settings = options_.settings;
}

void Reconciler::start() { age(); }

void Reconciler::stop() {
  stopped_ = true;
  age_timer_.cancel();
}

void Reconciler::upsert(plan::SourceService service) {
  const std::string key = service.key;
  auto& held = world_.services[key];
  if (held == service) return;
  held = std::move(service);
  touch(key);
}

void Reconciler::remove(const std::string& key) {
  if (world_.services.erase(key) > 0) touch(key);
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
  const bool news = stale_.insert(source).second;
  ops::log(news ? ops::Level::kWarning : ops::Level::kDebug,
           "source is stale, its last services are kept: " + trouble->message,
           {{"source", source}, {"reason", trouble->code}, {"pointer", trouble->pointer}});
}

void Reconciler::held(const DesiredState& state) {
  world_.acknowledged.clear();
  for (const auto& service : state.services) world_.acknowledged[service.key] = service;
  contacted_ = true;
  touch_all();
}

void Reconciler::acknowledged(const DesiredState& state, const std::vector<Failure>& failed) {
  std::map<std::string, Service> now;
  for (const auto& service : state.services) now[service.key] = service;
  for (const auto& [key, service] : now) {
    const auto before = world_.acknowledged.find(key);
    if (before == world_.acknowledged.end() || before->second != service) touch(key);
  }
  for (const auto& [key, service] : world_.acknowledged) {
    if (!now.contains(key)) touch(key);
  }
  world_.acknowledged = std::move(now);
  set_failures(failed);
}

void Reconciler::set_failures(const std::vector<Failure>& failed) {
  std::map<std::string, std::vector<Failure>> now;
  for (const auto& failure : failed) now[failure.key].push_back(failure);
  for (const auto& [key, list] : now) {
    const auto before = world_.failed.find(key);
    if (before == world_.failed.end() || before->second != list) touch(key);
  }
  for (const auto& [key, list] : world_.failed) {
    if (!now.contains(key)) touch(key);
  }
  world_.failed = std::move(now);
}

void Reconciler::status(const DataplaneStatus& status) {
  if (world_.features != status.features) {
    world_.features = status.features;
    touch_all();
  }
  set_failures(status.failed);
}

void Reconciler::lost(bool lost) {
  ops::log(
      lost ? ops::Level::kError : ops::Level::kInfo,
      lost ? "no data plane answers: deletions no longer wait for it" : "the data plane is back");
  world_.dataplane_lost = lost;
  touch_all();
}

bool Reconciler::may_plan() const {
  if (!contacted_ && !world_.dataplane_lost) return false;
  for (const auto& source : options_.sources) {
    if (!keys_of_source_.contains(source)) return false;
  }
  return true;
}

void Reconciler::touch(const std::string& key) {
  dirty_.insert(key);
  schedule();
}

void Reconciler::touch_all() {
  for (const auto& [key, service] : world_.services) dirty_.insert(key);
  for (const auto& [key, service] : world_.acknowledged) dirty_.insert(key);
  schedule();
}

void Reconciler::schedule() {
  if (scheduled_ || stopped_ || !may_plan()) return;
  scheduled_ = true;
  asio::post(io_, [this] {
    scheduled_ = false;
    if (!stopped_) drain();
  });
}

void Reconciler::drain() {
  if (!planned_once_) {
    planned_once_ = true;
    dirty_.clear();
    for (auto& [key, planned] : plan::plan_all(world_, allocator_)) {
      carry_out(key, std::move(planned));
    }
  }
  dirty_.merge(allocator_.take_changed());
  for (const auto& key : std::exchange(dirty_, {})) {
    carry_out(key, plan::plan_service(world_, allocator_, key));
  }
  auto changed = allocator_.take_changed();
  dirty_.merge(changed);
  if (!dirty_.empty()) schedule();
}

void Reconciler::carry_out(const std::string& key, plan::ServicePlan planned) {
  ++counters_.plans;
  publisher_->set(key, std::move(planned.desired));
  problems_.erase(key);
  for (const auto& problem : planned.problems) problems_[key].push_back(problem.reason);
  const bool echo = planned.patch && !send_patch(key, *planned.patch);
  if (!echo) send_events(key, planned.events);
}

// False when this very write is under way, or done and not seen yet.
bool Reconciler::send_patch(const std::string& key, const plan::ServicePatch& patch) {
  const auto before = written_.find(key);
  if (before != written_.end() && before->second.base == patch.resource_version &&
      before->second.patch == patch) {
    return false;
  }
  if (writer_ == nullptr) return true;
  ++counters_.patches;
  written_[key] = {patch.resource_version, patch};
  writer_->push({key, kube::patch_service(patch, now_rfc3339()),
                 [this, key](const net::HttpResponse& response) {
                   asio::post(io_, [this, key, response] { patched(key, response); });
                 }});
  return true;
}

void Reconciler::patched(const std::string& key, const net::HttpResponse& response) {
  if (stopped_ || response.status == 200) return;
  written_.erase(key);
  if (response.status == 404) return;  // gone: the watch says so too
  if (response.status == 409) {
    // The Service has changed: the watch brings the new one, and with it a new plan.
    ++counters_.patch_conflicts;
  } else {
    ++counters_.patch_failures;
    ops::log(ops::Level::kError, "a Service's status could not be written: " + response.body,
             {{"service", key}, {"status", static_cast<uint64_t>(response.status)}});
  }
  auto timer = std::make_shared<asio::steady_timer>(io_, options_.patch_retry);
  timer->async_wait([this, key, timer](const boost::system::error_code& error) {
    if (!error && !stopped_) touch(key);
  });
}

void Reconciler::send_events(const std::string& key,
                             const std::vector<plan::PlannedEvent>& events) {
  const auto found = world_.services.find(key);
  if (writer_ == nullptr || found == world_.services.end() || !found->second.kube) return;
  const auto& meta = *found->second.kube;
  for (const auto& event : events) {
    auto& said = said_[key];
    if (event.reason == "EnsuringLoadBalancer") said.clear();
    if (!said.try_emplace(event.reason, event.message).second) {
      if (said[event.reason] == event.message) continue;
      said[event.reason] = event.message;
    }
    ++counters_.events;
    ops::log(event.warning ? ops::Level::kWarning : ops::Level::kInfo, event.message,
             {{"service", key}, {"reason", event.reason}});
    const std::string id = event_prefix_ + "." + std::to_string(++event_number_);
    writer_->push(
        {{}, kube::create_event({meta.ns, meta.name, meta.uid}, event, now_rfc3339(), id)});
    if (event.reason == "DeletedLoadBalancer") said_.erase(key);
  }
}

// Ends quarantines and conflicts; the plan itself knows no time.
void Reconciler::age() {
  for (const auto& address : overdue(resting_, allocator_.quarantined(), options_.quarantine)) {
    allocator_.end_quarantine(address);
  }
  for (const auto& address : overdue(conflicting_, allocator_.conflicts(), options_.conflict)) {
    allocator_.end_conflict(address);
    schedule();
  }
  age_timer_.expires_after(std::chrono::seconds(1));
  age_timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error && !stopped_) age();
  });
}

std::map<std::string, uint64_t> Reconciler::problems() const {
  std::map<std::string, uint64_t> out;
  for (const auto& [key, reasons] : problems_) {
    for (const auto& reason : reasons) ++out[reason];
  }
  return out;
}

}  // namespace lb::controller
