#include "dataplane/handoff/handoff_server.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <new>
#include <system_error>
#include <utility>

#include "common/net/listen_socket.hpp"
#include "dataplane/handoff/peer_check.hpp"

namespace lb::handoff {
namespace {

using boost::system::error_code;

constexpr size_t kMaxPath = 107;  // sun_path with its terminating zero
constexpr std::chrono::seconds kAcceptAgain{1};

Error listen_error(const std::string& path, const std::string& why) {
  return {"Listen", "cannot listen on " + path + ": " + why};
}

}  // namespace

Result<std::unique_ptr<HandoffServer>> HandoffServer::open(asio::io_context& io,
                                                           const std::string& path,
                                                           Callbacks callbacks,
                                                           HandoffTimes times) {
  if (path.empty() || path.size() > kMaxPath) return listen_error(path, "no name for a socket");
  auto listening = net::open_listener(net::UnixPath{path});
  if (!listening.ok()) return listening.error();
  std::unique_ptr<HandoffServer> server(new HandoffServer(io, path, std::move(callbacks), times));
  error_code failed;
  server->acceptor_.assign(asio::local::stream_protocol{}, listening->fd.get(), failed);
  if (failed) return listen_error(path, failed.message());
  listening->fd.release();
  if (::chmod(path.c_str(), 0600) != 0) {
    return listen_error(path, std::generic_category().message(errno));
  }
  server->accept();
  return server;
}

HandoffServer::HandoffServer(asio::io_context& io, std::string path, Callbacks callbacks,
                             HandoffTimes times)
    : path_(std::move(path)),
      callbacks_(std::move(callbacks)),
      times_(times),
      acceptor_(io),
      retry_(io) {}

HandoffServer::~HandoffServer() {
  if (session_) session_->abandon();
  close();
}

// Our file is nobody else's while we listen: others replace only one that does not answer.
void HandoffServer::close() {
  if (!acceptor_.is_open()) return;
  ::unlink(path_.c_str());
  error_code ignored;
  acceptor_.close(ignored);
  retry_.cancel();
}

// Held by whoever will accept, or do so later: however that ends, it is seen to have ended.
void HandoffServer::accept() {
  auto accepting = std::make_shared<bool>(true);
  accepting_ = accepting;
  acceptor_.async_accept([this, accepting = std::move(accepting), alive = std::weak_ptr(alive_)](
                             const error_code& failed, Socket socket) {
    if (alive.expired() || released_ || failed == asio::error::operation_aborted) return;
    if (failed) return accept_later();
    take_and_go_on(std::move(socket));
  });
}

void HandoffServer::take_and_go_on(Socket socket) {
  try {
    on_connection(std::move(socket));
  } catch (const std::bad_alloc&) {
    accept();
    throw;
  }
  accept();
}

void HandoffServer::look() {
  if (accepting_.expired() && !released_) accept();
}

// Out of descriptors, most likely: the caller stays in the queue meanwhile.
void HandoffServer::accept_later() {
  auto accepting = std::make_shared<bool>(true);
  accepting_ = accepting;
  retry_.expires_after(kAcceptAgain);
  retry_.async_wait([this, accepting = std::move(accepting),
                     alive = std::weak_ptr(alive_)](const error_code& cancelled) {
    if (!cancelled && !alive.expired() && !released_) accept();
  });
}

// Asio's accept() leaves it to be inherited by the programs that we start.
void HandoffServer::on_connection(Socket socket) {
  (void)::fcntl(socket.native_handle(), F_SETFD, FD_CLOEXEC);
  if (const auto peer = check_peer(socket.native_handle()); !peer) {
    return refuse(std::move(socket), peer.error());
  }
  if (busy()) {
    return refuse(std::move(socket), {"HandoffBusy", "another handoff is under way"});
  }
  begin(std::move(socket));
}

void HandoffServer::begin(Socket socket) {
  ++counts_.started;
  HandoffSession::Hooks hooks{callbacks_.offer, callbacks_.sockets, [this] { return release(); },
                              [this](const Status& outcome) { on_ended(outcome); }};
  const auto session =
      std::make_shared<HandoffSession>(std::move(socket), times_, std::move(hooks));
  session_ = session;
  session->start();
}

void HandoffServer::refuse(Socket socket, const Error& why) {
  ++counts_.refused;
  const std::string text = encode_refusal(why.code + ": " + why.message);
  const LengthBytes length = encode_length(text.size());
  error_code ignored;
  socket.native_non_blocking(true, ignored);
  socket.write_some(std::array{asio::buffer(length), asio::buffer(text)}, ignored);
  report(why);
}

Counters HandoffServer::release() {
  released_ = true;
  close();
  FinalReport final_report;
  callbacks_.released(final_report);
  return std::move(final_report.counters);
}

void HandoffServer::on_ended(const Status& outcome) {
  session_.reset();
  if (!released_) {
    ++counts_.failed;
    return report(outcome.error());
  }
  ++counts_.completed;
  if (!outcome.ok()) report(outcome.error());
  report({"HandedOver", "another process serves now"});
}

void HandoffServer::report(const Error& error) const {
  if (callbacks_.report) callbacks_.report(error);
}

}  // namespace lb::handoff
