// Brings one data plane to the desired state and keeps it there.
//
// Lives on the io_context's thread. Reads what is held before it first writes, and takes over what
// it finds; changes are gathered for 20 ms and one request is in flight. A patch goes when the data
// plane is known to hold what was acknowledged last, the whole state otherwise. A second connection
// waits for news (status long poll): another instance or another pair there leads to a whole state.
// Without a Lease the epoch is the held one + 1; a higher epoch held by the data plane means that
// somebody else publishes: this one stops for good and says so.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/model/state.hpp"
#include "common/net/asio.hpp"
#include "common/net/http_client.hpp"
#include "controller/kube/backoff.hpp"

namespace lb::controller {

struct DataplaneStatus {
  std::string instance;
  std::string rev;
  std::set<std::string> features;
  Version version;
  std::vector<Failure> failed;
};

class PublisherObserver {
 public:
  virtual ~PublisherObserver() = default;
  // First contact: what the data plane holds, before anything of ours.
  virtual void held(const DesiredState& state) = 0;
  // Every worker of the data plane has applied this.
  virtual void acknowledged(const DesiredState& state, const std::vector<Failure>& failed) = 0;
  virtual void status(const DataplaneStatus& status) = 0;
  // Silent for longer than the limit (true), or heard again (false).
  virtual void lost(bool lost) = 0;
};

struct PublisherCounters {
  uint64_t puts = 0, patches = 0, acknowledged = 0, conflicts = 0, refused = 0, errors = 0;
  uint64_t superseded = 0;  // 1: somebody with a higher epoch publishes
};

class Publisher {
 public:
  struct Options {
    net::HttpServerAddress dataplane;
    std::chrono::milliseconds coalesce{20};
    std::chrono::milliseconds request_timeout{30'000};
    std::chrono::seconds poll{25};  // how long the data plane may wait for news
    std::chrono::seconds lost_after{60};
  };

  Publisher(asio::io_context& io, Options options, PublisherObserver& observer);
  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;

  void start();
  void stop();

  // What is wanted under this key; nullopt: nothing. Cheap when nothing changes.
  void set(const std::string& key, std::optional<Service> service);

  bool contacted() const { return contacted_; }
  bool superseded() const { return counters_.superseded > 0; }
  const PublisherCounters& counters() const { return counters_; }
  Version version() const { return acknowledged_.version; }

 private:
  void read_held();
  void take_over(const net::HttpResponse& response);
  void schedule();
  void publish();
  void send(net::HttpRequest request, DesiredState offered);
  void answered(const net::HttpResponse& response, DesiredState offered);
  void conflict(const net::HttpResponse& response);
  void retry_later();
  void poll();
  void poll_later(std::chrono::milliseconds pause);
  bool polled(const net::HttpResponse& response);
  void heard();
  void watch_silence();
  void note_error(const Error& error);
  DesiredState wanted_state() const;

  asio::io_context& io_;
  const Options options_;
  PublisherObserver& observer_;
  net::HttpClient writer_;
  net::HttpClient reader_;
  asio::steady_timer send_timer_;
  asio::steady_timer poll_timer_;
  asio::steady_timer silence_timer_;
  kube::Backoff send_backoff_{std::chrono::milliseconds(100), std::chrono::milliseconds(2'000)};
  kube::Backoff poll_backoff_{std::chrono::milliseconds(100), std::chrono::milliseconds(2'000)};
  PublisherCounters counters_;

  std::map<std::string, ServiceList::Element> wanted_;
  DesiredState acknowledged_;
  uint64_t epoch_ = 0;
  uint64_t generation_ = 0;
  std::string instance_;
  std::string rev_;
  asio::steady_timer::time_point last_heard_{};
  asio::steady_timer::time_point asked_{};  // the poll under way
  bool contacted_ = false;
  bool whole_ = true;     // the next change must be a PUT
  bool changed_ = false;  // wanted_ differs from what was sent last
  bool scheduled_ = false;
  bool in_flight_ = false;
  bool lost_ = false;
  bool complained_ = false;
  bool stopped_ = false;
};

}  // namespace lb::controller
