// A TLS server for tests, with a self-signed certificate made in memory.
//
// Serve functions for FakeTarget; its thread. OpenSSL's failures abort the program (by exception).
#pragma once

#include <memory>
#include <string>

#include "tests/support/fake_target.hpp"

namespace lb::test {

enum class TlsVersions : uint8_t { kAll, kOnly1_1, kOnly1_2 };

// Shakes hands and then reads until the other side ends. `name` (if any) gets the server name
// that the client sent.
Serve speak_tls(TlsVersions versions = TlsVersions::kAll,
                std::shared_ptr<std::string> name = nullptr);

}  // namespace lb::test
