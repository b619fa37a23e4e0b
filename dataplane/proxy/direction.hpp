// One direction of a relayed connection: bytes from a source socket to a sink socket.
//
// No event loop inside: the owner says when the source may be readable or the sink writable
// (edge-triggered, epoll(7)) and calls pump(). Small traffic is copied through the worker's
// scratch buffer; after two full reads the direction splices (splice(2)) through a borrowed pipe,
// and goes back after repeated small chunks. What is decrypted or is to be encrypted is always
// copied. Holds no memory while nothing waits for the sink. Borrows both sockets. One thread.
// Errors are returned, never thrown.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/proxy/kept_bytes.hpp"
#include "dataplane/proxy/pipe_pool.hpp"
#include "dataplane/tls/tls_stream.hpp"

namespace lb::proxy {

// What a worker lends to every direction of its connections.
struct RelayResources {
  std::vector<char> scratch = std::vector<char>(64 << 10);
  std::string wire = {};  // what TLS has made, on its way to a socket
  PipePool pipes;
  uint64_t copied = 0;
  uint64_t spliced = 0;
  // Set for the length of a pump() whose source is to be kept. Its bytes are copied, never spliced:
  // they are too many to be kept before there are enough of them for that.
  KeptBytes* kept = nullptr;
  // Ends by FIN of sources that speak TLS, which ought to say so before: clients, backends.
  uint64_t cut_off = 0;
  uint64_t backend_cut_off = 0;
};

// One end of a direction.
struct Peer {
  Peer(int socket, tls::TlsStream* stream = nullptr) : fd(socket), tls(stream) {}

  int fd;
  tls::TlsStream* tls;  // null: bytes as they are
};

enum class PumpResult : uint8_t {
  kWaiting,  // for the source or for the sink
  kMore,     // the turn is used up; call again after others had theirs
  kEnded,    // the source's FIN was seen and everything before it is with the sink's kernel
  kSourceFailed,
  kSinkFailed,
};

class Direction {
 public:
  void source_ready(bool end_in_sight) {
    readable_ = true;
    end_in_sight_ = end_in_sight_ || end_in_sight;
    fresh_ = true;
  }

  PumpResult pump(Peer source, Peer sink, RelayResources& resources);

  // The sink is to get this, as it is, behind what waits for it already.
  void owe(const std::string& wire);
  // Sends what waits; false: the sink is gone.
  bool flush(int sink, RelayResources& resources);

  bool ended() const { return ended_ && !has_pending(); }
  bool has_pending() const { return pending_ || (pipe_ && pipe_->held > 0); }
  uint64_t bytes() const { return bytes_; }
  size_t pending_bytes() const { return pending_ ? pending_->size() : 0; }
  bool end_in_sight() const { return end_in_sight_; }
  // More than the end is to be expected of the source.
  bool about_to_read() const { return readable_ && !end_in_sight_ && !ended_; }

  // Another sink is to get `bytes`, all that has come from the source, before anything else.
  void repeat(const std::string& bytes, RelayResources& resources);

  // Drops what still waits, when the sink is gone.
  void abandon(RelayResources& resources);

 private:
  enum class Step : uint8_t { kGoOn, kStop, kYield, kSourceFailed, kSinkFailed };

  Step drain(int sink, RelayResources& resources);
  Step fill(Peer source, Peer sink, RelayResources& resources);
  Step fill_by_copy(int source, Peer sink, RelayResources& resources);
  Step fill_by_splice(int source, int sink, RelayResources& resources);
  Step fill_by_tls(Peer source, Peer sink, RelayResources& resources);
  Step pass_on(Peer sink, size_t size, RelayResources& resources);
  Step send_now(int sink, const char* data, size_t size);
  Step on_read_error();
  void note_copy(size_t got, size_t room);
  void note_splice(size_t got);
  void return_pipe(RelayResources& resources);

  std::unique_ptr<std::string> pending_;  // waits for the sink; never empty
  std::unique_ptr<Pipe> pipe_;
  uint64_t bytes_ = 0;
  uint8_t streak_ = 0;  // full reads while copying, small chunks while splicing
  bool readable_ = false;
  bool fresh_ = false;  // readable since the source's TLS last looked
  bool end_in_sight_ = false;
  bool ended_ = false;
  bool splicing_ = false;
};

}  // namespace lb::proxy
