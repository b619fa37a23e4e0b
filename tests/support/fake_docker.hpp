// A Docker daemon for tests, with the faults that daemons have.
//
// Speaks as much of the Engine API as the docker source asks for (GET /_ping, /containers/json with
// a filter by id, /events) over a unix socket of its own; one thread a connection. Every member may
// be called from any thread; faults hit from the moment the call returns. Nothing it does depends
// on time.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "tests/support/unix_fake.hpp"

namespace lb::test {

// One container as the API tells of it; `labels` are the members of a JSON object.
struct FakeContainer {
  std::string address = "10.0.0.1";
  std::string labels;
  std::string state = "running";
  std::string status = "Up 1 second";
  unsigned created = 1;
};

class FakeDocker : public UnixFake {
 public:
  FakeDocker();
  ~FakeDocker();

  // The id is the name. Without an event: a list finds it.
  void set(const std::string& name, FakeContainer container);
  void forget(const std::string& name);
  void tell(const std::string& action, const std::string& name, const std::string& signal = {});
  void tell_line(const std::string& line);  // any line
  // set() and tell(), forget() and tell().
  void run(const std::string& name, FakeContainer container);
  void end(const std::string& name);

  void answer_garbage(std::string body);  // to lists; empty: no longer
  void answer_status(int status);         // to everything but events; 200: as usual
  void cut_events_within_a_line();
  // Answers of that kind wait, and tell of the moment at which they were asked for.
  void hold_lists(bool held);
  void hold_reads(bool held);

  struct Counts {
    unsigned lists = 0, reads = 0, pings = 0, streams = 0, connections = 0;
  };
  Counts counts();
  unsigned open_streams();

 private:
  void converse(int fd) override;
  std::string answer(const std::string& target);
  std::string list(const std::string& id);
  void stream(int fd);

  // Guarded by mutex_.
  std::map<std::string, FakeContainer> containers_;
  std::vector<std::string> lines_;
  std::string garbage_;
  Counts counts_;
  unsigned streams_ = 0;
  unsigned cuts_ = 0;
  int status_ = 200;
  bool lists_held_ = false, reads_held_ = false;
};

}  // namespace lb::test
