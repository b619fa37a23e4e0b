// What certificates, and what is wrong with them, change in the world of the reconciler.
#include <algorithm>

#include "controller/reconciler.hpp"

namespace lb::controller {
namespace {

constexpr char kCluster[] = "kubernetes/";

std::set<std::string> secrets_in(const std::vector<ServicePort>& ports) {
  std::set<std::string> out;
  for (auto& name : plan::certificates_of(ports)) {
    if (name.starts_with(kCluster)) out.insert(std::move(name));
  }
  return out;
}

}  // namespace

void Reconciler::certificates(const std::string& prefix, CertificateNews news) {
  if (prefix == kCluster) hear_secrets(news);
  fleet_->give_certificates(prefix, std::move(news.all));
  certificate_troubles_[prefix] = std::move(news.troubles);
  judge_certificates();
}

// Those of its certificates that Secrets hold; none where it is not ours, or not to be served.
std::set<std::string> Reconciler::secrets_of(const plan::SourceService& service) const {
  if (!service.kube || !plan::owned(*service.kube, world_.settings)) return {};
  const bool blocked = std::any_of(service.problems.begin(), service.problems.end(),
                                   [](const plan::Problem& problem) { return problem.blocks; });
  return blocked ? std::set<std::string>{} : secrets_in(service.ports);
}

// Most changes are of backends: all services are looked through only for the others.
void Reconciler::note_secrets(const plan::SourceService& before, const plan::SourceService& now) {
  secrets_changed_ = secrets_changed_ || secrets_of(before) != secrets_of(now);
}

// Only while we lead.
void Reconciler::want_secrets() {
  if (!options_.want_secrets || !std::exchange(secrets_changed_, false)) return;
  std::set<std::string> names;
  for (const auto& [key, service] : world_.services) {
    if (leading_) names.merge(secrets_of(service));
  }
  std::erase_if(unread_secrets_, [&](const auto& name) { return !names.contains(name); });
  world_.awaited_certificates.clear();
  for (const auto& name : names) {
    const bool known = heard_secrets_.contains(name) || unread_secrets_.contains(name);
    if (!known) world_.awaited_certificates.insert(name);
  }
  // A data plane that begins anew needs what is published still.
  for (const auto& [key, published] : world_.published) {
    names.merge(secrets_in(published.service->ports));
  }
  if (wanted_secrets_ == names) return;
  wanted_secrets_ = names;
  options_.want_secrets(names);
}

// An API server that does not answer for Secrets must not hold back what else has changed.
void Reconciler::stop_waiting(const std::string& name) {
  world_.awaited_certificates.erase(name);
  unread_secrets_.insert(name);
  for (const auto& [key, service] : world_.services) {
    if (secrets_of(service).contains(name)) touch(key);
  }
}

// Whoever waits for one that is heard of now is planned again.
void Reconciler::hear_secrets(const CertificateNews& news) {
  heard_secrets_.clear();
  for (const auto& [name, certificate] : news.all) heard_secrets_.insert(name);
  for (const auto& [name, why] : news.troubles) heard_secrets_.insert(name);
  const size_t heard = std::erase_if(world_.awaited_certificates, [this](const auto& name) {
    return heard_secrets_.contains(name);
  });
  if (heard == 0) return;
  for (const auto& [key, service] : world_.services) {
    if (!secrets_of(service).empty()) touch(key);
  }
}

void Reconciler::certificates_refused(plan::CertificateTroubles all) {
  refused_certificates_ = std::move(all);
  judge_certificates();
}

// Whoever names a certificate of which something else is said now is planned again.
void Reconciler::judge_certificates() {
  auto now = refused_certificates_;
  for (const auto& [prefix, troubles] : certificate_troubles_) {
    for (const auto& [name, why] : troubles) now.insert_or_assign(name, why);
  }
  if (std::exchange(world_.certificate_troubles, now) == now) return;
  for (const auto& [key, service] : world_.services) {
    if (!plan::certificates_of(service.ports).empty()) touch(key);
  }
}

}  // namespace lb::controller
