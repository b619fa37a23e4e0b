// A Consul agent for tests, with the faults that agents have.
//
// Speaks as much of the HTTP API as the consul source asks for (/v1/status/leader,
// /v1/catalog/services, /v1/health/service/NAME, the latter two as blocking queries) over a unix
// socket of its own; one thread a connection. Every member may be called from any thread; faults
// hit from the moment the call returns. Of time depends only how long a query waits.
#pragma once

#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "tests/support/unix_fake.hpp"

namespace lb::test {

// `tags` are the items of a JSON list; so is what `checks` says beside the one of the service.
struct FakeInstance {
  std::string address = "10.0.0.1";
  std::string tags;
  std::string status = "passing";
  std::string checks;
  std::string port = "8080";
};

class FakeConsul : public UnixFake {
 public:
  FakeConsul();
  ~FakeConsul();

  void set(const std::string& service, const std::string& id, FakeInstance instance);
  void forget(const std::string& service, const std::string& id);
  void forget_all();  // the agent has lost its data

  void answer_garbage(std::string body);  // to queries; empty: no longer
  void answer_status(int status);         // to everything; 200: as usual
  void lose_leader(bool lost);
  void omit_index(bool omitted);
  void answer_index(const std::string& index);  // whatever it is; empty: as usual; 0 has no news
  void restart_index();                         // at 1, and every query that waits is answered
  void want_token(const std::string& token);    // 403 without it

  struct Counts {
    unsigned leaders = 0, catalogues = 0, healths = 0, connections = 0, most_waiting = 0;
  };
  Counts counts();
  unsigned waiting();                   // queries about services, now
  std::set<std::string> targets();      // asked for, ever
  std::set<std::string> waits_asked();  // "30000ms"

 private:
  struct Query {
    std::string path, token, wait;
    uint64_t index = 0;
  };

  void converse(int fd) override;
  static Query parse(const std::string& head);
  std::string answer(const Query& query);
  std::string answer_blocking(const Query& query, std::unique_lock<std::mutex>& lock);
  bool faulty() const;
  uint64_t index_of(const std::string& path) const;
  std::string body_of(const std::string& path) const;
  void touch(const std::string& service, bool catalogue);

  // Guarded by mutex_.
  std::map<std::string, std::map<std::string, FakeInstance>> services_;
  std::map<std::string, uint64_t> indexes_;     // by path
  std::map<std::string, uint64_t> registered_;  // "service/id": when
  uint64_t index_ = 10;
  std::string garbage_, given_index_, token_;
  std::set<std::string> targets_, waits_;
  Counts counts_;
  unsigned waiting_ = 0, wakes_ = 0;
  int status_ = 200;
  bool leaderless_ = false, no_index_ = false;
};

}  // namespace lb::test
