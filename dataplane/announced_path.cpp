#include "dataplane/announced_path.hpp"

#include <algorithm>
#include <map>
#include <new>

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
                             std::unique_ptr<announce::Announcer> announcer,
                             Undelivered undelivered, std::chrono::milliseconds patience)
    : ForwardingPath(std::move(path)),
      announcer_(std::move(announcer)),
      undelivered_(std::move(undelivered)),
      patience_(patience),
      tick_(io) {}

void AnnouncedPath::apply(std::shared_ptr<const DesiredState> state,
                          std::function<void(std::vector<Failure>)> done) {
  auto change = std::make_shared<bool>(true);
  change_ = change;
  path().apply(state, [this, state, change = std::move(change),
                       done = std::move(done)](std::vector<Failure> failed) mutable {
    state_ = state;
    announcer_->expect(announceable_of(*state));
    announce([this, change = std::move(change), done = std::move(done),
              failed = std::move(failed)]() mutable {
      *change = false;
      add_unannounced(failed);
      done(std::move(failed));
      // A listener may have been opened while this was under way.
      path_changed();
    });
  });
}

bool AnnouncedPath::applying() const {
  const auto change = change_.lock();
  return change && *change;
}

// What is open is announced and let through the filter; a port that could not be opened is the
// node's, and must not become reachable through an address of ours.
std::vector<announce::Vip> AnnouncedPath::vips() {
  std::map<IpAddress, std::set<std::pair<Protocol, uint16_t>>> wanted;
  for (const auto& address : path().addresses_in_use()) {
    if (announceable(address) && announcer_->announced().contains(address)) wanted[address];
  }
  for (const auto& id : path().listening()) {
    if (announceable(id.at.address)) wanted[id.at.address].insert({id.protocol, id.at.port});
  }
  std::set<IpAddress> leaving;
  for (const auto& address : announcer_->announced()) {
    if (!wanted.contains(address)) leaving.insert(address);
  }
  for (const auto& address : still_sending(leaving)) wanted[address];
  std::vector<announce::Vip> out;
  for (auto& [address, ports] : wanted) out.push_back({address, std::move(ports)});
  return out;
}

std::set<IpAddress> AnnouncedPath::still_sending(const std::set<IpAddress>& leaving) {
  std::erase_if(leaving_, [&](const auto& each) { return !leaving.contains(each.first); });
  if (leaving.empty()) return {};
  std::set<IpAddress> out = undelivered_(leaving);
  const auto now = std::chrono::steady_clock::now();
  std::erase_if(out, [&](const IpAddress& address) {
    return now >= leaving_.try_emplace(address, now + patience_).first->second;
  });
  return out;
}

void AnnouncedPath::announce(std::function<void()> done) {
  withdraw_later();
  asked_.reset();
  asked_ = vips();
  try {
    if (auto now = ours(); now != avoided_) avoid(std::move(now));
    announcer_->set(*asked_, [this, done = std::move(done)](announce::Announcer::Failures) {
      avoid(ours());
      done();
    });
  } catch (const std::bad_alloc&) {
    asked_.reset();
    throw;
  }
}

void AnnouncedPath::path_changed() {
  if (applying() || left_ || !state_) return;
  if (vips() != asked_) return announce([] {});
  // One that had failed may be announced by now.
  if (auto now = ours(); now != avoided_) avoid(std::move(now));
}

// Announced, or about to be.
std::set<IpAddress> AnnouncedPath::ours() const {
  auto out = announcer_->announced();
  const auto failed = announcer_->failures();
  for (const auto& vip : asked_.value_or(std::vector<announce::Vip>{})) {
    if (!failed.contains(vip.address)) out.insert(vip.address);
  }
  return out;
}

void AnnouncedPath::avoid(std::set<IpAddress> ours) {
  path().avoid_sources(ours);
  avoided_ = std::move(ours);
}

// Looks again until no address is announced only for connections that still drain, and what was to
// be announced is known to the announcer.
void AnnouncedPath::withdraw_later() {
  tick_.expires_after(kLookAgain);
  tick_.async_wait([this](const boost::system::error_code& error) {
    if (!error && !left_) look_for_lingering();
  });
}

void AnnouncedPath::look_for_lingering() {
  const bool any = !asked_ || std::any_of(asked_->begin(), asked_->end(),
                                          [](const auto& vip) { return vip.ports.empty(); });
  if (!any) return;
  withdraw_later();
  if (!applying() && vips() != asked_) announce([] {});
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
                       found->second.message,
                       port.match});
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
  return as_announced(path().status());
}

std::vector<proxy::ServiceStatus> AnnouncedPath::status_of(
    const std::set<std::string>& keys) const {
  return as_announced(path().status_of(keys));
}

// What nobody can reach is not programmed.
std::vector<proxy::ServiceStatus> AnnouncedPath::as_announced(
    std::vector<proxy::ServiceStatus> out) const {
  const auto unannounced = announcer_->failures();
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
