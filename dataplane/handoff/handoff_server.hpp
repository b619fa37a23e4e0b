// The running process's side of a hitless upgrade: hands its listening sockets to a new process.
//
// Listens on a unix socket (mode 0600) for processes of the same user or of root, one handoff at a
// time; handoff_message.hpp has the protocol. Made, used and destroyed on the control thread,
// which runs `io`; callbacks come there too and must not destroy the server. Nothing throws.
//
// Whatever goes wrong before `released` is called, the process goes on as if nothing had happened:
// the error is reported and counted. Once `released` has been called the server listens no more,
// and its path is free for the new process's own.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/model/result.hpp"
#include "common/net/asio.hpp"
#include "dataplane/handoff/handoff_offer.hpp"
#include "dataplane/handoff/handoff_session.hpp"

namespace lb::handoff {

struct Callbacks {
  // What is handed over, or why nothing can be now. The lock stays open until `released` is called
  // or the server ends.
  std::function<Result<Offer>()> offer;

  // The listening sockets that are open now, asked for before descriptors are sent later than the
  // offer.
  std::function<std::vector<OfferedSocket>()> sockets;

  // The new process accepts: stop accepting, closing without resetting what is queued (a plain
  // close(2) does, as the new process has the sockets too); do not save the state; leave announced
  // addresses where they are; fill in the last counters. Every descriptor must be taken out of its
  // epoll set before it is closed: it would stay in there for as long as the new process lives
  // (epoll(7), Q6).
  std::function<void(FinalReport&)> released;

  // Every failure and refusal, and with code "HandedOver" the success.
  std::function<void(const Error&)> report;
};

struct HandoffCounts {
  uint64_t started = 0;    // a process came and was let in
  uint64_t refused = 0;    // another user's, or while one was under way
  uint64_t failed = 0;     // started, and we go on
  uint64_t completed = 0;  // 0 or 1
};

class HandoffServer {
 public:
  // Error "Listen" with the reason.
  static Result<std::unique_ptr<HandoffServer>> open(asio::io_context& io, const std::string& path,
                                                     Callbacks callbacks, HandoffTimes times = {});
  ~HandoffServer();  // the path is freed; a handoff under way fails, and nobody is told
  HandoffServer(const HandoffServer&) = delete;
  HandoffServer& operator=(const HandoffServer&) = delete;

  // Now and then: accepts again where want of memory has kept it from that.
  void look();
  bool busy() const { return session_ != nullptr; }  // a handoff is under way
  const HandoffCounts& counts() const { return counts_; }

 private:
  using Socket = HandoffSession::Socket;

  HandoffServer(asio::io_context& io, std::string path, Callbacks callbacks, HandoffTimes times);

  void accept();
  void accept_later();
  void take_and_go_on(Socket socket);
  void on_connection(Socket socket);
  void begin(Socket socket);
  void refuse(Socket socket, const Error& why);
  Counters release();
  void on_ended(const Status& outcome);
  void close();
  void report(const Error& error) const;

  const std::string path_;
  const Callbacks callbacks_;
  const HandoffTimes times_;
  asio::local::stream_protocol::acceptor acceptor_;
  asio::steady_timer retry_;
  std::shared_ptr<HandoffSession> session_;
  HandoffCounts counts_;
  bool released_ = false;
  std::weak_ptr<bool> accepting_;  // gone: nobody does, nor will
  // Expires with us: a handler may be on its way, without an error, when we are destroyed.
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>();
};

}  // namespace lb::handoff
