#include "dataplane/announce/vrrp_announcer.hpp"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "common/net/fd.hpp"
#include "dataplane/announce/vrrp_folder.hpp"

namespace lb::announce {
namespace {

constexpr size_t kBlock = 4096;
constexpr std::chrono::milliseconds kLookAgain{100};  // for whoever has taken over
constexpr int kFit = 0;
constexpr int kWorse = -100;  // behind every data plane that is fit
constexpr int kUnfit = -300;  // keepalived: fault

std::vector<std::string> whole_command(const VrrpOptions& options) {
  auto out = options.command;
  const auto& files = options.files;
  for (const auto& word :
       {std::string("--dont-fork"), std::string("--log-console"), std::string("--no-syslog"),
        std::string("--vrrp"), std::string("--dont-respawn"), "--use-file=" + files.config(),
        "--pid=" + files.pid(), "--vrrp_pid=" + files.vrrp_pid()}) {
    out.push_back(word);
  }
  return out;
}

}  // namespace

Result<std::unique_ptr<VrrpAnnouncer>> VrrpAnnouncer::open(asio::io_context& io,
                                                           std::unique_ptr<LinkLayer> link,
                                                           VrrpOptions options) {
  if (const auto made = make_folder(options.files); !made) return made.error();
  std::unique_ptr<VrrpAnnouncer> out(new VrrpAnnouncer(io, std::move(link), std::move(options)));
  if (out->options_.wait_for_begin) return out;
  if (const auto begun = out->begin(); !begun) return begun.error();
  return out;
}

VrrpAnnouncer::VrrpAnnouncer(asio::io_context& io, std::unique_ptr<LinkLayer> link,
                             VrrpOptions options)
    : link_(std::move(link)),
      options_(std::move(options)),
      keepalived_(io, {.command = whole_command(options_),
                       .pid_files = {options_.files.pid(), options_.files.vrrp_pid()},
                       .on_exit = [this] { keepalived_died(); },
                       .on_line = options_.on_line,
                       .report = options_.report}),
      events_(io),
      timer_(io),
      states_(options_.flags.routers, RouterState::kDown),
      peers_(options_.flags, options_.self, options_.report) {}

VrrpAnnouncer::~VrrpAnnouncer() { stop(); }

Status VrrpAnnouncer::begin() {
  if (const auto opened = open_events(); !opened) {
    ++vrrp_.begin_failures;
    if (options_.wait_for_begin) begin_later();
    return opened;
  }
  files_are_ours_ = true;
  if (options_.wait_for_begin) apply();
  return Done{};
}

void VrrpAnnouncer::begin_later() {
  timer_.expires_after(options_.renew);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error && !stopped_ && !leaving_) (void)begin();
  });
}

Status VrrpAnnouncer::open_events() {
  auto events = make_pipe(options_.files.events());
  if (!events) return events.error();
  boost::system::error_code ignored;
  events_.assign(events->release(), ignored);
  read_events();
  return Done{};
}

void VrrpAnnouncer::set(std::vector<Vip> wanted, std::function<void(Failures)> done) {
  wanted_ = std::move(wanted);
  if (!options_.set_filter) {
    apply();
    return done({});
  }
  const uint64_t number = ++filters_asked_;
  filters_pending_.emplace(number, std::move(done));
  try {
    options_.set_filter(wanted_, [this, number, alive = std::weak_ptr(alive_)] {
      if (!alive.expired()) in_force(number);
    });
  } catch (const std::bad_alloc&) {
    filters_pending_.erase(number);
    throw;
  }
}

void VrrpAnnouncer::in_force(uint64_t filter) {
  const auto pending = filters_pending_.extract(filter);
  if (pending.empty()) return;
  apply();
  pending.mapped()({});
}

void VrrpAnnouncer::expect(std::set<IpAddress> addresses) { expected_ = std::move(addresses); }

std::set<IpAddress> VrrpAnnouncer::announced() const {
  std::set<IpAddress> out;
  for (const auto& vip : wanted_) out.insert(vip.address);
  return out;
}

bool VrrpAnnouncer::held(const IpAddress& address) const {
  return states_[router_of(address, options_.flags.routers)] == RouterState::kMaster;
}

size_t VrrpAnnouncer::addresses_held() const {
  return static_cast<size_t>(std::count_if(wanted_.begin(), wanted_.end(),
                                           [this](const Vip& vip) { return held(vip.address); }));
}

