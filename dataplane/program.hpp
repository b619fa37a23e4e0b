// The running data plane: loads a state, serves it, and ends in order at SIGTERM or SIGINT.
//
// One object per process, on the main thread, which becomes the control thread while run() lasts.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "common/net/asio.hpp"
#include "common/net/http_server.hpp"
#include "common/ops/shutdown.hpp"
#include "dataplane/admin.hpp"
#include "dataplane/announce/link_announcer.hpp"
#include "dataplane/announce/packet_filter.hpp"
#include "dataplane/announce/vrrp_announcer.hpp"
#include "dataplane/announced_path.hpp"
#include "dataplane/checked_path.hpp"
#include "dataplane/config.hpp"
#include "dataplane/coordinator.hpp"
#include "dataplane/drains.hpp"
#include "dataplane/flow_log.hpp"
#include "dataplane/state_store.hpp"

namespace lb::dataplane {

class Program {
 public:
  explicit Program(Config config) : config_(std::move(config)) {}

  // The exit code: 0 ended by a signal, 1 could not start (said on standard error).
  int run();

 private:
  Status prepare();
  Status open_store();
  Status open_path();
  void path_changed();
  Result<std::unique_ptr<announce::Announcer>> make_announcer();
  std::unique_ptr<announce::Announcer> make_link_announcer();
  void make_filter();
  void set_filter(const std::vector<announce::Vip>& vips, std::function<void()> in_force);
  Status open_servers();
  Result<DesiredState> first_state();
  void serve(DesiredState state);
  void begin_end();
  void end();
  std::string metrics() const;

  Config config_;
  asio::io_context io_{1};
  std::unique_ptr<StateStore> store_;
  std::unique_ptr<announce::PacketFilter> filter_;
  std::unique_ptr<proxy::DataPath> path_;
  announce::LinkAnnouncer* link_announcer_ = nullptr;  // inside announced_
  announce::VrrpAnnouncer* vrrp_announcer_ = nullptr;  // or this one
  AnnouncedPath* announced_ = nullptr;                 // path_, when it announces
  CheckedPath* checked_ = nullptr;                     // below it
  std::unique_ptr<Drains> drains_;
  std::unique_ptr<FlowLog> flow_log_;
  std::unique_ptr<Coordinator> coordinator_;
  std::unique_ptr<Admin> admin_;
  std::unique_ptr<net::HttpServer> admin_server_;
  std::unique_ptr<net::HttpServer> observe_server_;
};

}  // namespace lb::dataplane
