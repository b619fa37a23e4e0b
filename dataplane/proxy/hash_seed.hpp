// The key of every hash of sources in this process, drawn at random once. See
// dataplane/balance/sip_hash.hpp. Any thread.
#pragma once

#include "dataplane/balance/sip_hash.hpp"

namespace lb::proxy {

using balance::HashSeed;
using balance::SipHash;

const HashSeed& process_hash_seed();  // the same for the life of the process

}  // namespace lb::proxy
