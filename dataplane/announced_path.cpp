#include "dataplane/announced_path.hpp"

#include <algorithm>
#include <map>

namespace lb::dataplane {
namespace {

// How late an address may leave after its last connection.
constexpr std::chrono::milliseconds kLookAgain{250};

bool announceable(const IpAddress& address) {
  return !address.is_loopback() && !address.is_wildcard();
}

// One failure for each listener of the service on that address.
void add_failures(std::vector<Failure>& out, const Service& service, const IpAddress& address,
                  const Error& error) {
  for (const auto& port : service.ports) {
    out.push_back({service.key, address, port.port, port.protocol, {}, error.code, error.message});
  }
}

}  // namespace

AnnouncedPath::AnnouncedPath(asio::io_context& io, std::unique_ptr<proxy::DataPath> path,
                             std::unique_ptr<announce::Announcer> announcer)
    : path_(std::move(path)), announcer_(std::move(announcer)), tick_(io) {}

void AnnouncedPath::apply(std::shared_ptr<const DesiredState> state,
                          std::function<void(std::vector<Failure>)> done) {
  state_ = state;
  path_->apply(std::move(state),
               [this, done = std::move(done)](std::vector<Failure> failed) mutable {
                 announce(std::move(done), std::move(failed));
               });
}

std::vector<announce::Vip> AnnouncedPath::vips() const {
  std::map<IpAddress, std::set<std::pair<Protocol, uint16_t>>> wanted;
  for (const auto& address : path_->addresses_in_use()) {
    if (announceable(address) && announcer_->announced().contains(address)) wanted[address];
  }
  for (const auto& service : state_->services) {
    for (const auto& address : service.addresses) {
      if (!announceable(address)) continue;
      for (const auto& port : service.ports) wanted[address].insert({port.protocol, port.port});
    }
  }
  std::vector<announce::Vip> out;
  for (auto& [address, ports] : wanted) out.push_back({address, std::move(ports)});
  return out;
}

void AnnouncedPath::announce(std::function<void(std::vector<Failure>)> done,
                             std::vector<Failure> failed) {
  asked_ = vips();
  announcing_ = true;
  announcer_->set(asked_, [this, done = std::move(done), failed = std::move(failed)](
                              announce::Announcer::Failures unannounced) mutable {
    announcing_ = false;
    unannounced_ = std::move(unannounced);
    for (const auto& service : state_->services) {
      for (const auto& address : service.addresses) {
        const auto found = unannounced_.find(address);
        if (found != unannounced_.end()) add_failures(failed, service, address, found->second);
      }
    }
    done(std::move(failed));
  });
  withdraw_later();
}

// Looks again until no address is announced only for connections that still drain.
void AnnouncedPath::withdraw_later() {
  tick_.expires_after(kLookAgain);
  tick_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    if (announcing_) return withdraw_later();
    auto now = vips();
    if (now != asked_) {
      asked_ = now;
      announcer_->set(std::move(now), [this](announce::Announcer::Failures unannounced) {
        unannounced_ = std::move(unannounced);
      });
    }
    const bool lingering = std::any_of(asked_.begin(), asked_.end(),
                                       [](const announce::Vip& vip) { return vip.ports.empty(); });
    if (lingering) withdraw_later();
  });
}

std::vector<proxy::ServiceStatus> AnnouncedPath::status() const {
  auto out = path_->status();
  for (auto& service : out) {
    for (auto& port : service.ports) {
      const auto found = unannounced_.find(port.address);
      if (found == unannounced_.end()) continue;
      port.programmed = false;
      port.reason = found->second.code;
    }
  }
  return out;
}

void AnnouncedPath::stop() {
  tick_.cancel();
  path_->stop();
  announcer_->stop();
}

}  // namespace lb::dataplane
