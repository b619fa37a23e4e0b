#include "controller/sources/secret_certificates.hpp"

#include <utility>

#include "common/net/server_certificate.hpp"

namespace lb::sources {
namespace {

constexpr char kChain[] = "tls.crt";
constexpr char kKey[] = "tls.key";

Result<std::string> part(const kube::SecretData& data, const char* name) {
  const auto found = data.find(name);
  if (found != data.end() && !found->second.empty()) return found->second;
  const bool key = std::string_view(name) == kKey;
  return Error{key ? "KeyUnreadable" : "CertificateUnreadable", std::string("has no ") + name};
}

Result<net::SignedKey> pem_of(const kube::SecretData& data, bool authorities) {
  auto chain = part(data, authorities ? plan::kAuthoritiesEntry : kChain);
  if (!chain) return chain.error();
  if (authorities) return net::SignedKey{*chain, {}};
  auto key = part(data, kKey);
  if (!key) return key.error();
  return net::SignedKey{*chain, std::move(key).value()};
}

kube::SecretName secret_of(const plan::SecretEntry& entry) { return {entry.ns, entry.secret}; }

Error named(const plan::SecretEntry& entry, const Error& why) {
  return {why.code, "Secret " + secret_of(entry).to_string() + ": " + why.message};
}

}  // namespace

void SecretCertificates::want(const std::set<std::string>& names) {
  std::erase_if(held_, [&](const auto& each) { return !names.contains(each.first); });
  for (const auto& name : names) {
    const auto entry = plan::secret_entry(name);
    if (entry && !held_.contains(name)) held_[name].entry = *entry;
  }
}

std::set<kube::SecretName> SecretCertificates::secrets() const {
  std::set<kube::SecretName> out;
  for (const auto& [name, held] : held_) out.insert(secret_of(held.entry));
  return out;
}

// The same Secret may stand for a certificate and for authorities.
bool SecretCertificates::take(const kube::SecretAnswer& answer, int64_t now_s) {
  bool news = false;
  for (const bool authorities : {false, true}) {
    const auto name = plan::certificate_name({answer.name.ns, answer.name.name, authorities});
    const auto found = name ? held_.find(*name) : held_.end();
    if (found == held_.end()) continue;
    Held& held = found->second;
    const auto before = held.good;
    auto trouble = update(held, answer, now_s);
    news = news || std::exchange(held.trouble, trouble) != trouble || held.good != before;
  }
  return news;
}

// What is wrong with it now.
std::optional<Error> SecretCertificates::update(Held& held, const kube::SecretAnswer& answer,
                                                int64_t now_s) {
  if (!answer.data) {
    // An API server that restarts says nothing of certificates.
    const bool passing = answer.data.error().code == "SecretUnreadable" && held.good;
    return passing ? held.trouble : answer.data.error();
  }
  const Status good = judge(held, *answer.data, now_s);
  if (good) return std::nullopt;
  return named(held.entry, good.error());
}

Status SecretCertificates::judge(Held& held, const kube::SecretData& data, int64_t now_s) {
  auto pem = pem_of(data, held.entry.authorities);
  if (!pem) return pem.error();
  const Status outcome = replace(held, *pem, now_s);
  plan::wipe(pem->key);
  return outcome;
}

Status SecretCertificates::replace(Held& held, const net::SignedKey& pem, int64_t now_s) {
  const bool in_time = held.entry.authorities || now_s < held.until;
  const bool same =
      held.good && pem.certificate == held.good->chain() && pem.key == held.good->key();
  if (same && in_time) return Done{};
  const auto judged = net::ServerCertificate::read(pem, now_s);
  if (!judged) return judged.error();
  held.good =
      std::make_shared<const plan::Certificate>(pem.certificate, pem.key, (*judged)->fingerprint());
  held.until = (*judged)->validity().until;
  return Done{};
}

plan::Certificates SecretCertificates::all() const {
  plan::Certificates out;
  for (const auto& [name, held] : held_) {
    if (held.good) out.emplace(name, held.good);
  }
  return out;
}

plan::CertificateTroubles SecretCertificates::troubles() const {
  plan::CertificateTroubles out;
  for (const auto& [name, held] : held_) {
    if (held.trouble) out.emplace(name, *held.trouble);
  }
  return out;
}

}  // namespace lb::sources
