#include <algorithm>
#include <utility>

#include "dataplane/proxy/listener_planner.hpp"

namespace lb::proxy {

std::set<std::string> ListenerPlanner::with_other_certificates(const DesiredState& state) const {
  std::set<std::string> out;
  if (other_certificates_.empty()) return out;
  const auto needs = [&](const ServicePort& port) {
    if (port.tls.mode != TlsMode::kTerminate) return false;
    const auto names = certificates_of(port.tls);
    return std::any_of(names.begin(), names.end(),
                       [&](const auto& name) { return other_certificates_.contains(name); });
  };
  for (const auto& service : state.services) {
    if (std::any_of(service.ports.begin(), service.ports.end(), needs)) out.insert(service.key);
  }
  return out;
}

// It is served with those that are there.
void ListenerPlanner::note_missing(const std::string& key, const ListenerId& id,
                                   const tls::ServerTls* tls) {
  if (tls == nullptr || tls->missing().empty()) return;
  refused_[key].push_back(listener_failure(
      key, id,
      {"CertificateMissing", "there is no certificate '" + tls->missing().front() + "' here yet; " +
                                 std::to_string(tls->missing().size()) +
                                 " missing, served with the others"}));
}

// A ticket is good at all addresses of its port.
Result<ListenerPlanner::Terms> ListenerPlanner::terms(const Service& service,
                                                      const ServicePort& port) {
  if (port.tls.mode != TlsMode::kTerminate) return Terms{};
  if (!certificates_) return Error{"CertificateMissing", "there are no certificates here"};
  std::string scope = service.key + "\n" + std::to_string(port.port);
  for (const auto& name : port.match.names) scope += "\nname " + name;
  for (const auto& range : port.match.sources) scope += "\nsource " + range.to_string();
  Terms out;
  auto ending = certificates_->terms(scope, port.tls);
  if (!ending) return ending.error();
  out.ending = std::move(ending).value();
  if (!port.tls.backend) return out;
  auto backend = certificates_->backend_terms(scope, *port.tls.backend);
  if (!backend) return backend.error();
  out.backend = std::move(backend).value();
  return out;
}

}  // namespace lb::proxy
