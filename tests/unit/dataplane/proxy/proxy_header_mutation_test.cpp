// The parser of PROXY headers against a second one, written in another way, over headers with
// random damage: both must say the same of each.
#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <sstream>

#include "proxy_header_samples.hpp"

namespace lb::proxy {
namespace {

using Verdict = ParseResult::Verdict;

// One line for one verdict, to compare and to print.
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
      const size_t want = test::slow_crc(zeroed);
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

std::string naive(const std::string& bytes) {
  if (bytes.empty()) return "more";
  return bytes[0] == '\r' ? naive_v2(bytes) : naive_v1(bytes);
}

class Damage {
 public:
  explicit Damage(uint64_t seed) : random_(seed), good_(test::good_headers()) {}

  std::string next() {
    std::string out = good_[pick(good_.size())];
    if (pick(8) == 0) out = random_header();
    for (size_t i = pick(4); i > 0 && !out.empty(); --i) harm(out);
    if (pick(3) == 0) out += std::string(pick(400), "x\r\n "[pick(4)]);
    return out;
  }

 private:
  size_t pick(size_t count) { return random_() % count; }

  std::string random_header() {
    const Endpoint client = test::random_endpoint(random_);
    const Endpoint local = test::random_endpoint(random_);
    if (pick(2) == 0) return encode_proxy_v1(client, local);
    std::string out =
        encode_proxy_v2(client, local, pick(2) == 0 ? Protocol::kTcp : Protocol::kUdp);
    return pick(2) == 0 ? out : test::with_crc(out);
  }

  void harm(std::string& text) {
    static const std::string kLikely("\r\n 0159.:fPROXYTCKU\0\3\x10\x11\x20\x21\x31\xff", 27);
    const size_t at = pick(text.size());
    switch (pick(7)) {
      case 0:
        text[at] = static_cast<char>(text[at] ^ 1 << pick(8));
        return;
      case 1:
        text[at] = kLikely[pick(kLikely.size())];
        return;
      case 2:
        text.insert(at, 1, kLikely[pick(kLikely.size())]);
        return;
      case 3:
        text.erase(at, 1 + pick(4));
        return;
      case 4:
        text.resize(at);
        return;
      case 5:
        text.insert(at, text.substr(at, 1 + pick(20)));
        return;
      default:
        if (text.size() > 15) text[12 + pick(4)] = static_cast<char>(pick(256));
    }
  }

  std::mt19937_64 random_;
  std::vector<std::string> good_;
};

TEST(ProxyHeaderMutation, TwoParsersAgreeOnDamagedHeaders) {
  Damage damage(test::printed_seed());
  std::map<std::string, int> seen;
  for (int i = 0; i < 100000; ++i) {
    const std::string bytes = damage.next();
    const std::string got = told(test::parse(bytes));
    ASSERT_EQ(got, naive(bytes)) << testing::PrintToString(bytes);
    ++seen[got.substr(0, 4)];
  }
  for (const auto& [verdict, count] : seen) std::cout << verdict << ' ' << count << std::endl;
  for (const char* verdict : {"more", "bad", "done"}) EXPECT_GT(seen[verdict], 1000) << verdict;
}

TEST(ProxyHeaderMutation, ABadVerdictStaysAndAGoodOneDoesNotMove) {
  Damage damage(test::printed_seed());
  for (int i = 0; i < 3000; ++i) {
    const std::string bytes = damage.next();
    std::string settled;
    for (size_t size = 0; size <= bytes.size(); ++size) {
      const std::string got = told(test::parse(bytes.substr(0, size)));
      if (settled.empty()) settled = got == "more" ? "" : got;
      ASSERT_EQ(got, settled.empty() ? "more" : settled) << testing::PrintToString(bytes) << size;
    }
  }
}

}  // namespace
}  // namespace lb::proxy
