// Services of a Docker daemon: containers that ask for it by label, followed through the daemon's
// events.
//
// Lives on the io_context's thread. The stream of events is opened before the first list, so that
// nothing is missed in between; each event has its container read again, many at once the whole
// list. A daemon that is away, silent or incomprehensible costs nothing but news: what it last said
// is kept, the source is stale, and it is asked again with growing pauses until a list is whole.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "common/net/asio.hpp"
#include "common/net/http_client.hpp"
#include "common/net/http_lines.hpp"
#include "controller/kube/backoff.hpp"
#include "controller/sources/docker_set.hpp"
#include "controller/sources/source.hpp"

namespace lb::sources {

struct DockerCounters {
  uint64_t events = 0;  // about containers
  uint64_t lists = 0;   // whole ones that were taken
  uint64_t reads = 0;   // of single containers
  uint64_t errors = 0;  // times the daemon could not be followed
  uint64_t unread = 0;  // containers that could not be read, each time
};

class DockerSource : public Source {
 public:
  using Milliseconds = std::chrono::milliseconds;

  struct Options {
    net::HttpServerAddress server;
    Milliseconds ping_interval{3'000};
    Milliseconds ping_timeout{4'000};  // for the header of the events too
    Milliseconds list_timeout{8'000};  // a daemon may answer a ping and nothing else
    Milliseconds list_interval{30'000};
    Milliseconds list_pause{100};  // between two lists that events call for
    Milliseconds first_retry{100};
    Milliseconds last_retry{2'000};
    Milliseconds drain_limit{
        300'000};            // a container that runs on after its signal is none that ends
    size_t most_reads = 50;  // more containers than that are read as a list
  };

  DockerSource(asio::io_context& io, Options options, SourceSink& sink);
  ~DockerSource() override;

  std::string prefix() const override { return "docker/"; }
  void start() override;
  void stop() override;

  const DockerCounters& counters() const { return counters_; }
  size_t containers() const { return set_.containers(); }

 private:
  using Clock = std::chrono::steady_clock;
  using Read = void (DockerSource::*)(const std::string& id, const std::string& body);

  void connect();
  void fail(const Error& error);
  void opened();
  void take_event(std::string_view line);
  void pump();
  void read_all();
  void read_one(const std::string& id);
  void ask(const std::string& target, const std::string& id, Read take);
  void take_all(const std::string& id, const std::string& body);
  void take_one(const std::string& id, const std::string& body);
  void tell_unread(const plan::UnreadContainer& unread);
  void settle(const std::string& id);
  void settle_all();
  void flush();
  void fresh();
  void await_ping();
  void ping();
  void await_list();
  void rest();
  void end_drains(Clock::time_point now);
  template <class Handler>
  auto in_session(Handler handler);

  asio::io_context& io_;
  const Options options_;
  const std::string name_;
  SourceSink& sink_;
  DockerSet set_;
  DockerCounters counters_;
  kube::Backoff backoff_;
  std::shared_ptr<const bool> session_;  // null: not connected; handlers of an old one do nothing
  std::unique_ptr<net::HttpClient> client_;
  std::unique_ptr<net::HttpLines> events_;
  asio::steady_timer retry_timer_, ping_timer_, list_timer_, rest_timer_;
  std::set<std::string> dirty_;     // ids to be read
  std::set<std::string> reading_;   // ids of reads under way
  std::set<std::string> settling_;  // ids that drain no longer, once they are read
  std::map<std::string, Clock::time_point> draining_;  // until when at most
  std::set<std::string> told_unread_;
  bool listing_ = false;
  bool list_wanted_ = false;
  bool resting_ = false;  // after a list
  bool stale_ = false;
  bool stopped_ = false;
};

}  // namespace lb::sources
