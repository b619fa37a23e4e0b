// A server of handoffs on a control thread of its own, with sockets to give away, for tests.
//
// The test's own thread is the new process. Callbacks run on the control thread; what they saw is
// asked for with the functions below, which wait up to ten seconds.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "dataplane/handoff/handoff_client.hpp"
#include "dataplane/handoff/handoff_server.hpp"

namespace lb::handoff {

net::Fd listening_socket();  // TCP, 127.0.0.1, SO_REUSEPORT
net::Fd datagram_socket();   // UDP, 127.0.0.1
Endpoint endpoint_of(const net::Fd& socket);
bool can_connect(const Endpoint& where);
bool becomes_true(const std::function<bool()>& condition);  // within ten seconds
Error error_of(const Result<std::optional<Taken>>& taken);

class HandoffFixture : public testing::Test {
 protected:
  HandoffFixture();
  ~HandoffFixture() override;

  void start_server(HandoffTimes times = {});
  void stop_server();
  void give(net::Fd socket, Protocol protocol, unsigned worker = 0);
  void give_lock();

  Result<std::optional<Taken>> take() const;
  Taken taken() const;  // the same, where it must succeed
  BlockingChannel connected() const;
  bool reported(const std::string& code);  // at least once, now or soon
  HandoffCounts counts();
  bool busy();
  void look();  // as the control thread's pulse does it
  void on_control_thread(const std::function<void()>& work);
  std::string path() const { return (folder_ / "handoff.sock").string(); }

  std::filesystem::path folder_;
  asio::io_context io_;
  Offer offer_;
  std::optional<Error> no_offer_;                   // what the callback answers instead of an offer
  std::optional<std::vector<OfferedSocket>> open_;  // what is said to be open; as offered if unset
  std::vector<net::Fd> given_;
  net::Fd lock_;
  std::atomic<int> releases_{0};
  std::atomic<int> memory_wants_{0};  // that ended a handler of the control thread

 private:
  void run();
  Callbacks callbacks();

  asio::executor_work_guard<asio::io_context::executor_type> work_;
  std::thread control_;
  std::unique_ptr<HandoffServer> server_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::string> reports_;  // guarded by mutex_
};

}  // namespace lb::handoff