VrrpCounters VrrpAnnouncer::vrrp_counters() const {
  auto out = vrrp_;
  out.starts = keepalived_.starts();
  out.start_failures = keepalived_.start_failures();
  out.silent_starts = keepalived_.silent_starts();
  out.deaths = keepalived_.deaths();
  out.reloads = keepalived_.reloads();
  out.peer_errors = peers_.errors();
  return out;
}

// What is wanted now may be newer than the filter in force: no address may come before its rules.
void VrrpAnnouncer::apply() {
  if (!files_are_ours_ || !filters_pending_.empty()) return;
  const bool first = keepalived_.starts() == 0;
  unwritten_ = true;
  if (first) tick_later();
  if (first && options_.wait_for_begin) find_addresses();
  write_tracks();
  const bool changed = write_config();
  unwritten_ = false;
  if (first) return keepalived_.start();
  if (changed) keepalived_.reload();
}

Result<std::set<IpAddress>> VrrpAnnouncer::present_addresses() {
  const auto present = link_->addresses();
  if (!present) return present.error();
  std::set<IpAddress> out;
  for (const auto& each : *present) out.insert(each.first);
  return out;
}

// Not knowing what is there, we keep our hands off everything.
void VrrpAnnouncer::find_addresses() {
  auto present = present_addresses();
  if (!present) options_.report(present.error());
  found_.take(present ? std::move(present).value() : announced(),
              FoundAddresses::Clock::now() + options_.whole_overlap());
}

void VrrpAnnouncer::settle_found() {
  if (!found_.waiting()) return;
  const auto wanted = announced();
  const auto present = present_addresses();
  const auto outcome = found_.settle(
      wanted, present ? *present : wanted, [this](const IpAddress& each) { return held(each); },
      FoundAddresses::Clock::now());
  if (outcome == FoundAddresses::Outcome::kWaiting) return;
  if (outcome == FoundAddresses::Outcome::kLate) ++vrrp_.late_takeovers;
  unwritten_ = true;
}

// A router whose address cannot be served here goes to whoever can; where nobody can, whoever comes
// first serves the rest. Without any address we know nothing yet, and hold nothing.
int VrrpAnnouncer::fitness(unsigned router) const {
  if (giving_up_ || (wanted_.empty() && expected_.empty())) return kUnfit;
  const auto open = announced();
  const bool lacking =
      std::any_of(expected_.begin(), expected_.end(), [&](const IpAddress& address) {
        return router_of(address, options_.flags.routers) == router && !open.contains(address);
      });
  return lacking ? kWorse : kFit;
}

void VrrpAnnouncer::write_tracks() {
  for (unsigned router = 0; router < options_.flags.routers; ++router) {
    const int value = fitness(router);
    const auto written = tracks_.find(router);
    if (written != tracks_.end() && written->second == value) continue;
    if (write_file(options_.files.track(router), std::to_string(value) + "\n")) {
      tracks_[router] = value;
    }
  }
}

bool VrrpAnnouncer::write_config() {
  VrrpPlan plan{options_.flags, options_.files, options_.self, peers_.others(),
                found_.without(announced())};
  auto text = render_vrrp(plan);
  if (text == config_ || !write_file(options_.files.config(), text)) return false;
  config_ = std::move(text);
  return true;
}

bool VrrpAnnouncer::write_file(const std::string& path, const std::string& text) {
  const auto written = replace_file(path, text);
  if (written) return true;
  ++vrrp_.write_failures;
  options_.report(written.error());
  return false;
}

void VrrpAnnouncer::read_events() {
  asio::async_read_until(events_, unread_, '\n',
                         [this](const boost::system::error_code& error, size_t) {
                           if (error == asio::error::not_found) unread_.consume(unread_.size());
                           if (error && error != asio::error::not_found) return;
                           take_events_and_go_on();
                         });
}

void VrrpAnnouncer::take_events_and_go_on() {
  try {
    read_all_events();
    take_events();
  } catch (const std::bad_alloc&) {
    read_events();  // what is there is found again
    throw;
  }
  read_events();
}

// What waits in the pipe too: after a pause of ours, the first lines are long out of date.
void VrrpAnnouncer::read_all_events() {
  boost::system::error_code over;
  events_.non_blocking(true, over);
  while (!over && unread_.size() < unread_.max_size()) {
    const size_t room = std::min<size_t>(unread_.max_size() - unread_.size(), kBlock);
    unread_.commit(events_.read_some(unread_.prepare(room), over));
  }
}

