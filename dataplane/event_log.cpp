#include "dataplane/event_log.hpp"

#include "common/ops/log.hpp"

namespace lb::dataplane {

void log_panic(const std::string& key, const proxy::ListenerId& id, bool panic) {
  ops::log(
      panic ? ops::Level::kWarning : ops::Level::kInfo,
      panic ? "too few backends are usable: all of them are used"
            : "enough backends are usable again",
      {{"service", key}, {"listener", id.at.to_string()}, {"protocol", to_string(id.protocol)}});
}

void log_ejection(const proxy::BackendId& backend, const std::string& reason) {
  const bool out = !reason.empty();
  ops::log(out ? ops::Level::kWarning : ops::Level::kInfo,
           out ? "backend is left out after failed connects" : "backend is taken back",
           {{"service", backend.key},
            {"port", std::to_string(backend.port)},
            {"protocol", to_string(backend.protocol)},
            {"backend", backend.backend.to_string()},
            {"reason", reason}});
}

void log_tls_failure(const proxy::BackendId& backend, const std::string& reason) {
  ops::log(ops::Level::kWarning, "no TLS with a backend",
           {{"service", backend.key},
            {"port", std::to_string(backend.port)},
            {"protocol", to_string(backend.protocol)},
            {"backend", backend.backend.to_string()},
            {"cause", "tls"},
            {"reason", reason}});
}

void log_health(const proxy::BackendId& backend, const health::Verdict& verdict) {
  ops::log(verdict.health == health::Health::kDown ? ops::Level::kWarning : ops::Level::kInfo,
           std::string("backend is ") + health::to_string(verdict.health),
           {{"service", backend.key},
            {"port", std::to_string(backend.port)},
            {"protocol", to_string(backend.protocol)},
            {"backend", backend.backend.to_string()},
            {"reason", verdict.reason}});
}

void log_source(const IpAddress& source, bool avoided) {
  ops::log(avoided ? ops::Level::kWarning : ops::Level::kInfo,
           avoided ? "an address of --spare-sources is not dialled from"
                   : "an address of --spare-sources may be dialled from again",
           {{"address", source.to_string()}, {"reason", avoided ? "Announced" : ""}});
}

void log_missing(const Error& missing) {
  ops::log(ops::Level::kWarning, missing.message, {{"reason", missing.code}});
}

}  // namespace lb::dataplane
