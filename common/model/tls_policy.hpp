// How TLS is handled on a port: ended here, and if so with which certificates, or passed through.
//
// Certificates are meant by name; they travel apart from the state and are never in it. Pure; any
// thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/model/result.hpp"

namespace lb {

enum class TlsMode : uint8_t { kNone, kTerminate, kPassthrough };

const char* to_string(TlsMode value);

// TLS again towards backends, behind one that ended here (RFC 8446, RFC 9525).
struct BackendTls {
  std::string server_name;               // what their certificates must be for, and what is asked
  std::vector<std::string> authorities;  // certificates by name; empty: those that the host trusts
  bool verify = true;                    // false: any certificate will do

  bool operator==(const BackendTls&) const = default;
};

struct TlsPolicy {
  TlsMode mode = TlsMode::kNone;
  // All below is of kTerminate.
  std::vector<std::string> certificates;
  // For clients that ask for no name, or for one that none of them is for. Empty: the only
  // certificate where there is one; where there are several, such clients are refused.
  std::string default_certificate;
  std::vector<std::string> alpn;  // RFC 7301; ours first; empty: nothing is agreed on
  // Whoever signs the certificates that clients must show; empty: they need none.
  std::vector<std::string> client_authorities;
  std::optional<BackendTls> backend;

  bool operator==(const TlsPolicy&) const = default;
};

inline constexpr size_t kMaxCertificates = 4096;  // of one port
inline constexpr size_t kMaxAuthorities = 16;
inline constexpr size_t kMaxAlpn = 16;
inline constexpr size_t kMaxCertificateName = 240;  // and so fits a file name

// Parts of letters, digits, '.', '_' and '-', joined by '/'; none is empty or only dots.
// "InvalidName" otherwise.
Status check_certificate_name(std::string_view name);

// Every certificate and authority that the policy names, each once, sorted.
std::vector<std::string> certificates_of(const TlsPolicy& tls);

namespace wire {

class JsonWriter;
class ObjectReader;

// The member "tls" of what is being read or written. Refusals are thrown, see json_reader.hpp.
void read_tls(ObjectReader& parent, TlsPolicy& out);
void put_tls(JsonWriter& out, const TlsPolicy& tls);

}  // namespace wire

}  // namespace lb
