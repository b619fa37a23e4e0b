// Services of a Consul agent: those whose instances ask for it by tag, followed through blocking
// queries.
//
// Lives on the io_context's thread. One query waits for news of the catalogue, others for news of
// each service in it that may ask to be served (ConsulWatches says how many at once); beside them
// the agent is asked every few seconds for the cluster's leader, so that one that has stalled is
// noticed long before a query that waits is late. An agent that is away, silent or incomprehensible
// costs nothing but news: what it last said is kept, the source is stale, and it is asked again
// with growing pauses until every service has been read; what is lost by then is believed after
// `doubt` only. The token is read from its file for each session, and is in no error and no log.
// https://developer.hashicorp.com/consul/api-docs/features/blocking
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/net/asio.hpp"
#include "common/net/http_client.hpp"
#include "controller/kube/backoff.hpp"
#include "controller/sources/consul_set.hpp"
#include "controller/sources/consul_watches.hpp"
#include "controller/sources/source.hpp"

namespace lb::sources {

struct ConsulCounters {
  uint64_t catalogues = 0;  // read
  uint64_t reads = 0;       // of services, also those that brought nothing new
  uint64_t resets = 0;      // indexes that went backwards
  uint64_t errors = 0;      // times Consul could not be followed
  uint64_t unread = 0;      // instances that could not be read, each time
  uint64_t doubts = 0;      // times losses were not believed for a while
};

class ConsulSource : public Source {
 public:
  using Milliseconds = std::chrono::milliseconds;

  struct Options {
    net::HttpServerAddress server;
    std::string token_file = {};  // empty: none
    std::string datacenter = {};  // empty: the agent's own
    ConsulWatches::Options watches = {};
    Milliseconds catalogue_pause{200};   // between the beginnings of two questions for it
    Milliseconds answer_timeout{8'000};  // beyond what a query may wait
    Milliseconds ping_interval{3'000};
    Milliseconds ping_timeout{4'000};
    Milliseconds first_retry{100};
    Milliseconds last_retry{2'000};
    Milliseconds doubt{30'000};
    size_t most_body = 32u << 20;  // of an answer, bytes
  };

  ConsulSource(asio::io_context& io, Options options, SourceSink& sink);
  ~ConsulSource() override;

  std::string prefix() const override { return "consul/"; }
  void start() override;
  void stop() override;

  const ConsulCounters& counters() const { return counters_; }
  size_t instances() const { return set_.instances(); }
  size_t services() const { return watches_.size(); }

 private:
  using Clock = std::chrono::steady_clock;
  using Take = std::function<void(const net::HttpResponse&)>;

  void connect();
  Status read_token();
  void fail(const Error& error);
  void ask_catalogue();
  void take_catalogue(const net::HttpResponse& answer);
  void follow_names();
  void pump();
  net::HttpClient& idle_client();
  void ask_service(const ConsulWatches::Question& question);
  void take_service(const ConsulWatches::Question& question, const net::HttpResponse& answer);
  void tell_unread(const std::string& what, const Error& error);
  void ask(net::HttpClient& client, const std::string& path, uint64_t index, Milliseconds wait,
           Take take);
  void send(net::HttpClient& client, const std::string& target, Milliseconds timeout, Take take);
  std::string target(const std::string& path, uint64_t index, Milliseconds wait) const;
  // Nullopt: the session has failed.
  std::optional<uint64_t> index_after(uint64_t asked, const net::HttpResponse& answer);
  void settle();
  void await_ping();
  void ping();
  void await_belief();
  void check_leader(const std::string& body);
  void flush(ConsulSet::Changes changes);
  template <class Handler>
  auto in_session(Handler handler);

  asio::io_context& io_;
  const Options options_;
  const std::string name_;
  SourceSink& sink_;
  ConsulSet set_;
  ConsulWatches watches_;
  ConsulCounters counters_;
  kube::Backoff backoff_;
  std::shared_ptr<const bool> session_;  // null: not connected; handlers of an old one do nothing
  std::string token_;
  std::unique_ptr<net::HttpClient> ping_client_, catalogue_client_;
  std::vector<std::unique_ptr<net::HttpClient>> clients_;  // one a question about a service
  std::vector<net::HttpClient*> idle_;                     // of them
  asio::steady_timer retry_timer_, ping_timer_, catalogue_timer_, pump_timer_, belief_timer_;
  std::set<std::string> named_;  // by the catalogue
  uint64_t catalogue_index_ = 0;
  bool catalogue_read_ = false;  // in this session
  bool whole_ = false;           // likewise: every service has been read
  bool stale_ = false;
  bool stopped_ = false;
  std::set<std::string> told_unread_;
};

}  // namespace lb::sources
