// A FakeCluster behind a real socket, with the faults that API servers and networks have.
//
// For tests. Speaks HTTP/1.1 on a loopback port of its own; one thread per connection. Lists (in
// pages), watches from a version, WatchList, patches, Events and Leases. Every member may be called
// from any thread; faults hit from the moment the call returns. Nothing it does depends on time but
// the pauses of slow().
#pragma once

#include <chrono>
#include <condition_variable>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "common/net/asio.hpp"
#include "common/net/http_message.hpp"
#include "tests/support/fake_cluster.hpp"

namespace lb::test {

struct ServerCounts {
  uint64_t lists = 0, watches = 0, watch_lists = 0, writes = 0, conflicts = 0, refused = 0,
           expired = 0, unauthorized = 0, connections = 0;
};

class FakeApiServer {
 public:
  FakeApiServer();
  ~FakeApiServer();
  FakeApiServer(const FakeApiServer&) = delete;
  FakeApiServer& operator=(const FakeApiServer&) = delete;

  std::string url() const;
  uint16_t port() const { return port_; }

  // The cluster, for as long as the call takes; watches hear of it afterwards.
  template <class Use>
  auto with(Use use) {
    std::unique_lock lock(mutex_);
    struct Tell {
      FakeApiServer& server;
      ~Tell() { server.changed_.notify_all(); }
    } tell{*this};
    return use(cluster_);
  }

  // Whether the server knows WatchList: an older one answers 422.
  void set_watch_list(bool known);
  void set_page(size_t items);

  enum class Which : uint8_t { kAll, kWatches, kWrites };
  // Answers the next `times` requests of that kind so; what is open goes on.
  void refuse(int status, int times, Which which = Which::kAll, std::string retry_after = {});
  // Only requests with this bearer token are let in, and what is open ends.
  void require_token(std::string token);
  // Old versions are too old: said as an event in a 200, or as the status of the answer.
  void expire(bool as_event);
  void end_watches();                   // as after timeoutSeconds
  void cut_watches();                   // in the middle of a chunk
  void lie_to_watches();                // a line that is no JSON
  void tell_watches(std::string line);  // any line
  void bookmark();                      // to every watch
  void freeze();                        // what is open falls silent for ever, and stays open
  void slow(size_t bytes, std::chrono::milliseconds pause);  // watches, in pieces; 0: no longer
  void stop_accepting();                                     // nobody is there
  void accept_again();

  ServerCounts counts();
  std::vector<net::HttpRequest> requests();
  std::vector<Json> events();  // that were posted
  size_t open_watches();
  // Until that many are open; false after five seconds.
  bool wait_watching(size_t watches);

 private:
  using Socket = asio::ip::tcp::socket;
  struct Order {  // to every watch that is open
    enum class Kind : uint8_t { kEnd, kCut, kLine } kind;
    std::string line;
  };
  struct Refusal {
    int status = 0;
    int times = 0;
    Which which = Which::kAll;
    std::string retry_after;
  };
  struct Connection {
    Connection(Socket s, uint64_t at) : socket(std::move(s)), epoch(at) {}
    Socket socket;
    std::thread thread;
    const uint64_t epoch;
    bool over = false;  // guarded by mutex_
  };

  void open(uint16_t port);
  void accept();
  void serve(Connection& connection);
  bool answer(Connection& connection, const net::HttpRequest& request);
  bool send(Connection& connection, int status, const Json& body, const std::string& extra = {});
  bool watch(Connection& connection, const std::string& resource, const std::string& query);
  bool stream(Connection& connection, const std::string& resource, uint64_t from,
              std::vector<std::string> first);
  bool write_line(Connection& connection, const std::string& line);
  std::optional<Refusal> refusal(const net::HttpRequest& request);
  ClusterAnswer list(const std::string& resource, const std::string& query);
  ClusterAnswer named(const net::HttpRequest& request, const std::string& path);
  void order(Order order);
  bool authorized(const net::HttpRequest& request) const;
  void end_connections();

  asio::io_context io_;
  asio::ip::tcp::acceptor acceptor_{io_};
  uint16_t port_ = 0;
  std::thread acceptor_thread_;

  std::mutex mutex_;  // guards everything below
  std::condition_variable changed_;
  FakeCluster cluster_;
  std::list<Connection> connections_;
  std::vector<net::HttpRequest> requests_;
  std::vector<Json> events_;
  std::vector<Order> orders_;
  std::vector<Refusal> refusals_;
  ServerCounts counts_;
  std::string token_;
  size_t watching_ = 0;
  size_t page_ = 500;
  size_t piece_ = 0;
  std::chrono::milliseconds pause_{0};
  uint64_t frozen_before_ = 0;  // connections older than this say nothing
  uint64_t epoch_ = 1;
  bool watch_list_ = true;
  bool expired_as_event_ = true;
  bool stopping_ = false;
};

// What stands behind `name=` in a query; empty when it does not.
std::string query_value(const std::string& query, const std::string& name);

}  // namespace lb::test
