// Where services come from. A source emits whole services, never parts of one.
//
// Sources live on the thread of the io_context they were given and call their sink there. A source
// that loses its origin keeps what it has emitted and says that it is stale; it never empties.
#pragma once

#include <optional>
#include <set>
#include <string>

#include "common/model/result.hpp"
#include "controller/core/certificate_book.hpp"
#include "controller/core/source_service.hpp"

namespace lb::sources {

class SourceSink {
 public:
  virtual ~SourceSink() = default;
  virtual void upsert(plan::SourceService service) = 0;
  virtual void remove(const std::string& key) = 0;
  // `prefix` names the source ("kubernetes/", "file/"); everything of it that is not in `keys` is
  // gone. Said once the source is whole, and again after each new list.
  virtual void synced(const std::string& prefix, const std::set<std::string>& keys) = 0;
  // Addresses of the cluster's nodes: never given to a service.
  virtual void nodes(std::set<IpAddress> addresses) = 0;
  // An error while the source is stale, nullopt when it is fresh again.
  virtual void freshness(const std::string& source, std::optional<Error> trouble) = 0;
  // All certificates that the source has, by names that begin with the source's prefix, and what is
  // wrong with any of them now. Said before the services that name them.
  struct CertificateNews {
    plan::Certificates all;
    plan::CertificateTroubles troubles;
  };
  virtual void certificates(const std::string&, CertificateNews) {}
};

class Source {
 public:
  virtual ~Source() = default;
  virtual std::string prefix() const = 0;
  virtual void start() = 0;
  virtual void stop() = 0;
  // What the data plane holds when it is first heard: a source may know again from it what it had
  // found out before a restart.
  virtual void held(const DesiredState&) {}
};

}  // namespace lb::sources
