// The probe that is content with a completed TLS handshake, 1.2 or later (RFC 5246, RFC 8446).
//
// The certificate is not verified: the question is whether the target speaks TLS, not who it is.
// policy.host, if any, is sent as the server's name (RFC 6066). Reasons: `TlsHandshake: ...` with
// OpenSSL's words or "closed by the peer", and those of probe_result.hpp. OpenSSL stays hidden.
#pragma once

#include <memory>

#include "dataplane/health/probe.hpp"

namespace lb::health {

struct TlsContext;  // may be shared by all probes of a thread

// Null when OpenSSL cannot make one; probes then report `OurOwnWant: no TLS context`.
std::shared_ptr<TlsContext> make_tls_context();

std::shared_ptr<Probe> make_tls_probe(const ProbeSetting& setting, const Check& check,
                                      Probe::Done done, std::shared_ptr<TlsContext> context);

}  // namespace lb::health
