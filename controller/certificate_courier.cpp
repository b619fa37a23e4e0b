#include "controller/certificate_courier.hpp"

#include "common/model/json_writer.hpp"
#include "common/ops/log.hpp"
#include "controller/dataplane_json.hpp"

namespace lb::controller {
namespace {

constexpr char kPath[] = "/v1/certificates";

std::string path_of(const std::string& name) { return std::string(kPath) + "/" + name; }

std::string body_of(const plan::Certificate& certificate) {
  wire::JsonWriter out;
  // In one piece, so that no part of a key is left where it grew.
  out.reserve(2 * (certificate.chain().size() + certificate.key().size()) + 64);
  out.begin_object();
  wire::member(out, "certificate", certificate.chain());
  if (!certificate.key().empty()) wire::member(out, "key", certificate.key());
  out.end_object();
  return out.take();
}

// Whoever ends says 503 and is asked again.
bool not_now(const net::HttpResponse& response) { return response.status == 503; }

}  // namespace

CertificateCourier::CertificateCourier(net::HttpClient& client, std::chrono::milliseconds timeout,
                                       std::string dataplane, const plan::CertificateBook& book)
    : client_(client), timeout_(timeout), dataplane_(std::move(dataplane)), book_(book) {}

// Where nobody can have given certificates, nothing is ever asked about them; else there may be
// some from before us.
bool CertificateCourier::settled() const {
  if (!asked_) return book_.wanted().empty() && !book_.has_sources();
  return known_ && (unsupported_ || settled_ == book_.revision());
}

bool CertificateCourier::tidy_enough() const {
  return !asked_ || !known_ || unsupported_ || tidied_ == book_.revision();
}

void CertificateCourier::bring(Finished done) {
  done_ = std::move(done);
  asked_ = true;
  known_ ? begin() : list();
}

void CertificateCourier::finish(Status outcome) {
  queue_.clear();
  std::exchange(done_, {})(std::move(outcome));
}

void CertificateCourier::ask(net::HttpRequest request, Answered answered) {
  client_.request(
      std::move(request), timeout_,
      [this, gone = gone_, answered = std::move(answered)](Result<net::HttpResponse> answer) {
        if (*gone) return;
        if (!answer) return finish(answer.error());
        if (not_now(*answer)) return finish(Error{"Refused", "HTTP 503"});
        answered(*answer);
      });
}

void CertificateCourier::list() {
  ++counters_.lists;
  ask({"GET", kPath, {}, {}}, [this](const net::HttpResponse& response) {
    unsupported_ = response.status == 404;
    known_ = true;
    if (unsupported_) return finish(Done{});
    there_ = decode_certificates(response.body);
    offered_.clear();
    tidied_ = 0;
    begin();
  });
}

void CertificateCourier::begin() {
  begun_ = book_.revision();
  for (const auto& [name, services] : book_.wanted()) {
    if (lacks(name)) queue_.push_back(name);
  }
  push_next();
}

bool CertificateCourier::lacks(const std::string& name) const {
  const auto given = book_.find(name);
  if (given == nullptr) return false;
  const auto is = [&](const auto& held) {
    const auto found = held.find(name);
    return found != held.end() && found->second == given->fingerprint();
  };
  return !is(there_) && !is(offered_);
}

// While one travels others may have changed, or the data plane have begun anew.
void CertificateCourier::push_next() {
  if (!known_) return queue_.clear(), list();
  while (!queue_.empty()) {
    const std::string name = std::move(queue_.back());
    queue_.pop_back();
    if (lacks(name)) return push(name);
  }
  if (begun_ != book_.revision()) return begin();
  settled_ = begun_;
  forget_unwanted();
  finish(Done{});
}

void CertificateCourier::push(const std::string& name) {
  const auto certificate = book_.find(name);
  net::HttpRequest request{"PUT", path_of(name), {}, body_of(*certificate)};
  request.headers.push_back({"Content-Type", "application/json"});
  ask(std::move(request),
      [this, name, fingerprint = certificate->fingerprint()](const net::HttpResponse& response) {
        pushed(name, fingerprint, response);
        push_next();
      });
}

void CertificateCourier::pushed(const std::string& name, const std::string& fingerprint,
                                const net::HttpResponse& response) {
  if (response.status != 200) {
    const Refusal refusal = decode_refusal(response.body);
    const bool said = !refusal.reason.empty();
    return refuse(name, fingerprint,
                  said ? Error{refusal.reason, refusal.message}
                       : Error{"Refused", "HTTP " + std::to_string(response.status)});
  }
  ++counters_.pushed;
  there_[name] = fingerprint;
  offered_.erase(name);
  if (refused_.erase(name) > 0) news_ = true;
  ops::log(ops::Level::kInfo, "a data plane has a certificate",
           {{"dataplane", dataplane_}, {"certificate", name}, {"fingerprint", fingerprint}});
}

void CertificateCourier::refuse(const std::string& name, const std::string& fingerprint,
                                Error why) {
  ++counters_.refused;
  offered_[name] = fingerprint;
  auto& known = refused_[name];
  if (known == why) return;
  ops::log(ops::Level::kError, "a data plane refused a certificate: " + why.message,
           {{"dataplane", dataplane_}, {"certificate", name}, {"reason", why.code}});
  known = std::move(why);
  news_ = true;
}

void CertificateCourier::offer_again() {
  if (std::exchange(offered_, {}).empty()) return;
  settled_ = 0;
}

void CertificateCourier::forget_unwanted() {
  const auto gone =
      std::erase_if(refused_, [this](const auto& each) { return !book_.wants(each.first); });
  std::erase_if(offered_, [this](const auto& each) { return !book_.wants(each.first); });
  if (gone > 0) news_ = true;
}

void CertificateCourier::tidy(Finished done) {
  done_ = std::move(done);
  begun_ = book_.revision();
  for (const auto& [name, fingerprint] : there_) {
    if (book_.ours(name)) queue_.push_back(name);
  }
  remove_next();
}

void CertificateCourier::remove_next() {
  while (!queue_.empty()) {
    const std::string name = std::move(queue_.back());
    queue_.pop_back();
    if (book_.wants(name)) continue;
    return ask({"DELETE", path_of(name), {}, {}}, [this, name](const net::HttpResponse& response) {
      // Any other answer leaves it: somebody may need it after all.
      if (response.status == 200) ++counters_.removed, there_.erase(name);
      remove_next();
    });
  }
  tidied_ = begun_;
  finish(Done{});
}

}  // namespace lb::controller
