// What stands in the three Secrets that let controllers and data planes trust each other, and what
// shall stand there next.
//
// Pure but for randomness; times are seconds since 1970. The authorities' Secret holds "ca.crt" and
// "ca.key" (who signs now), "next.crt" and "next.key" (trusted already, signs later) and
// "previous.crt" (signed before, trusted still). What is handed out is "ca.crt" (all that are
// trusted), "server.crt" and "server.key" for data planes, "client.crt" and "client.key" for
// controllers, in a Secret for each of the two. Everything is replaced at two thirds of its life;
// an authority is trusted for `trust_wait` before it signs, and for as long after nothing that it
// signed is handed out any more. A life's beginning stands in each certificate, so a restart
// forgets nothing. Errors are those of net::issue().
#pragma once

#include <cstdint>
#include <string>

#include "common/model/result.hpp"
#include "common/net/tls.hpp"
#include "controller/kube/secret.hpp"

namespace lb::kube {

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

// Whether there is one that can sign.
bool has_authority(const SecretData& authorities);

// What is handed out, as its two Secrets hold it: a machine that runs a data plane may read all of
// the first, and so must not find there what gives orders to the others.
SecretData for_dataplanes(const SecretData& certificates);
SecretData for_controllers(const SecretData& certificates);
SecretData handed_out(const SecretData& to_dataplanes, const SecretData& to_controllers);

// What a controller shows and trusts.
net::TlsText client_text(const SecretData& certificates);

}  // namespace lb::kube
