#include "dataplane/health/probe_starter.hpp"

#include <new>
#include <utility>

#include "dataplane/health/dialogue_probe.hpp"
#include "dataplane/health/expect_match.hpp"
#include "dataplane/health/http_status.hpp"
#include "dataplane/health/tcp_probe.hpp"

namespace lb::health {
namespace {

DialogueProbe::Script http_script(const Check& check) {
  return {http_request(check), std::make_unique<HttpStatus>(check.policy.expect_status)};
}

DialogueProbe::Script send_expect_script(const HealthPolicy& policy) {
  return {policy.send, std::make_unique<ExpectMatch>(policy.expect)};
}

}  // namespace

ProbeStarter::ProbeStarter(asio::io_context& io, std::optional<IpAddress> source,
                           int descriptor_line)
    : timers_(io), setting_{io, timers_, source, descriptor_line} {}

std::shared_ptr<Probe> ProbeStarter::begin(const Check& check, Probe::Done done) {
  auto probe = make(check, std::move(done));
  if (!probe) return nullptr;
  try {
    probe->begin();
  } catch (const std::bad_alloc&) {
    probe->cancel();  // what has begun of it must not answer
    throw;
  }
  return probe;
}

std::shared_ptr<Probe> ProbeStarter::make(const Check& check, Probe::Done done) {
  switch (check.policy.type) {
    case HealthType::kTcp:
      return std::make_shared<TcpProbe>(setting_, check, std::move(done));
    case HealthType::kHttp:
      return std::make_shared<DialogueProbe>(setting_, check, std::move(done), http_script(check));
    case HealthType::kSendExpect:
      return std::make_shared<DialogueProbe>(setting_, check, std::move(done),
                                             send_expect_script(check.policy));
    case HealthType::kTls:
      return make_tls_probe(setting_, check, std::move(done), tls());
    case HealthType::kNone:
      break;
  }
  return nullptr;
}

const std::shared_ptr<TlsContext>& ProbeStarter::tls() {
  if (!tls_) tls_ = make_tls_context();
  return tls_;
}

}  // namespace lb::health
