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

std::set<IpAddress> announceable_of(const DesiredState& state) {
  std::set<IpAddress> out;
  for (const auto& service : state.services) {
    for (const auto& address : service.addresses) {
      if (announceable(address)) out.insert(address);
    }
  }
  return out;
}

}  // namespace

AnnouncedPath::AnnouncedPath(asio::io_context& io, std::unique_ptr<proxy::DataPath> path,
                             std::unique_ptr<announce::Announcer> announcer)
    : ForwardingPath(std::move(path)), announcer_(std::move(announcer)), tick_(io) {}

void AnnouncedPath::apply(std::shared_ptr<const DesiredState> state,
                          std::function<void(std::vector<Failure>)> done) {
  applying_ = true;
  path().apply(state, [this, state, done = std::move(done)](std::vector<Failure> failed) mutable {
    state_ = state;
    announcer_->expect(announceable_of(*state));
    announce([this, done = std::move(done), failed = std::move(failed)]() mutable {
      applying_ = false;
      add_unannounced(failed);
      done(std::move(failed));
      // A listener may have been opened while this was under way.
      path_changed();
    });
  });
}

// What is open is announced and let through the filter; a port that could not be opened is the
// node's, and must not become reachable through an address of ours.
std::vector<announce::Vip> AnnouncedPath::vips() const {
  std::map<IpAddress, std::set<std::pair<Protocol, uint16_t>>> wanted;
  for (const auto& address : path().addresses_in_use()) {
    if (announceable(address) && announcer_->announced().contains(address)) wanted[address];
  }
  for (const auto& id : path().listening()) {
    if (announceable(id.at.address)) wanted[id.at.address].insert({id.protocol, id.at.port});
  }
  std::vector<announce::Vip> out;
  for (auto& [address, ports] : wanted) out.push_back({address, std::move(ports)});
  return out;
}

void AnnouncedPath::announce(std::function<void()> done) {
  asked_ = vips();
  announcer_->set(asked_, [this, done = std::move(done)](announce::Announcer::Failures) {
    path().avoid_sources(announcer_->announced());
    done();
  });
  withdraw_later();
}

void AnnouncedPath::path_changed() {
  if (applying_ || left_ || !state_ || vips() == asked_) return;
  announce([] {});
}

// Looks again until no address is announced only for connections that still drain.
void AnnouncedPath::withdraw_later() {
  tick_.expires_after(kLookAgain);
  tick_.async_wait([this](const boost::system::error_code& error) {
    if (error || left_) return;
    const bool lingering = std::any_of(asked_.begin(), asked_.end(),
                                       [](const announce::Vip& vip) { return vip.ports.empty(); });
    if (!lingering) return;
    if (applying_ || vips() == asked_) return withdraw_later();
    announce([] {});
  });
}

void AnnouncedPath::add_unannounced(std::vector<Failure>& out) const {
  const auto unannounced = announcer_->failures();
  if (unannounced.empty() || !state_) return;
  const auto open = path().listening();
  for (const auto& service : state_->services) {
    for (const auto& address : service.addresses) {
      const auto found = unannounced.find(address);
      if (found == unannounced.end()) continue;
      for (const auto& port : service.ports) {
        // A listener that is not open has a reason of its own.
        if (!open.contains({{address, port.port}, port.protocol})) continue;
        out.push_back({service.key,
                       address,
                       port.port,
                       port.protocol,
                       {},
                       found->second.code,
                       found->second.message});
      }
    }
  }
}

std::vector<Failure> AnnouncedPath::failures() const {
  auto out = path().failures();
  add_unannounced(out);
  return out;
}

std::vector<proxy::ServiceStatus> AnnouncedPath::status() const {
  const auto unannounced = announcer_->failures();
  auto out = path().status();
  for (auto& service : out) {
    for (auto& port : service.ports) {
      const auto found = unannounced.find(port.address);
      if (found == unannounced.end() || !port.programmed) continue;
      port.programmed = false;
      port.reason = found->second.code;
    }
  }
  return out;
}

void AnnouncedPath::leave(std::function<void()> gone) {
  left_ = true;
  tick_.cancel();
  announcer_->leave(std::move(gone));
}

void AnnouncedPath::stop() {
  tick_.cancel();
  path().stop();
  announcer_->stop();
}

}  // namespace lb::dataplane
