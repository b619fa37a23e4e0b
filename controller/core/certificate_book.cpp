#include "controller/core/certificate_book.hpp"

#include <string.h>

#include <algorithm>
#include <set>

namespace lb::plan {
namespace {

std::string prefix_of(const std::string& name) { return name.substr(0, name.find('/') + 1); }

bool same(const CertificatePtr& a, const CertificatePtr& b) {
  return a == b || (a && b && a->fingerprint() == b->fingerprint() && a->key() == b->key());
}

bool same(const Certificates& a, const Certificates& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.first == y.first && same(x.second, y.second);
  });
}

}  // namespace

void wipe(std::string& text) {
  ::explicit_bzero(text.data(), text.size());
  text.clear();
}

Certificate::Certificate(std::string chain, std::string key, std::string fingerprint)
    : chain_(std::move(chain)), key_(std::move(key)), fingerprint_(std::move(fingerprint)) {
  wipe(key);  // what is short was copied
}

Certificate::~Certificate() { wipe(key_); }

void CertificateBook::give(const std::string& prefix, Certificates all) {
  auto& held = given_[prefix];
  if (!same(held, all)) ++revision_;
  held = std::move(all);
}

void CertificateBook::want(const Service* before, const Service* now) {
  if (now != nullptr) {
    for (const auto& name : certificates_of(now->ports)) {
      if (wanted_[name]++ == 0) ++revision_;
    }
  }
  if (before == nullptr) return;
  for (const auto& name : certificates_of(before->ports)) {
    const auto found = wanted_.find(name);
    if (found == wanted_.end() || --found->second > 0) continue;
    wanted_.erase(found);
    ++revision_;
  }
}

void CertificateBook::want_nothing() {
  if (!wanted_.empty()) ++revision_;
  wanted_.clear();
}

CertificatePtr CertificateBook::find(const std::string& name) const {
  const auto source = given_.find(prefix_of(name));
  if (source == given_.end()) return nullptr;
  const auto found = source->second.find(name);
  return found == source->second.end() ? nullptr : found->second;
}

bool CertificateBook::ours(const std::string& name) const {
  return given_.contains(prefix_of(name));
}

std::vector<std::string> certificates_of(const std::vector<ServicePort>& ports) {
  std::set<std::string> out;
  for (const auto& port : ports) {
    if (port.tls.mode == TlsMode::kNone) continue;
    for (auto& name : lb::certificates_of(port.tls)) out.insert(std::move(name));
  }
  return {out.begin(), out.end()};
}

}  // namespace lb::plan
