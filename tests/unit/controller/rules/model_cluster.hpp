// A cluster, its users, one data plane and one controller after the other, without time or sockets:
// everything that happens is one of a few steps, in an order that the test draws.
//
// The controller's cache lags behind the API server as far as the order of steps lets it; its
// writes are under way until a step delivers them, and outlive it. The data plane takes whole
// states and refuses lower epochs. World, allocator, plan and patch are the real ones.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "controller/core/plan.hpp"
#include "tests/support/fake_cluster.hpp"

namespace lb::plan {

inline constexpr char kServicesPath[] = "/api/v1/services";

// What the data plane holds, and whose it is.
struct ModelDataplane {
  uint64_t epoch = 0;
  std::map<std::string, ServicePtr> held;
};

class ModelController {
 public:
  ModelController(test::FakeCluster& cluster, ModelDataplane& dataplane, AddressRange pool,
                  uint64_t epoch)
      : cluster_(cluster), dataplane_(dataplane), allocator_({pool}), epoch_(epoch) {}

  // A list of the cluster as it is in `seen`, which may be older than what there is by now.
  void start(const test::FakeCluster& seen) {
    cursor_ = seen.version();
    for (const auto& object : seen.list(kServicesPath)) take(object);
    for (const auto& [key, service] : dataplane_.held) publish(key, service);
    dirty_.clear();
    for (auto& [key, planned] : plan_all(world_, allocator_)) carry_out(key, std::move(planned));
  }

  // The watch brings one more event, if there is one; a list, where history is forgotten.
  void hear_one() {
    const auto news = cluster_.since(kServicesPath, cursor_);
    if (!news) return relist();
    if (news->empty()) return;
    const auto& event = news->front();
    cursor_ = event.version;
    const std::string key = key_of(event.object);
    if (event.type == "DELETED") {
      world_.services.erase(key);
    } else {
      take(event.object);
    }
    dirty_.insert(key);
  }
  // Until nobody's outcome changes another's, as the reconciler does.
  void plan() {
    for (int round = 0; round < 20; ++round) {
      dirty_.merge(allocator_.take_changed());
      if (dirty_.empty()) return;
      for (const auto& key : std::exchange(dirty_, {})) {
        carry_out(key, plan_service(world_, allocator_, key));
      }
    }
  }
  // The whole state at once, as a PUT or PATCH is applied; fenced by the epoch.
  void publish_all() {
    if (dataplane_.epoch > epoch_) return;
    dataplane_.epoch = epoch_;
    if (wanted_ == dataplane_.held) return;
    dataplane_.held = wanted_;
    acknowledgements_.push_back(wanted_);
  }
  void acknowledge_one() {
    if (acknowledgements_.empty()) return;
    const auto held = std::move(acknowledgements_.front());
    acknowledgements_.pop_front();
    std::set<std::string> keys;
    for (const auto& [key, service] : held) keys.insert(key);
    for (const auto& [key, service] : world_.published) keys.insert(key);
    for (const auto& key : keys) {
      const auto found = held.find(key);
      publish(key, found == held.end() ? nullptr : found->second);
    }
  }
  // One write that is under way reaches the server; `answered` false: nobody hears of it.
  std::optional<std::pair<ServicePatch, int>> deliver_one(bool answered = true) {
    if (writes_.empty()) return std::nullopt;
    const ServicePatch patch = std::move(writes_.front());
    writes_.pop_front();
    const auto body = test::Json::parse(encode_service_patch(patch, "2026-02-02T00:00:00Z"));
    const auto answer = cluster_.patch(kServicesPath, patch.ns, patch.name, body);
    const std::string key = kubernetes_key(patch.ns, patch.name);
    conflicts += answer.status == 409;
    // Whoever is refused plans again once the cache has moved on.
    if (answered && answer.status != 200) written_.erase(key), dirty_.insert(key);
    if (!answered) written_.erase(key), dirty_.insert(key);
    return std::pair(patch, answer.status);
  }
  bool busy() const {
    return !dirty_.empty() || !writes_.empty() || !acknowledgements_.empty() ||
           wanted_ != dataplane_.held || behind();
  }
  bool behind() const {
    const auto news = cluster_.since(kServicesPath, cursor_);
    return !news || !news->empty();
  }
  // Writes that have left and not arrived, when the controller dies.
  std::deque<ServicePatch> take_writes() { return std::exchange(writes_, {}); }
  void inherit(std::deque<ServicePatch> writes) { writes_ = std::move(writes); }
  size_t wishes() const { return patches_; }
  const World& world() const { return world_; }

  size_t conflicts = 0;

 private:
  static std::string key_of(const test::Json& object) {
    return kubernetes_key(object["metadata"].value("namespace", ""), object["metadata"]["name"]);
  }
  void take(const test::Json& object) {
    const auto service = decode_service(object.dump());
    if (service) world_.services[key_of(object)] = from_kubernetes(*service, {});
  }
  void relist() {
    std::set<std::string> there;
    cursor_ = cluster_.version();
    for (const auto& object : cluster_.list(kServicesPath)) {
      take(object);
      there.insert(key_of(object));
    }
    for (const auto& [key, service] : world_.services) dirty_.insert(key);
    std::erase_if(world_.services, [&](const auto& each) { return !there.contains(each.first); });
  }
  void publish(const std::string& key, const ServicePtr& service) {
    if (service) {
      world_.published[key] = {service, true, true, false};
    } else {
      world_.published.erase(key);
    }
    dirty_.insert(key);
  }
  void carry_out(const std::string& key, ServicePlan planned) {
    if (!planned.desired) {
      wanted_.erase(key);
    } else if (const auto held = wanted_.find(key);
               held == wanted_.end() || *held->second != *planned.desired) {
      wanted_[key] = std::make_shared<const Service>(std::move(*planned.desired));
    }
    if (!planned.patch) return;
    auto& before = written_[key];
    if (before == *planned.patch) return;
    before = *planned.patch;
    ++patches_;
    // A newer write of the same Service takes the place of one that still waits.
    for (auto& each : writes_) {
      if (each.ns == before.ns && each.name == before.name) return void(each = before);
    }
    writes_.push_back(before);
  }

  test::FakeCluster& cluster_;
  ModelDataplane& dataplane_;
  World world_;
  Allocator allocator_;
  const uint64_t epoch_;
  uint64_t cursor_ = 0;
  std::set<std::string> dirty_;
  std::map<std::string, ServicePtr> wanted_;
  std::deque<std::map<std::string, ServicePtr>> acknowledgements_;
  std::deque<ServicePatch> writes_;
  std::map<std::string, ServicePatch> written_;
  size_t patches_ = 0;
};

}  // namespace lb::plan
