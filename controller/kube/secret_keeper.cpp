#include "controller/kube/secret_keeper.hpp"

#include <ctime>

#include "common/model/json.hpp"
#include "common/ops/log.hpp"
#include "controller/kube/base64.hpp"
#include "controller/kube/secret.hpp"

namespace lb::kube {
namespace {

using Json = nlohmann::json;

constexpr char kAuthoritySuffix[] = "-ca";
constexpr char kClientSuffix[] = "-client";

Json body_of(const std::string& ns, const std::string& name, const std::string& version,
             const SecretData& data) {
  Json meta{{"namespace", ns}, {"name", name}};
  meta["labels"]["app.kubernetes.io/managed-by"] = "empalme-controller";
  if (!version.empty()) meta["resourceVersion"] = version;
  Json encoded = Json::object();
  for (const auto& [key, text] : data) encoded[key] = encode_base64(text);
  return {{"apiVersion", "v1"},
          {"kind", "Secret"},
          {"type", "Opaque"},
          {"metadata", std::move(meta)},
          {"data", std::move(encoded)}};
}

}  // namespace

SecretKeeper::SecretKeeper(Options options) : options_(std::move(options)) {}

SecretKeeper::~SecretKeeper() { stop(); }

void SecretKeeper::start() {
  thread_ = std::thread([this] { run(); });
}

void SecretKeeper::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    if (client_) client_->cancel();
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void SecretKeeper::lead(bool leading) {
  {
    const std::lock_guard lock(mutex_);
    leading_ = leading;
    woken_ = true;
  }
  wake_.notify_all();
}

bool SecretKeeper::leading() const {
  const std::lock_guard lock(mutex_);
  return leading_ && !stopping_;
}

HttpClient& SecretKeeper::client() {
  const std::lock_guard lock(mutex_);
  if (!client_) client_ = options_.make_client();
  if (stopping_) client_->cancel();
  return *client_;
}

std::string SecretKeeper::path() const { return "/api/v1/namespaces/" + options_.ns + "/secrets"; }

void SecretKeeper::run() {
  for (;;) {
    const bool good = turn();
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, good ? options_.period : options_.retry,
                   [this] { return stopping_ || woken_; });
    woken_ = false;
    if (stopping_) return;
  }
}

// False: it is worth trying again soon.
bool SecretKeeper::turn() {
  Held servers, clients;
  if (!read(options_.name, servers)) return false;
  if (!read(options_.name + kClientSuffix, clients)) return false;
  if (!leading()) counters_.authority_lost = false;  // whoever leads tells
  const bool good = !leading() || renew(servers, clients);
  if (good) complained_ = false;
  // What there is serves, whatever became of its renewal.
  if (servers.version.empty() || clients.version.empty()) return false;
  net::TlsText text = client_text(handed_out(servers.data, clients.data));
  if (text == told_) return good;
  told_ = text;
  options_.on_text(std::move(text));
  return good;
}

bool SecretKeeper::renew(Held& servers, Held& clients) {
  const std::string name = options_.name + kAuthoritySuffix;
  const int64_t now = options_.now ? options_.now() : int64_t{std::time(nullptr)};
  Held authorities;
  if (!read(name, authorities)) return false;
  if (authority_lost(servers, authorities)) return true;  // there is no hurry: see the header
  const SecretData held = handed_out(servers.data, clients.data);
  auto next = next_authorities(authorities.data, held, options_.terms, now);
  if (!next) return failed(name, next.error().message);
  if (!write(name, authorities, std::move(next).value())) return false;
  const auto certificates = next_certificates(held, authorities.data, options_.terms, now);
  if (!certificates) return failed(options_.name, certificates.error().message);
  return write(options_.name + kClientSuffix, clients, for_controllers(*certificates)) &&
         write(options_.name, servers, for_dataplanes(*certificates));
}

bool SecretKeeper::authority_lost(const Held& held, const Held& authorities) {
  const bool lost = held.data.contains("ca.crt") && !has_authority(authorities.data);
  if (counters_.authority_lost.exchange(lost) == lost || !lost) return lost;
  const std::string name = options_.ns + "/" + options_.name;
  ops::log(
      ops::Level::kError,
      "the authority's Secret is lost, but what it signed is in use: nothing is renewed until it "
      "is restored, or it and then the other one are deleted",
      {{"secret", name + kAuthoritySuffix}, {"used", name}, {"reason", "AuthorityLost"}});
  return lost;
}

bool SecretKeeper::read(const std::string& name, Held& out) {
  const auto answer = client().request({"GET", path() + "/" + name, {}, {}});
  if (answer && answer->status == 404) return true;
  if (!answer || answer->status != 200) return failed(name, answer);
  auto secret = secret_from(answer->body);
  if (!secret) return failed(name, secret.error().message);
  out.version = std::move(secret->version);
  out.data = std::move(secret->data);
  ++counters_.reads;
  return true;
}

bool SecretKeeper::write(const std::string& name, Held& held, SecretData data) {
  if (!held.version.empty() && held.data == data) return true;
  // Leadership may have ended while keys were made.
  if (!leading()) return false;
  const bool creates = held.version.empty();
  const auto answer = client().request({creates ? "POST" : "PUT",
                                        creates ? path() : path() + "/" + name,
                                        {{"Content-Type", "application/json"}},
                                        body_of(options_.ns, name, held.version, data).dump()});
  if (answer && answer->status == 409) {
    ++counters_.conflicts;
    return false;
  }
  if (!answer || (answer->status != 200 && answer->status != 201)) return failed(name, answer);
  ++counters_.writes;
  const auto secret = secret_from(answer->body);
  held.version = secret ? secret->version : std::string{};
  held.data = std::move(data);
  ops::log(ops::Level::kInfo, creates ? "made certificates" : "renewed certificates",
           {{"secret", options_.ns + "/" + name}});
  return true;
}

bool SecretKeeper::failed(const std::string& name, const Result<net::HttpResponse>& answer) {
  if (answer && answer->status == 401 && options_.on_unauthorized) options_.on_unauthorized();
  return failed(name, answer ? "HTTP " + std::to_string(answer->status) : answer.error().message);
}

bool SecretKeeper::failed(const std::string& name, const std::string& why) {
  ++counters_.failures;
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return false;
  }
  if (std::exchange(complained_, true)) return false;
  ops::log(ops::Level::kWarning, "a Secret cannot be read or written: " + why,
           {{"secret", options_.ns + "/" + name}, {"reason", "SecretUnavailable"}});
  return false;
}

}  // namespace lb::kube
