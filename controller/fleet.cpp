#include "controller/fleet.hpp"

#include <algorithm>
#include <iterator>

#include "common/ops/log.hpp"

namespace lb::controller {

using plan::HeldBy;
using plan::Reach;

Fleet::Fleet(asio::io_context& io, Publisher::Options options, FleetObserver& observer)
    : io_(io), options_(options), observer_(observer), empty_timer_(io) {}

Fleet::~Fleet() { stop(); }

void Fleet::list(std::vector<Publisher::Target> members) {
  listed_ = std::move(members);
  if (!started_) return;
  std::map<std::string, net::SocketAddress> there;
  for (const auto& target : listed_) there.emplace(target.name, target.address.address);
  std::vector<std::string> gone;
  for (const auto& [name, member] : members_) {
    const auto found = there.find(name);
    if (found == there.end() || found->second != member->address()) gone.push_back(name);
  }
  for (const auto& name : gone) drop(name);
  for (const auto& target : listed_) {
    if (!members_.contains(target.name)) add(target);
  }
  tell_features();
  tell_failed();
  tell_unheard();
  tell_some_lost();
  tell_refused_certificates();
  watch_emptiness();
}

void Fleet::start(std::optional<uint64_t> epoch) {
  started_ = true;
  epoch_ = epoch;
  list(std::move(listed_));
}

void Fleet::stop() {
  started_ = false;
  empty_timer_.cancel();
  while (!members_.empty()) {
    end(std::move(members_.begin()->second));
    members_.erase(members_.begin());
  }
  wanted_.clear();
  book_.want_nothing();
  heard_.clear();
  features_.clear();
  failed_.clear();
  refused_certificates_.clear();
  contacted_ = empty_for_long_ = lost_ = unheard_ = some_lost_ = false;
}

// Its last callbacks come first, and may come when we are gone.
void Fleet::end(std::unique_ptr<Publisher> member) {
  member->stop();
  asio::post(io_, [ended = std::move(member)] {});
}

void Fleet::raise(uint64_t epoch) {
  const bool higher = !epoch_ || epoch > *epoch_;
  if (higher) epoch_ = epoch;
  for (const auto& [name, member] : members_) {
    if (higher || member->superseded()) member->restart(*epoch_);
  }
}

void Fleet::add(const Publisher::Target& target) {
  auto& member = members_[target.name];
  member = std::make_unique<Publisher>(io_, options_, target, wanted_, book_, *this);
  ops::log(ops::Level::kInfo, "publishing to a data plane",
           {{"dataplane", target.name}, {"address", to_string(target.address.address)}});
  member->start(epoch_);
}

// Whoever is not listed any more serves nothing that we would have to wait for.
void Fleet::drop(const std::string& name) {
  const auto found = members_.find(name);
  const auto keys = keys_of(*found->second);
  ops::log(ops::Level::kInfo, "a data plane is no longer there", {{"dataplane", name}});
  end(std::move(found->second));
  members_.erase(found);
  const auto judged = health_of(name);
  heard_.erase(name);
  observer_.published(keys);
  observer_.health(judged);
}

void Fleet::set(const std::string& key, std::optional<Service> service) {
  const auto found = wanted_.find(key);
  if (!service) {
    if (found == wanted_.end()) return;
    book_.want(found->second.get(), nullptr);
    wanted_.erase(found);
    return touch(key);
  }
  if (found != wanted_.end() && *found->second == *service) return;
  book_.want(found == wanted_.end() ? nullptr : found->second.get(), &*service);
  wanted_.insert_or_assign(key, std::make_shared<const Service>(std::move(*service)));
  touch(key);
}

void Fleet::keep(const Service& service) {
  if (wanted_.contains(service.key)) return;
  book_.want(nullptr, &service);
  wanted_[service.key] = std::make_shared<const Service>(service);
  touch(service.key);
}

void Fleet::give_certificates(const std::string& prefix, plan::Certificates all) {
  book_.give(prefix, std::move(all));
  for (const auto& [name, member] : members_) member->certificates_changed();
}

void Fleet::touch(const std::string& key) {
  for (const auto& [name, member] : members_) member->touch(key);
}

plan::ServicePtr Fleet::wanted(const std::string& key) const {
  const auto found = wanted_.find(key);
  return found == wanted_.end() ? nullptr : found->second;
}

std::optional<plan::Publication> Fleet::publication(const std::string& key) const {
  std::vector<HeldBy> planes;
  for (const auto& [name, member] : members_) {
    planes.push_back({member->reach(), member->held(key)});
  }
  return plan::publication_of(planes);
}

bool Fleet::superseded() const {
  return std::any_of(members_.begin(), members_.end(),
                     [](const auto& each) { return each.second->superseded(); });
}

size_t Fleet::answering() const {
  return static_cast<size_t>(std::count_if(members_.begin(), members_.end(), [](const auto& each) {
    return each.second->reach() == Reach::kAnswers;
  }));
}

std::set<std::string> Fleet::keys_of(const Publisher& member) {
  std::set<std::string> out;
  for (const auto& [key, service] : member.held()) out.insert(key);
  return out;
}

void Fleet::held(Publisher& by, const DesiredState& state) {
  contacted_ = true;
  observer_.held(state);
  observer_.published(keys_of(by));
  tell_unheard();
}

void Fleet::acknowledged(Publisher& by, const std::set<std::string>& keys,
                         const std::vector<Failure>& failed) {
  heard_[by.name()].failed = failed;
  observer_.published(keys);
  tell_failed();
}

void Fleet::status(Publisher& by, const DataplaneStatus& status) {
  Heard& heard = heard_[by.name()];
  heard.features = status.features;
  heard.failed = status.failed;
  const auto changed = take_health(heard, status);
  tell_features();
  tell_failed();
  if (!changed.empty()) observer_.health(changed);
}

// Another life of the data plane tells everything anew; what it does not name is gone.
std::set<std::string> Fleet::take_health(Heard& heard, const DataplaneStatus& status) {
  std::set<std::string> changed;
  if (std::exchange(heard.instance, status.instance) != status.instance) {
    for (const auto& [key, view] : std::exchange(heard.health, {})) changed.insert(key);
  }
  for (const auto& key : status.removed) {
    if (heard.health.erase(key) > 0) changed.insert(key);
  }
  for (const auto& [key, view] : status.health) {
    auto& held = heard.health[key];
    if (held == view) continue;
    held = view;
    changed.insert(key);
  }
  return changed;
}

std::set<std::string> Fleet::health_of(const std::string& name) const {
  std::set<std::string> out;
  const auto found = heard_.find(name);
  if (found == heard_.end()) return out;
  for (const auto& [key, view] : found->second.health) out.insert(key);
  return out;
}

std::optional<plan::HealthView> Fleet::health(const std::string& key) const {
  std::optional<plan::HealthView> out;
  for (const auto& [name, heard] : heard_) {
    const auto found = heard.health.find(key);
    if (found == heard.health.end()) continue;
    const auto by = members_.find(name);
    if (by == members_.end() || by->second->reach() == Reach::kLost) continue;
    const auto& view = found->second;
    const bool worse =
        !out || uint64_t{view.usable} * out->ready < uint64_t{out->usable} * view.ready;
    if (!worse) continue;
    out = view;
    if (heard_.size() > 1 && !view.reason.empty()) out->reason = name + ": " + view.reason;
  }
  return out;
}

void Fleet::reached(Publisher& by) {
  if (by.reach() == Reach::kLost) {
    ops::log(ops::Level::kWarning, "a data plane is lost: nothing waits for it until it answers",
             {{"dataplane", by.name()}, {"reason", "DataPlaneLost"}});
  }
  observer_.published(keys_of(by));
  observer_.health(health_of(by.name()));
  tell_unheard();
  tell_some_lost();
  judge_loss();
}

void Fleet::superseded(Publisher&, uint64_t held_epoch) {
  if (on_superseded) on_superseded(held_epoch);
}

void Fleet::certificates(Publisher&) { tell_refused_certificates(); }

void Fleet::tell_refused_certificates() {
  plan::CertificateTroubles all;
  for (const auto& [name, member] : members_) {
    for (const auto& [certificate, why] : member->refused_certificates()) {
      const auto [told, first] = all.emplace(certificate, why);
      if (first && members_.size() > 1) told->second.message = name + ": " + why.message;
    }
  }
  if (std::exchange(refused_certificates_, all) == all) return;
  observer_.certificates_refused(std::move(all));
}

// One that has not been heard yet says nothing about what it can.
void Fleet::tell_features() {
  std::optional<std::set<std::string>> common;
  for (const auto& [name, heard] : heard_) {
    const auto& its = heard.features;
    if (its.empty()) continue;
    if (!common) {
      common = its;
      continue;
    }
    std::erase_if(*common, [&](const std::string& each) { return !its.contains(each); });
  }
  if (!common || *common == features_) return;
  features_ = *common;
  observer_.features(features_);
}

void Fleet::tell_failed() {
  std::vector<Failure> all;
  for (const auto& [name, heard] : heard_) {
    for (Failure failure : heard.failed) {
      if (heard_.size() > 1) failure.message = name + ": " + failure.message;
      all.push_back(std::move(failure));
    }
  }
  if (all == failed_) return;
  failed_ = all;
  observer_.failed(std::move(all));
}

void Fleet::tell_unheard() {
  const bool unheard = std::any_of(members_.begin(), members_.end(), [](const auto& each) {
    return !each.second->contacted() && each.second->reach() != Reach::kLost;
  });
  if (std::exchange(unheard_, unheard) != unheard) observer_.unheard(unheard);
}

void Fleet::tell_some_lost() {
  const bool any = std::any_of(members_.begin(), members_.end(), [](const auto& each) {
    return each.second->reach() == Reach::kLost;
  });
  if (std::exchange(some_lost_, any) != any) observer_.some_lost(any);
}

void Fleet::judge_loss() {
  const bool all_lost = std::all_of(members_.begin(), members_.end(), [](const auto& each) {
    return each.second->reach() == Reach::kLost;
  });
  // Once lost, only an answer changes that.
  const bool lost = (lost_ && answering() == 0) || (members_.empty() ? empty_for_long_ : all_lost);
  if (std::exchange(lost_, lost) != lost) observer_.lost(lost);
}

void Fleet::watch_emptiness() {
  empty_timer_.cancel();
  empty_for_long_ = false;
  judge_loss();
  if (!members_.empty()) return;
  empty_timer_.expires_after(options_.lost_after);
  empty_timer_.async_wait([this](const boost::system::error_code& error) {
    if (error || !started_) return;
    empty_for_long_ = members_.empty();
    judge_loss();
  });
}

}  // namespace lb::controller
