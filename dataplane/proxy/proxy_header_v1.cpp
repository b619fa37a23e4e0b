#include <algorithm>
#include <array>
#include <charconv>

#include "dataplane/proxy/proxy_header.hpp"

namespace lb::proxy::detail {
namespace {

// What may stand between the protocol word and CRLF; empty: anything but CR and LF.
struct Word {
  std::string_view text;
  std::string_view alphabet;
};

constexpr std::array<Word, 3> kWords{
    {{"TCP4 ", "0123456789. "}, {"TCP6 ", "0123456789abcdefABCDEF:. "}, {"UNKNOWN", ""}}};
constexpr Family kFamilies[] = {Family::kV4, Family::kV6};
constexpr size_t kUnknown = 2;

size_t missing_of(size_t size) {
  return std::max<size_t>(2, kV1Shortest - std::min(size, kV1Shortest));
}

bool agree(std::string_view text, std::string_view expected) {
  const size_t common = std::min(text.size(), expected.size());
  return text.substr(0, common) == expected.substr(0, common);
}

std::optional<uint16_t> parse_port(std::string_view text) {
  if (text.size() > 1 && text.front() == '0') return std::nullopt;
  uint16_t port = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, port);
  if (error != std::errc{} || stop != end) return std::nullopt;
  return port;
}

std::optional<Endpoint> parse_pair(std::string_view address, std::string_view port, Family family) {
  const auto where = IpAddress::parse(address);
  const auto number = parse_port(port);
  if (!where.ok() || where->family() != family || !number) return std::nullopt;
  return plain({*where, *number});
}

// Exactly four fields and one blank between each.
std::optional<std::array<std::string_view, 4>> split(std::string_view text) {
  std::array<std::string_view, 4> out;
  for (size_t i = 0; i < out.size(); ++i) {
    const size_t blank = text.find(' ');
    if ((blank == std::string_view::npos) != (i + 1 == out.size())) return std::nullopt;
    out[i] = text.substr(0, blank);
    text.remove_prefix(std::min(text.size(), out[i].size() + 1));
  }
  return out;
}

ParseResult read_fields(std::string_view text, Family family, size_t consumed) {
  const auto fields = split(text);
  if (!fields) return bad("BadLine", "A PROXY line needs two addresses and two ports.");
  const auto client = parse_pair((*fields)[0], (*fields)[2], family);
  const auto destination = parse_pair((*fields)[1], (*fields)[3], family);
  if (!client || !destination) {
    return bad("BadLine", "A PROXY line holds an address or a port that is not valid.");
  }
  ParseResult out;
  out.verdict = ParseResult::Verdict::kDone;
  out.consumed = consumed;
  out.client = client;
  out.destination = destination;
  out.protocol = Protocol::kTcp;
  return out;
}

ParseResult finish(std::string_view line, size_t word, size_t end) {
  const size_t start = kV1Signature.size() + kWords[word].text.size();
  if (word != kUnknown) {
    return read_fields(line.substr(start, end - start), kFamilies[word], end + 2);
  }
  ParseResult out;
  out.verdict = ParseResult::Verdict::kDone;
  out.consumed = end + 2;
  return out;
}

ParseResult parse_rest(std::string_view received, size_t word) {
  const std::string_view line = received.substr(0, kMaxProxyV1);
  const size_t start = kV1Signature.size() + kWords[word].text.size();
  const std::string_view alphabet = kWords[word].alphabet;
  const size_t stop = alphabet.empty() ? line.find_first_of("\r\n", start)
                                       : line.find_first_not_of(alphabet, start);
  if (std::min(stop, line.size()) + 2 > kMaxProxyV1) {
    return bad("LineTooLong", "A PROXY line is longer than 107 bytes.");
  }
  if (word == kUnknown && line.size() > start && line[start] != ' ' && line[start] != '\r') {
    return bad("BadProtocol", "A PROXY line names neither TCP4, TCP6 nor UNKNOWN.");
  }
  if (stop == std::string_view::npos) return need(missing_of(line.size()));
  if (line[stop] != '\r')
    return bad("BadLine", "A PROXY line holds a byte that has no place there.");
  if (stop + 1 == line.size()) return need(1);
  if (line[stop + 1] != '\n') return bad("BadLine", "A PROXY line holds CR without LF.");
  return finish(line, word, stop);
}

}  // namespace

ParseResult parse_v1(std::string_view received) {
  if (!agree(received, kV1Signature)) {
    return bad("NotProxyHeader", "The connection does not begin with a PROXY header.");
  }
  if (received.size() <= kV1Signature.size()) return need(missing_of(received.size()));
  const std::string_view rest = received.substr(kV1Signature.size());
  for (size_t word = 0; word < kWords.size(); ++word) {
    if (!agree(rest, kWords[word].text)) continue;
    if (rest.size() < kWords[word].text.size()) return need(missing_of(received.size()));
    return parse_rest(received, word);
  }
  return bad("BadProtocol", "A PROXY line names neither TCP4, TCP6 nor UNKNOWN.");
}

}  // namespace lb::proxy::detail
