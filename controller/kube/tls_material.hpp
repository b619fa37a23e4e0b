// What stands in the two Secrets that let controllers and data planes trust each other, and what
// shall stand there next.
//
// Pure but for randomness; times are seconds since 1970. The authorities' Secret holds "ca.crt" and
// "ca.key" (who signs now), "next.crt" and "next.key" (trusted already, signs later) and
// "previous.crt" (signed before, trusted still). The other one holds "ca.crt" (all that are
// trusted), "server.crt" and "server.key" of data planes, "client.crt" and "client.key" of
// controllers. Everything is replaced at two thirds of its life; an authority is trusted for
// `trust_wait` before it signs, and for as long after nothing that it signed is handed out any
// more. A life's beginning stands in each certificate, so a restart forgets nothing. Errors are
// those of net::issue().
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "common/model/result.hpp"
#include "common/net/tls.hpp"

namespace lb::kube {

using SecretData = std::map<std::string, std::string>;

struct TlsTerms {
  int64_t authority_life = int64_t{10} * 365 * 86'400;
  int64_t certificate_life = int64_t{90} * 86'400;
  int64_t trust_wait = 3'600;
  int64_t backdate = 3'600;  // for clocks that are behind ours
};

// Equal to `held`: nothing is to be done. `certificates` is what is handed out now.
Result<SecretData> next_authorities(const SecretData& held, const SecretData& certificates,
                                    const TlsTerms& terms, int64_t now);
Result<SecretData> next_certificates(const SecretData& held, const SecretData& authorities,
                                     const TlsTerms& terms, int64_t now);

// What a controller shows and trusts.
net::TlsText client_text(const SecretData& certificates);

}  // namespace lb::kube
