// What fakes of daemons have in common: a unix socket of their own with a thread for each
// connection, that may be away and come back, or take connections and say nothing.
//
// Public members may be called from any thread. A derived class guards its state by mutex_, waits
// with changed_, and calls stop() in its destructor, while converse() may still be called.
#pragma once

#include <condition_variable>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "common/net/socket_address.hpp"
#include "tests/support/temporary_folder.hpp"

namespace lb::test {

class UnixFake {
 public:
  UnixFake(const UnixFake&) = delete;
  UnixFake& operator=(const UnixFake&) = delete;

  net::SocketAddress address() const { return net::UnixPath{path_}; }

  void stop();               // nobody is there; what is open ends
  void start();              // there again
  void stall(bool stalled);  // takes connections and says nothing, on old ones neither

 protected:
  UnixFake() = default;
  virtual ~UnixFake() = default;

  // All that is said on a connection; it is closed afterwards.
  virtual void converse(int fd) = 0;

  void wait_unless_stalled(std::unique_lock<std::mutex>& lock);
  // False: the other end is gone.
  static bool write_all(int fd, std::string_view text);
  // The head of the next request, empty at the end; what has come beyond it stays in `unread`.
  static std::string read_head(int fd, std::string& unread);
  static std::string target_of(const std::string& head);
  // `headers`: whole lines, with their ends.
  static std::string reply(int status, const std::string& body, const std::string& headers = {});

  std::mutex mutex_;  // guards everything below, and what derived classes have
  std::condition_variable changed_;
  unsigned accepted_ = 0;
  bool stalled_ = false, stopped_ = true;

 private:
  struct Connection {
    int fd = -1;
    std::thread thread;
    bool over = false;
  };

  void accept_all(int listener);
  void serve(Connection& connection);

  const TemporaryFolder folder_;
  const std::string path_ = folder_.path() + "/daemon.sock";
  std::thread acceptor_;
  int listener_ = -1;
  std::list<Connection> connections_;
};

}  // namespace lb::test