// Only the last state of each router: an address must not be renewed that has left us meanwhile.
void VrrpAnnouncer::take_events() {
  const std::string text(asio::buffers_begin(unread_.data()), asio::buffers_end(unread_.data()));
  std::map<unsigned, VrrpEvent> last;
  size_t taken = 0;
  for (size_t end; (end = text.find('\n', taken)) != std::string::npos; taken = end + 1) {
    if (const auto event = parse_vrrp_event(text.substr(taken, end + 1 - taken))) {
      last.insert_or_assign(event->router, *event);
    }
  }
  for (const auto& each : last) take(each.second);
  unread_.consume(taken);
  settle_found();
  if (unwritten_) apply();
}

void VrrpAnnouncer::take(const VrrpEvent& event) {
  if (event.router >= states_.size() || states_[event.router] == event.state) return;
  const auto before = std::exchange(states_[event.router], event.state);
  ++vrrp_.transitions;
  options_.on_transition(event.router, event.state);
  if (event.state == RouterState::kMaster) return renew(event.router);
  // The process that we take over from may still be master of it.
  if (options_.wait_for_begin && before != RouterState::kMaster) return;
  // A renewal may have crossed with keepalived's removal, and would have put the address back.
  remove_present([&](const IpAddress& address) {
    return router_of(address, options_.flags.routers) == event.router;
  });
}

// Nobody takes the addresses away with it, and others take them over within three adverts.
void VrrpAnnouncer::keepalived_died() {
  remove_present([](const IpAddress&) { return true; });
  for (unsigned router = 0; router < states_.size(); ++router) take({router, RouterState::kDown});
}

void VrrpAnnouncer::remove_present(const std::function<bool(const IpAddress&)>& chosen) {
  const auto present = link_->addresses();
  if (!present) return options_.report(present.error());
  for (const auto& vip : wanted_) {
    if (!chosen(vip.address) || !present->contains(vip.address)) continue;
    if (const auto removed = link_->remove(vip.address); !removed) options_.report(removed.error());
    ++vrrp_.leftovers_removed;
    ++counters_.removed;
  }
}

// The next turn first, whatever happens to this one.
void VrrpAnnouncer::tick() {
  tick_later();
  if (leaving_ && successor_.look(options_.files.events(), events_.native_handle()) ==
                      Successor::State::kGone) {
    return successor_lost();
  }
  renew({});
  settle_found();
  if (peers_.read()) unwritten_ = true;
  if (unwritten_) apply();
}

void VrrpAnnouncer::tick_later() {
  timer_.expires_after(leaving_ ? std::min(options_.renew, kLookAgain) : options_.renew);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error && !stopped_) tick();
  });
}

// Only what keepalived has put there: an address that is absent is about to come, or not ours.
void VrrpAnnouncer::renew(std::optional<unsigned> router) {
  if (addresses_held() == 0) return;
  const auto present = link_->addresses();
  if (!present) {
    ++counters_.renewal_failures;
    return;
  }
  for (const auto& vip : wanted_) {
    if (!held(vip.address) || !present->contains(vip.address)) continue;
    if (router && router_of(vip.address, options_.flags.routers) != *router) continue;
    ++counters_.renewals;
    if (!link_->put(vip.address, options_.valid_seconds)) ++counters_.renewal_failures;
  }
}

void VrrpAnnouncer::give_up() {
  giving_up_ = true;
  if (files_are_ours_) write_tracks();
}

void VrrpAnnouncer::end() {
  stopped_ = true;
  files_are_ours_ = false;
  alive_.reset();
  timer_.cancel();
  boost::system::error_code ignored;
  events_.close(ignored);
}

void VrrpAnnouncer::stop() {
  if (stopped_) return;
  const bool tidy = files_are_ours_;
  end();
  if (!tidy) return;
  keepalived_.stop();
  remove_present([](const IpAddress&) { return true; });
  ::unlink(options_.files.events().c_str());
}

// Addresses are renewed until the end: with slow adverts it takes longer than they live.
void VrrpAnnouncer::leave(std::function<void()> gone) {
  leaving_ = true;
  files_are_ours_ = false;
  gone_ = std::move(gone);
  keepalived_.abandon(options_.whole_overlap(), [this] { left(); });
  if (events_.is_open()) tick_later();
}

void VrrpAnnouncer::left() {
  end();
  if (const auto gone = std::exchange(gone_, nullptr)) gone();
}

// Nobody serves the addresses here, so another machine is to have them at once, and alone.
void VrrpAnnouncer::successor_lost() {
  ++vrrp_.successors_lost;
  options_.report(Error{"VrrpSuccessor",
                        "the process that has taken over is gone: its addresses are given up"});
  keepalived_.stop_abandoned();
  remove_present([](const IpAddress&) { return true; });
  left();
}

}  // namespace lb::announce
