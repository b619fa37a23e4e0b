#include "dataplane/certificates_json.hpp"

#include "common/model/json.hpp"
#include "common/model/json_reader.hpp"
#include "common/model/json_writer.hpp"

namespace lb::dataplane {
namespace {

constexpr size_t kMaxDepth = 4;

void write(wire::JsonWriter& out, const std::string& name,
           const net::ServerCertificate& certificate) {
  out.begin_object();
  member(out, "name", name);
  member(out, "fingerprint", certificate.fingerprint());
  out.name("names");
  out.begin_array();
  for (const auto& each : certificate.names()) out.text(each);
  out.end_array();
  member(out, "not_before", net::utc_text(certificate.validity().from));
  member(out, "not_after", net::utc_text(certificate.validity().until));
  out.end_object();
}

}  // namespace

Result<net::SignedKey> decode_certificate(std::string_view text) {
  try {
    const auto document = wire::parse_strict(text, kMaxCertificateBytes, kMaxDepth);
    wire::ObjectReader reader(document, "");
    net::SignedKey out;
    reader.require("certificate");
    reader.text("certificate", out.certificate, kMaxCertificateBytes);
    reader.text("key", out.key, kMaxCertificateBytes);
    reader.finish();
    return out;
  } catch (const wire::Refused& refused) {
    return refused.error;
  }
}

std::string encode_certificate(const std::string& name, const net::ServerCertificate& certificate) {
  wire::JsonWriter out;
  write(out, name, certificate);
  return out.take();
}

std::string encode_certificates(
    const std::map<std::string, net::ServerCertificate::Pointer>& certificates) {
  wire::JsonWriter out;
  out.begin_object();
  out.name("certificates");
  out.begin_array();
  for (const auto& [name, certificate] : certificates) write(out, name, *certificate);
  out.end_array();
  out.end_object();
  return out.take();
}

}  // namespace lb::dataplane
