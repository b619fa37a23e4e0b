// The certificates that a configuration file names: read, judged, and kept while what is on disk
// cannot be used.
//
// One thread; reads files. A file that has changed and is good replaces the one before it; one that
// is bad leaves the last good one in use, and is told with its path and the reason. Keys are
// overwritten in memory once nobody holds them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/net/server_certificate.hpp"
#include "controller/core/certificate_book.hpp"
#include "controller/sources/file_document.hpp"
#include "controller/sources/read_file.hpp"

namespace lb::sources {

// What a person wants to know of a certificate that is in use.
struct CertificateFacts {
  std::string path;
  std::vector<std::string> names;
  int64_t from = 0, until = 0;  // seconds since 1970
  bool authority = false;
};

class FileCertificates {
 public:
  // Follows these files from now on. A name that is new must be good, else nothing changes: the
  // error says which file is wrong, why, and where a configuration file names it. `now_s` is in
  // seconds since 1970.
  Status load(const std::map<std::string, CertificateFiles>& wanted, int64_t now_s);
  // Reads again what is followed. True: another certificate than before, or another trouble.
  bool refresh(int64_t now_s);

  plan::Certificates all() const;
  // By name; codes of server_certificate.hpp, or "Unreadable".
  const plan::CertificateTroubles& troubles() const { return troubles_; }
  std::map<std::string, CertificateFacts> facts() const;

 private:
  using Stamps = std::vector<FileStamp>;
  struct Held {
    CertificateFiles files;
    plan::CertificatePtr good;  // null: none yet
    CertificateFacts facts;
    Stamps stamps;  // with which its files are what `good` is; empty: they must be read
  };

  static Stamps stamps_of(const CertificateFiles& files, int64_t now_s);
  static Status update(Held& held, int64_t now_s);
  static void take_over(Held& held, const net::SignedKey& pem,
                        const net::ServerCertificate& judged);

  std::map<std::string, Held> held_;
  plan::CertificateTroubles troubles_;
};

}  // namespace lb::sources
