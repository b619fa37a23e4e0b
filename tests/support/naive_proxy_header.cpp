#include "tests/support/naive_proxy_header.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <map>
#include <sstream>
#include <vector>

namespace lb::proxy::test {

using Verdict = ParseResult::Verdict;

namespace {

// What a text address means, as the parser prints it; empty when it is none.
std::string naive_address(int family, const std::string& text) {
  uint8_t bytes[16];
  char printed[INET6_ADDRSTRLEN];
  if (text.find_first_of("/%") != std::string::npos) return "";
  if (inet_pton(family, text.c_str(), bytes) != 1) return "";
  inet_ntop(family, bytes, printed, sizeof printed);
  const std::string out = printed;
  const bool mapped = family == AF_INET6 &&
                      std::all_of(bytes, bytes + 10, [](int b) { return !b; }) &&
                      bytes[10] == 0xff && bytes[11] == 0xff;
  if (mapped) {
    inet_ntop(AF_INET, bytes + 12, printed, sizeof printed);
    return printed;
  }
  return family == AF_INET6 ? '[' + out + ']' : out;
}

bool naive_port(const std::string& text) {
  if (text.empty() || text.size() > 5) return false;
  if (text.find_first_not_of("0123456789") != std::string::npos) return false;
  return std::to_string(std::stoi(text)) == text && std::stoi(text) < 65536;
}

std::string naive_fields(const std::string& line) {
  std::vector<std::string> words(1);
  for (const char c : line) {
    if (c == ' ') {
      words.emplace_back();
    } else {
      words.back() += c;
    }
  }
  if (words.size() != 6 || !naive_port(words[4]) || !naive_port(words[5])) return "bad";
  const int family = words[1] == "TCP4" ? AF_INET : AF_INET6;
  const std::string from = naive_address(family, words[2]);
  const std::string to = naive_address(family, words[3]);
  if (from.empty() || to.empty()) return "bad";
  return "done " + std::to_string(line.size() + 2) + ' ' + from + ':' + words[4] + ' ' + to + ':' +
         words[5] + " tcp";
}

// Whether `line`, which has no CR yet, can still become a line that is read at all.
bool naive_hope(const std::string& line) {
  if (line.size() >= 106) return false;
  for (const auto& [start, allowed] : std::vector<std::pair<std::string, std::string>>{
           {"PROXY TCP4 ", "0123456789. "}, {"PROXY TCP6 ", "0123456789ABCDEFabcdef.: "}}) {
    if (start.starts_with(line)) return true;
    if (!line.starts_with(start)) continue;
    return line.find_first_not_of(allowed, start.size()) == std::string::npos;
  }
  const std::string unknown = "PROXY UNKNOWN ";
  return unknown.starts_with(line) ||
         (line.starts_with(unknown) && line.find('\n') == std::string::npos);
}

std::string naive_v1(const std::string& bytes) {
  const size_t cr = bytes.find('\r');
  const std::string line = bytes.substr(0, cr);
  if (line != "PROXY UNKNOWN" && !naive_hope(line)) return "bad";
  if (cr == std::string::npos) return "more";
  const bool words_whole = line.starts_with("PROXY UNKNOWN") || line.starts_with("PROXY TCP4 ") ||
                           line.starts_with("PROXY TCP6 ");
  if (!words_whole) return "bad";
  if (cr + 1 == bytes.size()) return "more";
  if (bytes[cr + 1] != '\n') return "bad";
  if (line.starts_with("PROXY UNKNOWN")) return "done " + std::to_string(cr + 2);
  return naive_fields(line);
}

size_t number_at(const std::string& bytes, size_t at) {
  return static_cast<uint8_t>(bytes[at]) * 256U + static_cast<uint8_t>(bytes[at + 1]);
}

// "" : does not fit; else one letter for each field, 'C' for a right checksum, 'W' for a wrong one.
std::string naive_tlvs(const std::string& header, size_t at) {
  std::string out = ".";
  while (at != header.size()) {
    if (at + 3 > header.size()) return "";
    const size_t next = at + 3 + number_at(header, at + 1);
    if (next > header.size()) return "";
    if (header[at] == 3) {
      if (next != at + 7) return "";
      std::string zeroed = header;
      zeroed.replace(at + 3, 4, 4, '\0');
      const size_t want = slow_crc(zeroed);
      out += want == number_at(header, at + 3) * 65536 + number_at(header, at + 5) ? 'C' : 'W';
    }
    at = next;
  }
  return out.size() > 2 ? "" : out;
}

std::string naive_binary_address(const std::string& header, size_t at, int family) {
  char printed[INET6_ADDRSTRLEN];
  inet_ntop(family, header.data() + at, printed, sizeof printed);
  return naive_address(family, printed);
}

std::string naive_v2_addresses(const std::string& header) {
  const int kind = header[13];
  if (kind == 0 || kind >= 0x30) return "";
  const int family = kind < 0x20 ? AF_INET : AF_INET6;
  const size_t size = family == AF_INET ? 4 : 16;
  const size_t ports = 16 + 2 * size;
  return ' ' + naive_binary_address(header, 16, family) + ':' +
         std::to_string(number_at(header, ports)) + ' ' +
         naive_binary_address(header, 16 + size, family) + ':' +
         std::to_string(number_at(header, ports + 2)) + (kind % 2 == 0 ? " udp" : " tcp");
}

std::string naive_v2(const std::string& bytes) {
  const std::string start("\r\n\r\n\0\r\nQUIT\n", 12);
  if (start.starts_with(bytes)) return "more";
  if (!bytes.starts_with(start)) return "bad";
  const bool local = bytes[12] == 0x20;
  if (!local && bytes[12] != 0x21) return "bad";
  if (bytes.size() == 13) return "more";
  const std::string kind = std::to_string(static_cast<uint8_t>(bytes[13]));
  const std::map<std::string, size_t> sizes = {{"0", 0},   {"17", 12},  {"18", 12}, {"33", 36},
                                               {"34", 36}, {"49", 216}, {"50", 216}};
  if (!local && !sizes.contains(kind)) return "bad";
  if (bytes.size() < 16) return "more";
  const size_t addresses = sizes.contains(kind) ? sizes.at(kind) : 0;
  const size_t end = 16 + number_at(bytes, 14);
  if (end > 4096 || (!local && end < 16 + addresses)) return "bad";
  if (bytes.size() < end) return "more";
  const bool cut = end < 16 + addresses;
  const std::string fields = cut ? "" : naive_tlvs(bytes.substr(0, end), 16 + addresses);
  if (fields.ends_with('W') || (!local && fields.empty())) return "bad";
  return "done " + std::to_string(end) + (local ? " local" : naive_v2_addresses(bytes));
}

}  // namespace

uint32_t slow_crc(const std::string& bytes) {
  uint32_t crc = 0xffffffff;
  for (const char byte : bytes) {
    for (int bit = 0; bit < 8; ++bit) {
      const bool carry = ((crc ^ static_cast<uint8_t>(byte) >> bit) & 1) != 0;
      crc = crc / 2 ^ (carry ? 0x82f63b78 : 0);
    }
  }
  return ~crc;
}

std::string told(const ParseResult& result) {
  if (result.verdict == Verdict::kNeedMore) return "more";
  if (result.verdict == Verdict::kBad) return "bad";
  std::ostringstream out;
  out << "done " << result.consumed << (result.local ? " local" : "");
  if (result.client) out << ' ' << result.client->to_string();
  if (result.destination) out << ' ' << result.destination->to_string();
  if (result.protocol) out << (*result.protocol == Protocol::kUdp ? " udp" : " tcp");
  return out.str();
}

std::string naive_verdict(const std::string& bytes) {
  if (bytes.empty()) return "more";
  return bytes[0] == '\r' ? naive_v2(bytes) : naive_v1(bytes);
}

}  // namespace lb::proxy::test
