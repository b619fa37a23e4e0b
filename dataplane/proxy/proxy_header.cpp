#include "dataplane/proxy/proxy_header.hpp"

#include <array>

namespace lb::proxy {
namespace {

constexpr uint8_t kVersion2Proxy = 0x21;

constexpr std::array<uint32_t, 256> make_crc_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = value >> 1 ^ (value & 1 ? 0x82f63b78U : 0);
    table[i] = value;
  }
  return table;
}

void append_bytes(std::string& out, const IpAddress& address, bool as_v6) {
  const auto* bytes = reinterpret_cast<const char*>(address.bytes().data());
  if (address.is_v4() && as_v6) out.append(10, '\0').append(2, '\xff');
  out.append(bytes, address.is_v4() ? 4 : 16);
}

void append_16(std::string& out, size_t value) {
  out.push_back(static_cast<char>(value >> 8 & 0xff));
  out.push_back(static_cast<char>(value & 0xff));
}

std::string v2_start(uint8_t command, uint8_t family, size_t length) {
  std::string out(detail::kV2Signature);
  out.push_back(static_cast<char>(command));
  out.push_back(static_cast<char>(family));
  append_16(out, length);
  return out;
}

}  // namespace

namespace detail {

ParseResult need(size_t missing) {
  ParseResult out;
  out.missing = missing;
  return out;
}

ParseResult bad(std::string_view code, std::string_view reason) {
  ParseResult out;
  out.verdict = ParseResult::Verdict::kBad;
  out.code = code;
  out.reason = reason;
  return out;
}

Endpoint plain(const Endpoint& endpoint) {
  return {endpoint.address.unmapped().value_or(endpoint.address), endpoint.port};
}

}  // namespace detail

std::string encode_proxy_v1(const Endpoint& client, const Endpoint& local) {
  const Endpoint from = detail::plain(client);
  const Endpoint to = detail::plain(local);
  if (from.address.family() != to.address.family()) {
    return std::string(proxy_local_header(ProxyProtocol::kV1));
  }
  return std::string(detail::kV1Signature) + (from.address.is_v4() ? "TCP4 " : "TCP6 ") +
         from.address.to_string() + ' ' + to.address.to_string() + ' ' + std::to_string(from.port) +
         ' ' + std::to_string(to.port) + "\r\n";
}

std::string encode_proxy_v2(const Endpoint& client, const Endpoint& local, Protocol protocol) {
  const Endpoint from = detail::plain(client);
  const Endpoint to = detail::plain(local);
  const bool as_v6 = !from.address.is_v4() || !to.address.is_v4();
  const uint8_t family = (as_v6 ? 0x20 : 0x10) | (protocol == Protocol::kUdp ? 2 : 1);
  std::string out = v2_start(kVersion2Proxy, family, as_v6 ? 36 : 12);
  append_bytes(out, from.address, as_v6);
  append_bytes(out, to.address, as_v6);
  append_16(out, from.port);
  append_16(out, to.port);
  return out;
}

ParseResult parse_proxy_header(std::span<const uint8_t> received) {
  if (received.empty()) return detail::need(detail::kV1Shortest);
  if (received[0] == static_cast<uint8_t>(detail::kV2Signature[0])) {
    return detail::parse_v2(received);
  }
  return detail::parse_v1({reinterpret_cast<const char*>(received.data()), received.size()});
}

uint32_t crc32c(std::span<const uint8_t> bytes, uint32_t crc) {
  static constexpr auto kTable = make_crc_table();
  crc = ~crc;
  for (const uint8_t byte : bytes) crc = crc >> 8 ^ kTable[(crc ^ byte) & 0xff];
  return ~crc;
}

}  // namespace lb::proxy
