// GET, PUT and DELETE /v1/certificates: keys and certificates that a controller pushes apart from
// the state, are never told, and serve the next connection.
//
// Owned and called by the control thread. Does not throw but for want of memory, and then nothing
// has changed but on disk.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/net/http_server.hpp"
#include "dataplane/config.hpp"
#include "dataplane/coordinator.hpp"
#include "dataplane/tls/certificate_book.hpp"
#include "dataplane/tls/key_folder.hpp"

namespace lb::dataplane {

class Certificates {
 public:
  using Respond = net::HttpServer::Respond;
  using Report = std::function<void(const Error&)>;

  static constexpr std::string_view kPath = "/v1/certificates";

  // `folder`: none keeps nothing but in this process. What is in it is taken at once; what of it is
  // of no use any more is reported.
  Certificates(std::shared_ptr<tls::CertificateBook> book, std::optional<tls::KeyFolder> folder,
               Report report);

  // Whether a path is one of these.
  static bool owns(std::string_view path);
  // Answers a PUT once connections are begun with it. `coordinator` holds what names certificates.
  void handle(const net::HttpRequest& request, std::string_view path, Coordinator& coordinator,
              Respond respond);

  const tls::CertificateBook& book() const { return *book_; }
  uint64_t refused() const { return refused_; }
  uint64_t save_failures() const { return save_failures_; }

 private:
  void put(const std::string& name, const std::string& body, Coordinator& coordinator,
           const Respond& respond);
  void remove(const std::string& name, const Coordinator& coordinator, const Respond& respond);
  void note(const Status& saved);

  const std::shared_ptr<tls::CertificateBook> book_;
  const std::optional<tls::KeyFolder> folder_;
  const Report report_;
  uint64_t refused_ = 0;
  uint64_t save_failures_ = 0;
};

// With the folder that the flags ask for. By default that stands beside a unix admin socket, if it
// is in memory, and with --persist-keys in the state folder.
Result<std::unique_ptr<Certificates>> open_certificates(const Config& config,
                                                        std::shared_ptr<tls::CertificateBook> book,
                                                        Certificates::Report report);

}  // namespace lb::dataplane
