// Every text form of an address: what is taken is printed and read back as the same.
#include "common/model/address.hpp"

#include <string>

#include "common/net/socket_address.hpp"
#include "tests/fuzz/target.hpp"

namespace {

using namespace lb;
using lb::fuzz::must;

// Four decimal numbers up to 255 without leading zeros.
bool naive_v4(std::string_view text) {
  int parts = 1, digits = 0, value = 0;
  bool zero = false;
  for (const char c : text) {
    if (c == '.') {
      if (digits == 0) return false;
      ++parts;
      digits = value = 0;
      continue;
    }
    if (c < '0' || c > '9') return false;
    zero = digits == 0 ? c == '0' : zero;
    value = value * 10 + (c - '0');
    if (++digits > 3 || value > 255 || (digits > 1 && zero)) return false;
  }
  return parts == 4 && digits > 0;
}

void check_address(std::string_view text) {
  const auto address = IpAddress::parse(text);
  must(naive_v4(text) == (address.ok() && address->is_v4()), "two parsers of IPv4 agree");
  if (!address) return must(!address.error().message.empty(), "a refusal says why");
  must(IpAddress::parse(address->to_string()).value() == *address, "an address is printed whole");
  if (const auto inner = address->unmapped()) must(inner->is_v4(), "a mapped address is IPv4");
  if (const auto next = address->next()) must(*address < *next, "the next address is greater");
  for (const auto use : {AddressUse::kListener, AddressUse::kBackend}) {
    const bool refused = refuse_address(*address, use, false).has_value();
    must(!refused || refuse_address(*address, use, true), "a cluster is never allowed more");
  }
}

void check_endpoint(std::string_view text) {
  const auto endpoint = parse_endpoint(text);
  if (endpoint) must(parse_endpoint(endpoint->to_string()).value() == *endpoint, "an endpoint");
}

void check_cidr(std::string_view text) {
  const auto cidr = Cidr::parse(text);
  if (!cidr) return;
  must(Cidr::parse(cidr->to_string()).value() == *cidr, "a CIDR is printed whole");
  must(cidr->contains(cidr->first()) && cidr->contains(cidr->last()), "a CIDR has both ends");
  must(cidr->first() <= cidr->last(), "a CIDR has an order");
  if (const auto next = cidr->last().next()) must(!cidr->contains(*next), "a CIDR ends");
}

void check_range(std::string_view text) {
  const auto range = AddressRange::parse(text);
  if (!range) return;
  must(AddressRange::parse(range->to_string()).value() == *range, "a range is printed whole");
  must(range->contains(range->first) && range->contains(range->last), "a range has both ends");
}

void check_socket_address(std::string_view text) {
  const auto address = net::parse_socket_address(text);
  if (address) must(net::parse_socket_address(to_string(*address)).value() == *address, "a socket");
  const auto observe = net::parse_observe(text);
  if (observe && *observe) must(!(*observe)->address.is_wildcard(), "never a wildcard");
}

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto text = lb::fuzz::as_text(data, size);
  check_address(text);
  check_endpoint(text);
  check_cidr(text);
  check_range(text);
  check_socket_address(text);
  return 0;
}
