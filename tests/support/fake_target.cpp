#include "tests/support/fake_target.hpp"

#include <array>
#include <cstring>
#include <utility>

#include "common/net/sockaddr.hpp"

namespace lb::test {
namespace {

using asio::ip::tcp;

tcp::endpoint to_asio(const Endpoint& endpoint) {
  const net::SockAddr raw = net::to_sockaddr(endpoint);
  tcp::endpoint out;
  std::memcpy(out.data(), raw.get(), raw.length);
  return out;
}

void read_until_end(const Connection& connection) {
  auto buffer = std::make_shared<std::array<char, 4096>>();
  connection->async_read_some(asio::buffer(*buffer),
                              [connection, buffer](const auto& error, size_t) {
                                if (!error) read_until_end(connection);
                              });
}

struct Script {
  std::vector<std::string> pieces;
  bool close = false;
  size_t said = 0;
};

void go_on(const Connection& connection, const std::shared_ptr<Script>& script) {
  if (script->said == script->pieces.size()) {
    if (!script->close) read_until_end(connection);
    return;
  }
  const std::string& piece = script->pieces[script->said++];
  asio::async_write(*connection, asio::buffer(piece),
                    [connection, script](const auto& error, size_t) {
                      if (!error) go_on(connection, script);
                    });
}

Serve after_hearing(const Script& script, const std::shared_ptr<std::string>& heard) {
  return [script, heard](const Connection& connection) {
    auto buffer = std::make_shared<std::array<char, 4096>>();
    connection->async_read_some(asio::buffer(*buffer), [=](const auto& error, size_t count) {
      if (error) return;
      if (heard) heard->assign(buffer->data(), count);
      go_on(connection, std::make_shared<Script>(script));
    });
  };
}

}  // namespace

FakeTarget::FakeTarget(asio::io_context& io, Serve serve, const Endpoint& where)
    : acceptor_(io, to_asio(where)), serve_(std::move(serve)) {
  accept();
}

Endpoint FakeTarget::endpoint() const {
  const auto local = acceptor_.local_endpoint();
  net::SockAddr raw;
  raw.length = static_cast<socklen_t>(local.size());
  std::memcpy(&raw.storage, local.data(), local.size());
  return net::to_endpoint(raw);
}

void FakeTarget::close() { acceptor_.close(); }

void FakeTarget::accept() {
  acceptor_.async_accept([this](const boost::system::error_code& error, tcp::socket socket) {
    if (error == asio::error::operation_aborted) return;
    if (!error) {
      ++accepted_;
      boost::system::error_code ignored;
      socket.set_option(tcp::no_delay(true), ignored);
      serve_(std::make_shared<tcp::socket>(std::move(socket)));
    }
    accept();
  });
}

Serve stay_silent() { return read_until_end; }

Serve hang_up() {
  return [](const Connection&) {};
}

Serve say(std::vector<std::string> pieces) {
  return [pieces = std::move(pieces)](const Connection& connection) {
    go_on(connection, std::make_shared<Script>(Script{pieces}));
  };
}

Serve answer(std::vector<std::string> pieces, std::shared_ptr<std::string> heard) {
  return after_hearing({std::move(pieces)}, heard);
}

Serve answer_and_close(std::string text) {
  return after_hearing({{std::move(text)}, true}, nullptr);
}

}  // namespace lb::test
