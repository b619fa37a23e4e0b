// One handoff as the running process sees it, from the first document to the last.
//
// On the control thread's executor; kept alive by its own operations. Ends exactly once, with
// `ended` as its last call, unless it is abandoned. Until `release` is called nothing about the
// running process changes. Nothing throws.
#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "common/model/result.hpp"
#include "common/net/asio.hpp"
#include "common/net/fd.hpp"
#include "dataplane/handoff/handoff_offer.hpp"

namespace lb::handoff {

struct HandoffTimes {
  std::chrono::milliseconds hello{5000};     // from connecting to saying what is wanted
  std::chrono::milliseconds serving{30000};  // from the offer to the word that it is served
};

class HandoffSession : public std::enable_shared_from_this<HandoffSession> {
 public:
  using Socket = asio::local::stream_protocol::socket;

  struct Hooks {
    std::function<Result<Offer>()> offer;
    std::function<Counters()> release;
    std::function<void(Status)> ended;
  };

  HandoffSession(Socket socket, HandoffTimes times, Hooks hooks);

  void start();
  void abandon();  // ends it without a word to anybody

 private:
  using Next = void (HandoffSession::*)(const std::string& text);

  void arm(std::chrono::milliseconds limit, const char* what_for);
  void read_document(Next next);
  void on_length(const boost::system::error_code& failed, Next next);
  void on_hello(const std::string& text);
  void send_offer();
  Status prepare(const Offer& offer);
  void send_descriptors();
  void on_serving(const std::string& text);
  void release();
  void write(std::string text, std::function<void()> next);
  void refuse(const Error& error);
  void end(Status outcome);
  bool failed(const boost::system::error_code& code);

  Socket socket_;
  asio::steady_timer timer_;
  const HandoffTimes times_;
  Hooks hooks_;
  bool over_ = false;
  LengthBytes length_{};
  std::string text_;                // being read or written
  std::deque<net::Fd> duplicates_;  // still to be sent: the originals may be closed meanwhile
};

}  // namespace lb::handoff
