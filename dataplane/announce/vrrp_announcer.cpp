#include "dataplane/announce/vrrp_announcer.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "common/net/fd.hpp"

namespace lb::announce {
namespace {

constexpr int kFit = 0;
constexpr int kWorse = -100;  // behind every data plane that is fit
constexpr int kUnfit = -300;  // keepalived: fault

Error trouble(const std::string& path) { return Error{"Vrrp", path + ": " + std::strerror(errno)}; }

Status make_folder(const VrrpFiles& files) {
  std::error_code error;
  std::filesystem::create_directories(files.folder, error);
  if (error) return Error{"Vrrp", files.folder + ": " + error.message()};
  return Done{};
}

// Open both ways, so that it never ends while keepalived is away.
Result<net::Fd> make_pipe(const std::string& path) {
  ::unlink(path.c_str());
  if (::mkfifo(path.c_str(), 0600) != 0) return trouble(path);
  net::Fd out(::open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!out.valid()) return trouble(path);
  return out;
}

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
      states_(options_.flags.routers, RouterState::kDown) {
  peers_ = read_peers();
}

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
  ++filters_pending_;
  options_.set_filter(wanted_, [this, done = std::move(done), alive = std::weak_ptr(alive_)] {
    if (alive.expired()) return;
    --filters_pending_;
    apply();
    done({});
  });
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
  out.deaths = keepalived_.deaths();
  out.reloads = keepalived_.reloads();
  return out;
}

// What is wanted now may be newer than the filter in force: no address may come before its rules.
void VrrpAnnouncer::apply() {
  if (!files_are_ours_ || filters_pending_ != 0) return;
  write_tracks();
  const bool changed = write_config();
  if (keepalived_.starts() == 0) {
    keepalived_.start();
    return tick();
  }
  if (changed) keepalived_.reload();
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
  VrrpPlan plan{options_.flags, options_.files, options_.self, peers_, announced()};
  auto text = render_vrrp(plan);
  if (text == config_ || !write_file(options_.files.config(), text)) return false;
  config_ = std::move(text);
  return true;
}

bool VrrpAnnouncer::write_file(const std::string& path, const std::string& text) {
  const std::string fresh = path + ".new";
  net::Fd file(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  const bool written = file.valid() && ::write(file.get(), text.data(), text.size()) ==
                                           static_cast<ssize_t>(text.size());
  if (written && ::rename(fresh.c_str(), path.c_str()) == 0) return true;
  ++vrrp_.write_failures;
  options_.report(trouble(path));
  return false;
}

// The last good set is kept over a bad edit.
std::set<IpAddress> VrrpAnnouncer::read_peers() {
  auto out = options_.flags.peers;
  if (!options_.flags.peers_file.empty()) {
    errno = 0;
    std::ifstream file(options_.flags.peers_file);
    const std::string text(std::istreambuf_iterator<char>(file), {});
    auto listed = file ? parse_peers(text) : trouble(options_.flags.peers_file);
    if (listed && !listed->empty() && listed->front().is_v4() != options_.self.is_v4()) {
      listed =
          Error{"VrrpPeers", "the peers are of another family than " + options_.self.to_string()};
    }
    if (!listed) {
      ++vrrp_.peer_errors;
      if (listed.error().message != peers_complaint_) options_.report(listed.error());
      peers_complaint_ = listed.error().message;
      return peers_;
    }
    peers_complaint_.clear();
    out.insert(out.end(), listed->begin(), listed->end());
  }
  std::set<IpAddress> others(out.begin(), out.end());
  others.erase(options_.self);
  return others;
}

void VrrpAnnouncer::read_events() {
  asio::async_read_until(events_, unread_, '\n',
                         [this](const boost::system::error_code& error, size_t length) {
                           if (error == asio::error::not_found) unread_.consume(unread_.size());
                           if (error && error != asio::error::not_found) return;
                           const auto begin = asio::buffers_begin(unread_.data());
                           const std::string line(begin, begin + static_cast<long>(length));
                           unread_.consume(length);
                           if (const auto event = parse_vrrp_event(line)) take(*event);
                           read_events();
                         });
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

void VrrpAnnouncer::tick() {
  if (stopped_) return;
  renew({});
  if (auto peers = read_peers(); peers != peers_) {
    peers_ = std::move(peers);
    apply();
  }
  timer_.expires_after(options_.renew);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) tick();
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
  const std::chrono::milliseconds becoming_master{4 * options_.flags.advert_ms};
  keepalived_.abandon(options_.overlap + becoming_master, [this, gone = std::move(gone)] {
    end();
    gone();
  });
}

}  // namespace lb::announce
