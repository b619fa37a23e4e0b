// Log lines of what the byte path tells. Any thread; no errors.
#pragma once

#include <string>

#include "dataplane/health/prober.hpp"
#include "dataplane/proxy/data_path.hpp"

namespace lb::dataplane {

// A listener uses all of its backends, since too few are usable; or no longer.
void log_panic(const std::string& key, const proxy::ListenerId& id, bool panic);

// A backend is left out after failures, for this reason; or, without one, taken back.
void log_ejection(const proxy::BackendId& backend, const std::string& reason);

// A connect to a backend has failed for TLS, for this reason.
void log_tls_failure(const proxy::BackendId& backend, const std::string& reason);

// Its check calls a backend up or down.
void log_health(const proxy::BackendId& backend, const health::Verdict& verdict);

// An address of --spare-sources is announced, and not dialled from; or no longer.
void log_source(const IpAddress& source, bool avoided);

// What a flag names is not on this host at the start.
void log_missing(const Error& missing);

}  // namespace lb::dataplane
