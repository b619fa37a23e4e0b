// --announce vrrp:NAME: finds keepalived and our own address, and says what the routers do.
//
// Called by the control thread, at start and when metrics are read. Errors: "Keepalived" (there is
// none), "NoInterface" (the interface has no address of the peers' family).
#pragma once

#include <memory>
#include <string>

#include "dataplane/announce/vrrp_announcer.hpp"
#include "dataplane/config.hpp"
#include "dataplane/metrics.hpp"

namespace lb::dataplane {

using SetFilter =
    std::function<void(const std::vector<announce::Vip>&, std::function<void()> in_force)>;

Result<std::unique_ptr<announce::VrrpAnnouncer>> open_shared_addresses(asio::io_context& io,
                                                                       const Config& config,
                                                                       SetFilter set_filter,
                                                                       bool wait_for_begin);

// The address of `interface` that is among the peers, else its first one of their family.
Result<IpAddress> own_address(const announce::VrrpFlags& flags);

void add_vrrp_metrics(Metrics& out, const announce::VrrpAnnouncer& announcer);

}  // namespace lb::dataplane
