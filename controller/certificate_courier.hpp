// Brings one data plane the certificates that services ask for, and takes away those that no
// service names any more.
//
// Lives on the io_context's thread, as does the client that it borrows; one bring() or tidy() at a
// time. What the data plane has is asked for once, and again after doubt(); then what was pushed is
// remembered, so a state without new certificates costs nothing. One that the data plane refuses is
// told and holds nobody up: it is offered again when it changes, after offer_again() or doubt().
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/net/http_client.hpp"
#include "controller/core/certificate_book.hpp"

namespace lb::controller {

struct CertificateCounters {
  uint64_t lists = 0, pushed = 0, refused = 0, removed = 0;
};

class CertificateCourier {
 public:
  // An error: the data plane cannot be asked now.
  using Finished = std::function<void(Status)>;

  CertificateCourier(net::HttpClient& client, std::chrono::milliseconds timeout,
                     std::string dataplane, const plan::CertificateBook& book);
  // What is under way is given up, and its end finds nobody.
  ~CertificateCourier() { *gone_ = true; }
  CertificateCourier(const CertificateCourier&) = delete;
  CertificateCourier& operator=(const CertificateCourier&) = delete;

  // Nothing to bring: it has, or has refused, everything that is wanted and there.
  bool settled() const;
  void bring(Finished done);
  // Nothing to take away, as far as is known.
  bool tidy_enough() const;
  // Precondition: no state that the data plane holds names what no wanted service does.
  void tidy(Finished done);
  // What it refused may be good by now: its clock was behind, its disk full.
  void offer_again();
  // What it has is no longer known.
  void doubt() { known_ = false; }

  // By name, with the reasons of the data plane.
  const plan::CertificateTroubles& refused() const { return refused_; }
  // Whether refused() has changed since this was last asked.
  bool take_news() { return std::exchange(news_, false); }
  const CertificateCounters& counters() const { return counters_; }

 private:
  using Answered = std::function<void(const net::HttpResponse&)>;

  void ask(net::HttpRequest request, Answered answered);
  void finish(Status outcome);
  void list();
  void begin();
  void push_next();
  void push(const std::string& name);
  void pushed(const std::string& name, const std::string& fingerprint,
              const net::HttpResponse& response);
  void refuse(const std::string& name, const std::string& fingerprint, Error why);
  bool lacks(const std::string& name) const;
  void forget_unwanted();
  void remove_next();

  net::HttpClient& client_;
  const std::chrono::milliseconds timeout_;
  const std::string dataplane_;
  const plan::CertificateBook& book_;
  std::map<std::string, std::string> there_;    // fingerprints by name, as the data plane has them
  std::map<std::string, std::string> offered_;  // fingerprints that it refused, by name
  plan::CertificateTroubles refused_;
  CertificateCounters counters_;
  std::vector<std::string> queue_;
  uint64_t begun_ = 0;    // revisions of the book: that which is being brought,
  uint64_t settled_ = 0;  // that which was,
  uint64_t tidied_ = 0;   // that for which nothing was left to take away
  bool asked_ = false;    // for certificates, ever
  bool known_ = false;
  bool unsupported_ = false;  // a data plane from before there were certificates
  bool news_ = false;
  Finished done_;
  const std::shared_ptr<bool> gone_ = std::make_shared<bool>(false);
};

}  // namespace lb::controller
