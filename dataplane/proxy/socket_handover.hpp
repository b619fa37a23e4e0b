// What a byte path does so that another process can go on with its listening sockets.
//
// The one that leaves: sockets(), then release_sockets(), then DataPath::drain(). The one that
// comes: take() before the first DataPath::apply(), which uses what was taken instead of opening
// sockets but does not accept, and start_taken() when the other has stopped: at no time do both
// take datagrams of one client. Control thread only. Nothing throws.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <vector>

#include "common/net/fd.hpp"
#include "dataplane/proxy/data_path.hpp"

namespace lb::proxy {

// A listening socket of ours; borrowed, valid until control returns to the event loop.
struct ListenerSocket {
  ListenerId listener;
  unsigned worker = 0;
  bool shared = false;  // the only one of its listener, for all workers
  int fd = -1;
};

// The sockets of one listener that came from another process.
struct TakenListener {
  std::vector<std::vector<net::Fd>> owned;  // by worker; there may be several for one
  bool shared = false;
  std::vector<unsigned> may_open;  // workers that add a socket of their own once we accept
};
using TakenListeners = std::map<ListenerId, TakenListener>;

class SocketHandover {
 public:
  virtual ~SocketHandover() = default;

  virtual std::vector<ListenerSocket> sockets() const = 0;

  // Stops accepting and reading at once, and leaves what is queued to the other process. UDP
  // sockets go on sending what backends still answer. Nothing is opened any more. `done` once every
  // worker has done so; again after a second, should it throw std::bad_alloc.
  virtual void release_sockets(std::function<void()> done) = 0;

  virtual void take(TakenListeners taken) = 0;
  // Of listeners that no state asked for, the sockets are closed. Returns how many workers are left
  // without a socket that they should have had.
  virtual size_t start_taken() = 0;
};

}  // namespace lb::proxy
