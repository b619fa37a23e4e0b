// Several services on one address and port, told apart by names and by where clients come from.
#pragma once

#include "dataplane/proxy/proxy_header.hpp"
#include "tests/support/client_hello.hpp"
#include "tests/unit/dataplane/proxy/ended_fixture.hpp"

namespace lb::proxy {

struct Guest {
  std::string key;
  Match match;
  std::vector<uint16_t> backends;
  Policy policy = {};
};

class NamesTest : public EndedTest {
 protected:
  static Match named(std::vector<std::string> names) { return {std::move(names), {}}; }
  static Match from(std::vector<Cidr> sources) { return {{}, std::move(sources)}; }
  static std::string hello(const std::string& name) {
    return test::records(test::client_hello(name));
  }

  std::vector<Failure> serve_all(const std::vector<Guest>& guests) {
    DesiredState state{{1, ++generation_}, {}};
    for (const auto& guest : guests) {
      ServicePort out = port(Protocol::kTcp, guest.backends);
      out.match = guest.match;
      out.policy = guest.policy;
      state.services.push_back({guest.key, {*IpAddress::parse("127.0.0.1")}, {out}, {}});
    }
    normalise(state);
    return apply(std::move(state));
  }

  Fd dial_from(const char* source) {
    Fd fd(socket(AF_INET, SOCK_STREAM, 0));
    const timeval limit{5, 0};
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    auto address = loopback(0);
    EXPECT_EQ(inet_pton(AF_INET, source, &address.sin_addr), 1);
    EXPECT_EQ(bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    const auto to = loopback(port_);
    EXPECT_EQ(connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
    return fd;
  }
  // Says so much, and gives the server's end of it.
  Fd reach(const Fd& client, const std::string& text, Server& server) {
    write_all(client.get(), text);
    Fd peer = server.accept_one();
    EXPECT_EQ(read_some(peer, text.size()), text);
    return peer;
  }
  static std::string read_some(const Fd& fd, size_t size) {
    std::string out(size, '\0');
    const ssize_t got = recv(fd.get(), out.data(), size, MSG_WAITALL);
    out.resize(got < 0 ? 0 : size_t(got));
    return out;
  }
  // Of a service, over all of its listeners.
  PortTotals totals_of(const std::string& key) {
    for (auto& each : all_totals()) {
      if (each.key == key) return each;
    }
    return {};
  }
  bool works(const Fd& client, const Fd& peer) {
    write_all(client.get(), "more");
    if (read_some(peer, 4) != "more") return false;
    write_all(peer.get(), "back");
    return read_some(client, 4) == "back";
  }

  Server a_, b_, rest_;
};

// RFC 8446, section 6: fatal, unrecognized_name.
inline const std::string kUnrecognizedName("\x15\x03\x03\x00\x02\x02\x70", 7);

}  // namespace lb::proxy
