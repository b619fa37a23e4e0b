// A TCP server on loopback that does with each connection what a test tells it to.
//
// Lives on the io_context it is given, its thread; port 0 takes a free one. Aborts the test
// program (by exception) when it cannot listen.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/model/address.hpp"
#include "common/net/asio.hpp"

namespace lb::test {

using Connection = std::shared_ptr<asio::ip::tcp::socket>;
using Serve = std::function<void(Connection)>;

class FakeTarget {
 public:
  FakeTarget(asio::io_context& io, Serve serve, const Endpoint& where = loopback());
  FakeTarget(const FakeTarget&) = delete;
  FakeTarget& operator=(const FakeTarget&) = delete;

  static Endpoint loopback() { return {IpAddress::v4(0x7f000001), 0}; }

  Endpoint endpoint() const;
  size_t accepted() const { return accepted_; }
  void serve(Serve serve) { serve_ = std::move(serve); }
  // Connections are refused from here on.
  void close();

 private:
  void accept();

  asio::ip::tcp::acceptor acceptor_;
  Serve serve_;
  size_t accepted_ = 0;
};

// Keeps the connection until the other side ends it, and says nothing.
Serve stay_silent();
// Ends it at once.
Serve hang_up();
// Sends the pieces one by one, each in a segment of its own, then stays silent.
Serve say(std::vector<std::string> pieces);
// The same, after something was received; `heard` (if any) gets that.
Serve answer(std::vector<std::string> pieces, std::shared_ptr<std::string> heard = nullptr);
// Answers and ends the connection.
Serve answer_and_close(std::string text);

}  // namespace lb::test
