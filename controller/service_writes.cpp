#include "controller/service_writes.hpp"

#include <algorithm>
#include <memory>
#include <random>
#include <sstream>
#include <utility>

#include "common/ops/log.hpp"
#include "common/ops/utc_time.hpp"
#include "controller/kube/api_requests.hpp"

namespace lb::controller {
namespace {

// Names of Events must not repeat over restarts.
std::string random_prefix() {
  std::random_device random;
  std::ostringstream out;
  out << std::hex << random();
  return out.str();
}

}  // namespace

ServiceWrites::ServiceWrites(asio::io_context& io, kube::ApiWriter* writer,
                             std::chrono::milliseconds retry, Again again)
    : io_(io),
      writer_(writer),
      retry_(retry),
      again_(std::move(again)),
      event_prefix_(random_prefix()) {}

void ServiceWrites::clear() {
  if (writer_ != nullptr) writer_->clear();
  written_.clear();
  refusals_.clear();
  said_.clear();
}

void ServiceWrites::forget(const std::string& key) {
  written_.erase(key);
  refusals_.erase(key);
  said_.erase(key);
}

bool ServiceWrites::patch(const std::string& key, const plan::ServicePatch& patch) {
  const auto before = written_.find(key);
  if (before != written_.end() && before->second.base == patch.resource_version &&
      (before->second.done || before->second.patch == patch)) {
    return false;
  }
  if (writer_ == nullptr) return true;
  ++counters_.patches;
  written_[key] = {patch.resource_version, patch};
  writer_->push({key, kube::patch_service(patch, ops::utc_seconds()),
                 [this, key, base = patch.resource_version](const net::HttpResponse& response) {
                   const std::string now = kube::version_in(response);
                   // The same again: nothing has changed, and nothing will be heard of it.
                   const std::string passed = now.empty() || now == base ? "" : base;
                   asio::post(io_, [=, this] { answered(key, response, passed); });
                 }});
  return true;
}

void ServiceWrites::answered(const std::string& key, const net::HttpResponse& response,
                             const std::string& passed) {
  if (stopped_) return;
  if (response.status != 200) return refused(key, response);
  refusals_.erase(key);
  const auto written = written_.find(key);
  if (written != written_.end() && written->second.base == passed) written->second.done = true;
}

void ServiceWrites::refused(const std::string& key, const net::HttpResponse& response) {
  written_.erase(key);
  if (response.status == 404) {
    refusals_.erase(key);
    return;  // gone: the watch says so too
  }
  if (response.status == 409) {
    // The Service has changed: the watch brings the new one, and with it a new plan.
    ++counters_.patch_conflicts;
  } else {
    ++counters_.patch_failures;
    ops::log(ops::Level::kError, "a Service's status could not be written: " + response.body,
             {{"service", key}, {"status", static_cast<uint64_t>(response.status)}});
  }
  auto timer = std::make_shared<asio::steady_timer>(io_, retry_delay(key, response.status));
  timer->async_wait([this, key, timer](const boost::system::error_code& error) {
    if (!error && !stopped_) again_(key);
  });
}

// A conflict is over once the watch has caught up; what was refused is wrong for longer.
std::chrono::milliseconds ServiceWrites::retry_delay(const std::string& key, int status) {
  if (status == 409) return retry_;
  constexpr unsigned kDoublings = 6;
  return retry_ * (1u << std::min(refusals_[key]++, kDoublings));
}

bool ServiceWrites::is_news(const std::string& key, const plan::PlannedEvent& event) {
  auto& said = said_[key];
  if (event.reason == "EnsuringLoadBalancer") said.clear();
  const auto [known, added] = said.try_emplace(event.reason, event.message);
  return added || std::exchange(known->second, event.message) != event.message;
}

void ServiceWrites::say(const std::string& key, const plan::KubeMeta& service,
                        const std::vector<plan::PlannedEvent>& events) {
  if (writer_ == nullptr) return;
  for (const auto& event : events) {
    if (!is_news(key, event)) continue;
    ++counters_.events;
    ops::log(event.warning ? ops::Level::kWarning : ops::Level::kInfo, event.message,
             {{"service", key}, {"reason", event.reason}});
    const std::string id = event_prefix_ + "." + std::to_string(++event_number_);
    writer_->push({{},
                   kube::create_event({service.ns, service.name, service.uid}, event,
                                      ops::utc_seconds(), id)});
    if (event.reason == "DeletedLoadBalancer") said_.erase(key);
  }
}

}  // namespace lb::controller
