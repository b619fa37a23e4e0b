// UDP through the whole byte path of two workers: blocking sockets on both sides of it.
#pragma once

#include <mutex>

#include "tests/unit/dataplane/proxy/data_path_fixture.hpp"

namespace lb::proxy {
struct UdpSocket {
  UdpSocket() : fd(socket(AF_INET, SOCK_DGRAM, 0)) {
    const auto address = loopback(0);
    EXPECT_EQ(bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    const timeval limit{5, 0};
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    port = port_of(fd.get());
  }
  void send_to(uint16_t to, const std::string& text) {
    const auto address = loopback(to);
    sendto(fd.get(), text.data(), text.size(), 0, reinterpret_cast<const sockaddr*>(&address),
           sizeof address);
  }
  // The text, and who sent it.
  std::pair<std::string, uint16_t> receive() {
    char block[2048];
    sockaddr_in from{};
    socklen_t size = sizeof from;
    const ssize_t got =
        recvfrom(fd.get(), block, sizeof block, 0, reinterpret_cast<sockaddr*>(&from), &size);
    if (got < 0) return {"nothing", 0};
    return {std::string(block, size_t(got)), ntohs(from.sin_port)};
  }
  Fd fd;
  uint16_t port = 0;
};

class UdpPathTest : public DataPathTest {
 protected:
  ServicePort port(Protocol protocol, std::vector<uint16_t> backends) {
    ServicePort out;
    out.port = port_;
    out.protocol = protocol;
    out.policy = policy_;
    for (const uint16_t each : backends) {
      out.backends.emplace_back().address = *IpAddress::parse("127.0.0.1");
      out.backends.back().port = each;
    }
    return out;
  }
  std::vector<Failure> serve_ports(std::vector<ServicePort> ports) {
    DesiredState state{{1, ++generation_},
                       {{"file/dns", {*IpAddress::parse("127.0.0.1")}, std::move(ports), {}}}};
    return apply(std::move(state));
  }
};

}  // namespace lb::proxy
