// One client's exchange with one backend over UDP, and the listener that it came through.
//
// Records without behaviour; UdpRelay owns them, drives them and deletes them at the end of the
// batch of events in which they died. They live on one worker's thread. Times are ms.
#pragma once

#include <memory>
#include <string>

#include "common/net/fd.hpp"
#include "dataplane/proxy/listener_config.hpp"
#include "dataplane/proxy/timer_wheel.hpp"
#include "dataplane/proxy/udp_key.hpp"
#include "dataplane/proxy/udp_session_table.hpp"
#include "dataplane/proxy/udp_unanswered.hpp"

namespace lb::proxy {

struct UdpListener;

struct UdpSession : TimerEntry {
  UdpKey key;
  UdpPeer client{};
  UdpListener* listener = nullptr;  // outlives its sessions
  net::Fd fd;                       // connected to the backend
  std::shared_ptr<BackendRecord> backend;
  BackendStats* stats = nullptr;  // of that backend on this worker
  std::shared_ptr<ListenerCounts> counts;
  std::shared_ptr<SourceLimits> limits;  // where its address is counted; null: nowhere
  std::string introduction;              // goes ahead of each datagram to the backend
  uint64_t serial = 0;                   // of this worker
  uint64_t began = 0;
  uint64_t last_active = 0;
  uint64_t bytes_in = 0, bytes_out = 0;  // passed on
  uint32_t moves = 0;
  uint32_t kept = 0;        // where the first unanswered datagram may be, see UdpKeepsakes
  uint32_t unanswered = 0;  // datagrams that went to this backend after its last reply
  UdpSession *older = nullptr, *newer = nullptr;  // see UdpUnanswered
  bool answered = true;    // some backend has replied, or its end is there: not in that list
  bool proven = false;     // this backend has replied at all
  bool bursts = false;     // it sends many at a time: GRO is on for fd
  bool trains_in = true;   // the path to the backend takes UDP_SEGMENT
  bool trains_out = true;  // so does the path to the client
  bool stranded = false;   // its backend has left, and it waits in line to move
  bool logged = false;     // its end is told
  bool dead = false;
};

struct UdpListener {
  net::Fd fd;
  std::vector<net::Fd> others;  // of the same address, from a process with more workers
  std::shared_ptr<const ListenerConfig> config;
  std::shared_ptr<PortStats> stats;
  std::unique_ptr<balance::Picker> picker;
  UdpSessionTable table;
  UdpUnanswered<UdpSession> unanswered;
  uint64_t drain_ends = 0;  // 0: serves
  bool closing = false;     // takes no new client
  bool held = false;        // not read from yet: another process does
  bool released = false;    // another process reads; fd only sends what backends answer
  bool bursts = false;      // some client sends many at a time: GRO is on
  bool unsettled = false;   // want of memory kept its sessions from hearing of its configuration
  uint32_t overflows = 0;   // as last seen
};

}  // namespace lb::proxy
