// The running data plane: loads a state, serves it, and ends in order at SIGTERM or SIGINT, or when
// another process has taken over its sockets (program_handoff.cpp).
//
// One object per process, on the main thread, which becomes the control thread while run() lasts.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>

#include "common/net/asio.hpp"
#include "common/net/http_server.hpp"
#include "common/ops/costly_text.hpp"
#include "common/ops/shutdown.hpp"
#include "dataplane/address_watch.hpp"
#include "dataplane/admin.hpp"
#include "dataplane/announce/link_announcer.hpp"
#include "dataplane/announce/packet_filter.hpp"
#include "dataplane/announce/vrrp_announcer.hpp"
#include "dataplane/announced_path.hpp"
#include "dataplane/carried_counts.hpp"
#include "dataplane/certificates.hpp"
#include "dataplane/checked_path.hpp"
#include "dataplane/config.hpp"
#include "dataplane/coordinator.hpp"
#include "dataplane/drains.hpp"
#include "dataplane/flow_log.hpp"
#include "dataplane/handoff/handoff_client.hpp"
#include "dataplane/handoff/handoff_server.hpp"
#include "dataplane/metrics.hpp"
#include "dataplane/proxy/socket_handover.hpp"
#include "dataplane/state_store.hpp"

namespace lb::dataplane {

class Program {
 public:
  // Throws std::system_error without descriptors for an event loop.
  explicit Program(Config config) : config_(std::move(config)) {}

  // The exit code: 0 ended by a signal or after a handoff, 1 could not start (said on standard
  // error).
  int run();

 private:
  Status start(std::optional<ops::Shutdown>& shutdown);
  Status prepare();
  void watch_addresses();
  Status open_store();
  Status open_path();
  void path_changed();
  void log_flow(const proxy::FlowRecord& record) noexcept;
  Result<std::unique_ptr<announce::Announcer>> make_announcer();
  std::unique_ptr<announce::Announcer> make_link_announcer();
  void make_filter();
  void set_filter(const std::vector<announce::Vip>& vips, std::function<void()> in_force);
  Status open_servers();
  Result<DesiredState> first_state();
  void serve(DesiredState state);
  void first_applied(const Result<ApplyResult>& answer);
  void run_handlers();
  void begin_end();
  void end_after_handoff();
  void end_unless_handed_over();
  void end();
  proxy::DataPathCounters own_counters() const;
  std::string metrics() const;

  // Taking over, in this order.
  Status take_over();
  net::Fd taken_lock();
  void use_taken_sockets();
  void use_taken_drains();
  Status all_taken_served() const;
  bool confirm();
  void begin_sharing();
  bool give_up(const Error& why);
  void open_when_free();

  // Handing over.
  Status open_handoff();
  Result<handoff::Offer> offer();
  std::vector<handoff::OfferedSocket> offered_sockets() const;
  void released(handoff::FinalReport& report);
  unsigned drain_after_handoff() const;
  void leave_further();
  void leave_folder();
  void tell_of_leaving();
  void leave_network_to_it();
  void leave_admin();
  void leave_observers();
  void leave_admin_server();
  void word_is_out();
  void on_pulse();
  void handoff_reported(const Error& error);
  void leaving_part_over();
  void leave_network(std::function<void()> gone);
  handoff::Counters counts_to_carry() const;
  void add_handoff_metrics(Metrics& out) const;

  Config config_;
  proxy::DescriptorShares descriptors_;
  uint64_t memory_wants_ = 0;  // of this thread
  ops::CostlyText metrics_text_{[this] { return metrics(); }};
  asio::io_context io_{1};
  std::unique_ptr<StateStore> store_;
  std::shared_ptr<tls::CertificateBook> book_ = std::make_shared<tls::CertificateBook>();
  std::unique_ptr<Certificates> certificates_;
  std::unique_ptr<announce::PacketFilter> filter_;
  std::unique_ptr<proxy::DataPath> path_;
  proxy::SocketHandover* handover_ = nullptr;          // inside path_
  announce::LinkAnnouncer* link_announcer_ = nullptr;  // inside announced_
  announce::VrrpAnnouncer* vrrp_announcer_ = nullptr;  // or this one
  AnnouncedPath* announced_ = nullptr;                 // path_, when it announces
  CheckedPath* checked_ = nullptr;                     // below it
  std::unique_ptr<Drains> drains_;
  std::unique_ptr<FlowLog> flow_log_;
  std::unique_ptr<Coordinator> coordinator_;
  std::unique_ptr<AddressWatch> address_watch_;  // tells it
  std::unique_ptr<Admin> admin_;
  std::shared_ptr<net::TlsIdentity> tls_;
  std::unique_ptr<net::HttpServer> admin_server_;
  std::unique_ptr<net::HttpServer> observe_server_;

  std::optional<handoff::Taken> taken_;  // until it is confirmed
  std::set<proxy::ListenerId> taken_ids_;
  CarriedCounts carried_;
  std::unique_ptr<handoff::HandoffServer> handoff_;
  asio::steady_timer retry_{io_};
  std::string trouble_;  // in opening our own servers, told already
  uint64_t unopened_sockets_ = 0;
  unsigned leaving_parts_ = 0;  // that are not over yet
  size_t leaving_step_ = 0;     // the next of what is left to be done
  bool word_is_out_ = false;    // the new process has the last counters, or will not hear them
  bool handed_over_ = false;
  bool left_network_ = false;
  bool ending_ = false;
  bool end_due_ = false;  // once the handoff that is under way is over
  int exit_code_ = 0;
};

}  // namespace lb::dataplane
