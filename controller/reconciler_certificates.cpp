// What certificates, and what is wrong with them, change in the world of the reconciler.
#include <algorithm>

#include "controller/reconciler.hpp"

namespace lb::controller {

void Reconciler::certificates(const std::string& prefix, CertificateNews news) {
  fleet_->give_certificates(prefix, std::move(news.all));
  certificate_troubles_[prefix] = std::move(news.troubles);
  judge_certificates();
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
