#include "dataplane/tls/certificate_book.hpp"

#include <utility>

namespace lb::tls {
namespace {

// Null: what was made for the scope, if anything was, is of other things, or of no use any more.
template <class Made, class Policy>
auto unchanged(const Made& made, const std::string& scope, const Policy& policy,
               const std::vector<NamedCertificate>& of) {
  const auto before = made.find(scope);
  using Terms = decltype(before->second.terms.lock());
  const bool same =
      before != made.end() && before->second.policy == policy && before->second.of == of;
  return same ? before->second.terms.lock() : Terms();
}

}  // namespace

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

// `names` is sorted.
std::vector<NamedCertificate> CertificateBook::known(const std::vector<std::string>& names) const {
  std::vector<NamedCertificate> out;
  for (const auto& name : names) {
    const auto found = certificates_.find(name);
    if (found != certificates_.end()) out.push_back({name, found->second});
  }
  return out;
}

// What concerns backends alone is no reason to make them anew.
Result<std::shared_ptr<const ServerTls>> CertificateBook::terms(const std::string& scope,
                                                                const TlsPolicy& policy) {
  TlsPolicy ending = policy;
  ending.backend.reset();
  auto of = known(certificates_of(ending));
  if (auto same = unchanged(made_, scope, ending, of)) return same;
  auto made = ServerTls::make(ending, of, tickets_, scope);
  if (!made) return made.error();
  forget_unused();
  made_[scope] = {std::move(ending), std::move(of), *made};
  return *made;
}

Result<std::shared_ptr<const ClientTls>> CertificateBook::backend_terms(const std::string& scope,
                                                                        const BackendTls& policy) {
  auto of = known(policy.authorities);
  if (auto same = unchanged(made_for_backends_, scope, policy, of)) return same;
  auto made = ClientTls::make(policy, of);
  if (!made) return made.error();
  forget_unused();
  made_for_backends_[scope] = {policy, std::move(of), *made};
  return *made;
}

void CertificateBook::forget_unused() {
  if (remembered() < 2 * swept_ + 16) return;
  std::erase_if(made_, [](const auto& each) { return each.second.terms.expired(); });
  std::erase_if(made_for_backends_, [](const auto& each) { return each.second.terms.expired(); });
  swept_ = remembered();
}

}  // namespace lb::tls
