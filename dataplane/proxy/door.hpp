// The sockets of one address and port on one worker, and for whom their connections are.
//
// Of an engine, on its worker's thread; records without behaviour of their own.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <vector>

#include "common/net/fd.hpp"
#include "dataplane/balance/route_table.hpp"
#include "dataplane/proxy/session.hpp"

namespace lb::proxy {

struct Routes;
struct Door;

// What one service serves there.
struct LiveListener {
  std::shared_ptr<const ListenerConfig> config;
  std::shared_ptr<ListenerCounts> counts;
  std::shared_ptr<PortStats> stats;  // this worker's
  std::unique_ptr<balance::Picker> picker;
  std::vector<Session*> sessions;
  std::list<Session*> waiting;  // for a backend, the oldest first
  bool closed = false;          // what is left here has a time of its own
  bool is_lobby = false;
  bool behind_lobby = false;             // when its door closed
  const Door* door = nullptr;            // of a lobby, until it is closed
  std::shared_ptr<const Routes> routes;  // of a lobby; null: to be made
};
using Listener = std::shared_ptr<LiveListener>;

// Where a lobby's connections may go. Immutable.
struct Routes {
  balance::RouteTable table;
  std::vector<Listener> listeners;  // by the table's numbers
  std::vector<Cidr> proxies;        // that some of them trust to say for whom they speak
};

struct Door {
  Endpoint address;
  net::Fd fd;                   // invalid: another worker accepts
  std::vector<net::Fd> others;  // of the same address, from a process with more workers
  bool one_socket = false;
  SocketTuning tuning;                  // of the sockets
  std::map<Match, Listener> listeners;  // never empty while the door is open
  // Of those that have still to show for whom they come. Null: the one listener takes all.
  Listener lobby;
};

}  // namespace lb::proxy
