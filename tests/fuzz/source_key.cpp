// What tables look a client up by: equal for one client, different for another.
//
// The input is two socket addresses, as the kernel would fill them in, and two local addresses.
#include "dataplane/proxy/source_key.hpp"

#include <algorithm>
#include <cstring>

#include "common/net/sockaddr.hpp"
#include "dataplane/proxy/udp_key.hpp"
#include "tests/fuzz/target.hpp"

namespace {

using namespace lb;
using namespace lb::proxy;
using lb::fuzz::must;

class Bytes {
 public:
  Bytes(const uint8_t* data, size_t size) : data_(data), size_(size) {}

  // What is not there is 0.
  template <class T>
  T take() {
    T out{};
    const size_t length = std::min(size_, sizeof out);
    std::memcpy(&out, data_, length);
    data_ += length;
    size_ -= length;
    return out;
  }

 private:
  const uint8_t* data_;
  size_t size_;
};

UdpPeer take_peer(Bytes& bytes) {
  UdpPeer out;
  std::memset(&out, 0, sizeof out);
  if (bytes.take<uint8_t>() % 2 == 0) {
    out.v4.sin_family = AF_INET;
    out.v4.sin_port = bytes.take<uint16_t>();
    out.v4.sin_addr.s_addr = bytes.take<uint32_t>();
    return out;
  }
  out.v6.sin6_family = AF_INET6;
  out.v6.sin6_port = bytes.take<uint16_t>();
  out.v6.sin6_addr = bytes.take<in6_addr>();
  out.v6.sin6_scope_id = bytes.take<uint32_t>();
  return out;
}

Endpoint endpoint_of(const UdpPeer& peer) {
  net::SockAddr address;
  std::memcpy(&address.storage, &peer, length_of(peer));
  address.length = length_of(peer);
  const Endpoint out = net::to_endpoint(address);
  must(net::to_endpoint(net::to_sockaddr(out)) == out, "an address comes back from the kernel");
  must(address_of(peer) == out.address, "both know the client's address");
  return out;
}

uint32_t scope_of(const UdpPeer& peer) {
  return peer.base.sa_family == AF_INET ? 0 : peer.v6.sin6_scope_id;
}

// An address that was mapped into IPv6 is the IPv4 one.
IpAddress plain(const IpAddress& address) { return address.unmapped().value_or(address); }

void check_source(const IpAddress& a, const IpAddress& b) {
  const bool one = plain(a) == plain(b);
  must((key_of_address(a) == key_of_address(b)) == one, "one key for one address");
  const bool near = plain(a).is_v4() || plain(b).is_v4() ? one : Cidr(a, 64) == Cidr(b, 64);
  must((key_of_source(a) == key_of_source(b)) == near, "one key for one /64");
}

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Bytes bytes(data, size);
  const UdpPeer one = take_peer(bytes), two = take_peer(bytes);
  const RawAddress here = bytes.take<RawAddress>(), there = bytes.take<RawAddress>();
  const Endpoint a = endpoint_of(one), b = endpoint_of(two);
  const UdpKey key = make_udp_key(one, here), other = make_udp_key(two, there);
  // A socket has one family, so the tables never hold both.
  if (one.base.sa_family == two.base.sa_family) {
    const bool same = a == b && scope_of(one) == scope_of(two) && here == there;
    must((key == other) == same, "one key for one session");
  }
  const HashSeed seed{1, 2};
  if (key == other) must(hash_of(key, seed) == hash_of(other, seed), "equal keys, equal hashes");
  check_source(a.address, b.address);
  return 0;
}
