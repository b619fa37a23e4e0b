// One handoff as the running process sees it, from the first document to the last.
//
// On the control thread's executor; kept alive by its own operations. Ends exactly once, with
// `ended` as its last call, unless it is abandoned. Until `release` is called nothing about the
// running process changes. It opens no descriptor, so that a process that has none left can be
// upgraded too: those of the offer are sent as they are, and when the other side was waited for in
// the middle, only if `sockets` still has them; error "ListenerClosed" otherwise. Want of memory
// ends it with "OutOfMemory"; where that comes after `release`, the new process does not hear the
// last counters and goes on with those of the offer. Only what `ended` throws is thrown.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "common/model/result.hpp"
#include "common/net/asio.hpp"
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
    std::function<std::vector<OfferedSocket>()> sockets;
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
  void send_descriptors();
  void send_more_descriptors();
  bool still_open() const;
  void on_serving(const std::string& text);
  void release();
  void write(std::string text, std::function<void()> next);
  void refuse(const Error& error);
  void end(Status outcome);
  bool failed(const boost::system::error_code& code);
  // Runs a step; for want of memory the handoff ends.
  template <class StepOfIt>
  void guarded(const StepOfIt& step) {
    try {
      step();
    } catch (const std::bad_alloc&) {
      end(Error{"OutOfMemory", "no memory"});  // short enough to need none
    }
  }

  Socket socket_;
  asio::steady_timer timer_;
  const HandoffTimes times_;
  Hooks hooks_;
  bool over_ = false;
  LengthBytes length_{};
  std::string text_;                    // being read or written
  std::vector<OfferedSocket> offered_;  // of the process; the lock has no label
  size_t sent_ = 0;
};

}  // namespace lb::handoff
