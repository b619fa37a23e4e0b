// Certificates as their sources give them, and which of them services ask for: they travel to data
// planes apart from the state, by name.
//
// Pure; owned by one thread. A certificate is immutable and shared; its key is overwritten in
// memory when the last holder lets it go, and is in nothing that is logged, counted or answered.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/model/result.hpp"
#include "common/model/state.hpp"

namespace lb::plan {

class Certificate {
 public:
  // PEM; without a key: authorities. `fingerprint` is that of the chain, as data planes tell it.
  Certificate(std::string chain, std::string key, std::string fingerprint);
  ~Certificate();
  Certificate(const Certificate&) = delete;
  Certificate& operator=(const Certificate&) = delete;

  const std::string& chain() const { return chain_; }
  const std::string& key() const { return key_; }
  const std::string& fingerprint() const { return fingerprint_; }

 private:
  const std::string chain_;
  std::string key_;
  const std::string fingerprint_;
};

// Overwrites what may hold a key, before its memory is given back.
void wipe(std::string& text);

using CertificatePtr = std::shared_ptr<const Certificate>;
using Certificates = std::map<std::string, CertificatePtr>;  // by name
// What is wrong with certificates, by name: of each the last good one is still in use, if any.
using CertificateTroubles = std::map<std::string, Error>;

class CertificateBook {
 public:
  // All that the source with this prefix ("file/"), with which its names begin, has now.
  void give(const std::string& prefix, Certificates all);
  // A service that was wanted until now, and the one that is instead; null: none.
  void want(const Service* before, const Service* now);
  void want_nothing();

  // Null: no source has it.
  CertificatePtr find(const std::string& name) const;
  bool wants(const std::string& name) const { return wanted_.contains(name); }
  // By name; in how many services.
  const std::map<std::string, size_t>& wanted() const { return wanted_; }
  // Whether the name is one of a source that has given any: nobody else pushes it.
  bool ours(const std::string& name) const;
  bool has_sources() const { return !given_.empty(); }
  // Another number after each change of what find() or wants() say.
  uint64_t revision() const { return revision_; }

 private:
  std::map<std::string, Certificates> given_;  // by prefix
  std::map<std::string, size_t> wanted_;
  uint64_t revision_ = 1;  // 0 stands for none, with couriers
};

// Those that a port of it names, each once, sorted.
std::vector<std::string> certificates_of(const std::vector<ServicePort>& ports);

}  // namespace lb::plan
