#include "controller/kube/tls_material.hpp"

#include "common/net/certificates.hpp"

namespace lb::kube {
namespace {

using net::CertificateUse;
using net::SignedKey;
using net::Validity;

std::string value(const SecretData& data, const std::string& key) {
  const auto found = data.find(key);
  return found == data.end() ? std::string{} : found->second;
}

SignedKey pair(const SecretData& data, const std::string& name) {
  return {value(data, name + ".crt"), value(data, name + ".key")};
}

void set_pair(SecretData& data, const std::string& name, const SignedKey& what) {
  data[name + ".crt"] = what.certificate;
  data[name + ".key"] = what.key;
}

Validity life(int64_t now, int64_t length, const TlsTerms& terms) {
  return {now - terms.backdate, now + length};
}

bool due(const Validity& validity, const TlsTerms& terms, int64_t now) {
  const int64_t made = validity.from + terms.backdate;
  return now >= made + (validity.until - made) / 3 * 2;
}

bool old_enough(const std::string& certificate, const TlsTerms& terms, int64_t now) {
  const auto validity = net::validity_of(certificate);
  return validity && validity->from + terms.backdate + terms.trust_wait <= now;
}

// With a fresh authority under this name.
Result<SecretData> with_new(SecretData data, const char* name, const TlsTerms& terms, int64_t now) {
  const auto made =
      net::make_authority("Empalme authority", life(now, terms.authority_life, terms));
  if (!made) return made.error();
  set_pair(data, name, *made);
  return data;
}

bool fits_server(const SecretData& certificates, const std::string& authority) {
  return net::fits(pair(certificates, "server"), authority, net::kDataplaneName,
                   CertificateUse::kServer);
}

bool fits_client(const SecretData& certificates, const std::string& authority) {
  return net::fits(pair(certificates, "client"), authority, net::kControllerName,
                   CertificateUse::kClient);
}

// Nobody can still show what the one before has signed.
bool settled(const SecretData& certificates, const std::string& authority, const TlsTerms& terms,
             int64_t now) {
  return fits_server(certificates, authority) && fits_client(certificates, authority) &&
         old_enough(value(certificates, "server.crt"), terms, now) &&
         old_enough(value(certificates, "client.crt"), terms, now);
}

SecretData promoted(SecretData data) {
  data["previous.crt"] = value(data, "ca.crt");
  set_pair(data, "ca", pair(data, "next"));
  data.erase("next.crt");
  data.erase("next.key");
  return data;
}

SecretData without_previous(SecretData data) {
  data.erase("previous.crt");
  return data;
}

// Trusted first, then signing. One that was made and could not be handed out, or cannot be read,
// begins its wait anew as another.
Result<SecretData> with_successor(const SecretData& held, const SecretData& certificates,
                                  const TlsTerms& terms, int64_t now) {
  const std::string next = value(held, "next.crt");
  const bool sound = net::validity_of(next).ok();
  if (sound && !old_enough(next, terms, now)) return held;
  const bool trusted = value(certificates, "ca.crt").find(next) != std::string::npos;
  return sound && trusted ? Result<SecretData>(promoted(held)) : with_new(held, "next", terms, now);
}

Result<SignedKey> certificate_for(const SignedKey& held, bool fits, const SignedKey& authority,
                                  const char* name, CertificateUse use, const TlsTerms& terms,
                                  int64_t now) {
  const auto validity = net::validity_of(held.certificate);
  if (fits && validity && !due(*validity, terms, now)) return held;
  return net::issue(authority, name, use, life(now, terms.certificate_life, terms));
}

}  // namespace

bool has_authority(const SecretData& authorities) {
  return net::validity_of(value(authorities, "ca.crt")) && !value(authorities, "ca.key").empty();
}

Result<SecretData> next_authorities(const SecretData& held, const SecretData& certificates,
                                    const TlsTerms& terms, int64_t now) {
  const std::string authority = value(held, "ca.crt");
  const auto validity = net::validity_of(authority);
  if (!has_authority(held)) return with_new({}, "ca", terms, now);
  if (held.contains("next.crt")) return with_successor(held, certificates, terms, now);
  if (held.contains("previous.crt")) {
    const bool over = settled(certificates, authority, terms, now);
    return over ? without_previous(held) : held;
  }
  return due(*validity, terms, now) ? with_new(held, "next", terms, now) : held;
}

Result<SecretData> next_certificates(const SecretData& held, const SecretData& authorities,
                                     const TlsTerms& terms, int64_t now) {
  const SignedKey authority = pair(authorities, "ca");
  const auto server =
      certificate_for(pair(held, "server"), fits_server(held, authority.certificate), authority,
                      net::kDataplaneName, CertificateUse::kServer, terms, now);
  if (!server) return server.error();
  const auto client =
      certificate_for(pair(held, "client"), fits_client(held, authority.certificate), authority,
                      net::kControllerName, CertificateUse::kClient, terms, now);
  if (!client) return client.error();
  SecretData out;
  out["ca.crt"] =
      authority.certificate + value(authorities, "previous.crt") + value(authorities, "next.crt");
  set_pair(out, "server", *server);
  set_pair(out, "client", *client);
  return out;
}

SecretData for_dataplanes(const SecretData& certificates) {
  SecretData out = certificates;
  out.erase("client.crt");
  out.erase("client.key");
  return out;
}

SecretData for_controllers(const SecretData& certificates) {
  SecretData out = certificates;
  out.erase("server.crt");
  out.erase("server.key");
  return out;
}

SecretData handed_out(const SecretData& to_dataplanes, const SecretData& to_controllers) {
  SecretData out = for_dataplanes(to_dataplanes);
  for (const char* key : {"client.crt", "client.key"}) {
    const auto found = to_controllers.find(key);
    if (found != to_controllers.end()) out.insert(*found);
  }
  return out;
}

net::TlsText client_text(const SecretData& certificates) {
  return {value(certificates, "client.crt"), value(certificates, "client.key"),
          value(certificates, "ca.crt")};
}

}  // namespace lb::kube
