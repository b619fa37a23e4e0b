#include "dataplane/tls/certificate_book.hpp"

#include <utility>

namespace lb::tls {

Result<ServerCertificate::Pointer> CertificateBook::put(const std::string& name,
                                                        const net::SignedKey& text, int64_t now_s) {
  if (const Status good = check_certificate_name(name); !good) return good.error();
  auto read = ServerCertificate::read(text, now_s);
  if (!read) return read.error();
  changed_.insert(name);
  certificates_[name] = *read;
  return *read;
}

void CertificateBook::remove(const std::string& name) {
  if (certificates_.erase(name) > 0) changed_.insert(name);
}

std::vector<NamedCertificate> CertificateBook::known(const TlsPolicy& policy) const {
  std::vector<NamedCertificate> out;
  for (const auto& name : certificates_of(policy)) {
    const auto found = certificates_.find(name);
    if (found != certificates_.end()) out.push_back({name, found->second});
  }
  return out;
}

Result<std::shared_ptr<const ServerTls>> CertificateBook::terms(const std::string& scope,
                                                                const TlsPolicy& policy) {
  auto of = known(policy);
  const auto before = made_.find(scope);
  if (before != made_.end() && before->second.policy == policy && before->second.of == of) {
    if (auto same = before->second.terms.lock()) return same;
  }
  auto made = ServerTls::make(policy, of, tickets_, scope);
  if (!made) return made.error();
  forget_unused();
  made_[scope] = {policy, std::move(of), *made};
  return *made;
}

void CertificateBook::forget_unused() {
  if (made_.size() < 2 * swept_ + 16) return;
  std::erase_if(made_, [](const auto& each) { return each.second.terms.expired(); });
  swept_ = made_.size();
}

}  // namespace lb::tls
