// Follows the Secrets whose certificates are wanted, and gives these to the sink of the cluster's
// source.
//
// On the io_context's thread; the requests themselves are sent by the SecretReader's. Reads nothing
// that no service which is served names.
#pragma once

#include <memory>
#include <set>
#include <string>

#include "common/net/asio.hpp"
#include "controller/kube/secret_reader.hpp"
#include "controller/sources/secret_certificates.hpp"
#include "controller/sources/source.hpp"

namespace lb::sources {

class SecretFollower {
 public:
  // `on_answers` of the options is ours.
  SecretFollower(asio::io_context& io, kube::SecretReader::Options options, SourceSink& sink);
  ~SecretFollower() { stop(); }
  SecretFollower(const SecretFollower&) = delete;
  SecretFollower& operator=(const SecretFollower&) = delete;

  void start() { reader_.start(); }
  // Idempotent; nothing is said afterwards.
  void stop();
  // Names of certificates, those of other sources among them.
  void want(const std::set<std::string>& certificates);

  const kube::SecretReaderCounters& counters() const { return reader_.counters(); }
  const SecretCertificates& certificates() const { return certificates_; }

 private:
  kube::SecretReader::Options with_answers(kube::SecretReader::Options options);
  void take(const kube::SecretReader::Answers& answers);
  void tell();

  asio::io_context& io_;
  SourceSink& sink_;
  SecretCertificates certificates_;
  const std::shared_ptr<bool> stopped_ = std::make_shared<bool>(false);
  kube::SecretReader reader_;
};

}  // namespace lb::sources
