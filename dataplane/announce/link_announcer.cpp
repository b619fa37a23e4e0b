#include "dataplane/announce/link_announcer.hpp"

#include <algorithm>
#include <new>

namespace lb::announce {

LinkAnnouncer::LinkAnnouncer(asio::io_context& io, std::unique_ptr<LinkLayer> link,
                             LinkAnnouncerOptions options)
    : io_(io),
      link_(std::move(link)),
      options_(std::move(options)),
      probe_timer_(io),
      renew_timer_(io) {}

LinkAnnouncer::~LinkAnnouncer() { stop(); }

void LinkAnnouncer::set(std::vector<Vip> wanted, std::function<void(Failures)> done) {
  if (done_) finish();
  std::set<IpAddress> addresses;
  for (const auto& vip : wanted) addresses.insert(vip.address);
  std::erase_if(held_, [&](const auto& each) {
    if (addresses.contains(each.first)) return false;
    withdraw(each.first, each.second);
    return true;
  });
  wanted_ = std::move(wanted);
  guard();
  std::vector<IpAddress> fresh;
  for (const auto& address : addresses) {
    // Or known from a set() that was interrupted.
    if (held_.try_emplace(address).first->second.state == State::kNew) fresh.push_back(address);
  }
  renew_later();
  done_ = std::move(done);  // from here on whoever renews goes on
  begin_all(fresh);
  if (settled()) finish();
}

void LinkAnnouncer::begin_all(const std::vector<IpAddress>& addresses) {
  if (addresses.empty()) return;
  const auto owners = link_->addresses();
  for (const auto& address : addresses) begin(address, held_.at(address), owners);
  guard();
  ask();
}

void LinkAnnouncer::ask() {
  const bool asks = std::any_of(held_.begin(), held_.end(), [](const auto& each) {
    return each.second.state == State::kProbing;
  });
  if (!asks || probing_) return;
  const auto listening = link_->listen([this](const Claim& claim) { claimed(claim); });
  for (auto& [address, held] : held_) {
    // Without ears a question is worth nothing.
    if (!listening && held.state == State::kProbing) fail(address, held, listening.error(), 1);
  }
  probing_ = true;
  probe_or_give_up();
}

// For want of memory: who renews asks again.
void LinkAnnouncer::probe_or_give_up() {
  try {
    probe();
  } catch (const std::bad_alloc&) {
    probing_ = false;
    throw;
  }
}

// An address of ours that is still there (this process was restarted) needs no question.
void LinkAnnouncer::begin(const IpAddress& address, Held& held, const Result<Owners>& owners) {
  if (!owners) return fail(address, held, owners.error(), 1);
  const auto found = owners->find(address);
  const Ownership owner = found == owners->end() ? Ownership::kAbsent : found->second;
  if (owner == Ownership::kOurs) return take(held);
  if (owner == Ownership::kForeign) {
    ++counters_.conflicts;
    return fail(address, held,
                {"AddressInUseOnNetwork", address.to_string() + " is an address of this node"},
                options_.conflict_retry_ticks);
  }
  held.state = State::kProbing;
  held.probes_left = options_.probes;
}

void LinkAnnouncer::probe() {
  bool left = false;
  for (auto& [address, held] : held_) {
    if (held.state != State::kProbing) continue;
    if (held.probes_left == 0) {
      take(held);
      continue;
    }
    --held.probes_left;
    ++counters_.probes;
    left = true;
    if (const auto sent = link_->send_probe(address); !sent) {
      fail(address, held, sent.error(), 1);
    }
  }
  if (left) return probe_later();
  probing_ = false;
  link_->stop_listening();
  guard();
  if (settled()) finish();
}

void LinkAnnouncer::probe_later() {
  probe_timer_.expires_after(options_.probe_gap);
  probe_timer_.async_wait(
      [this, alive = std::weak_ptr(alive_)](const boost::system::error_code& error) {
        if (!error && !alive.expired() && !stopped_) probe_or_give_up();
      });
}

void LinkAnnouncer::claimed(const Claim& claim) {
  const auto found = held_.find(claim.address);
  if (found == held_.end() || found->second.state != State::kProbing) return;
  ++counters_.conflicts;
  fail(claim.address, found->second,
       {"AddressInUseOnNetwork", claim.address.to_string() + " is used by " + to_string(claim.mac)},
       options_.conflict_retry_ticks);
}

void LinkAnnouncer::take(Held& held) { held.state = State::kGuarding; }

// The filter is told of addresses that are ours, and of those that are about to be: it stands
// before the address does. One that is not ours (the node's own, or a host's that this node
// forwards for) must never be in it: that would cut off whoever has it.
void LinkAnnouncer::guard() {
  std::vector<Vip> ours;
  for (const auto& vip : wanted_) {
    const auto found = held_.find(vip.address);
    if (found == held_.end()) continue;
    const State state = found->second.state;
    if (state == State::kUp || state == State::kGuarding) ours.push_back(vip);
  }
  if (ours != guarded_ && options_.set_filter) tell_filter(ours);
  guarded_ = std::move(ours);
  if (guards_pending_ == 0) guarded();
}

void LinkAnnouncer::tell_filter(const std::vector<Vip>& ours) {
  ++guards_pending_;
  try {
    options_.set_filter(ours, [this, alive = std::weak_ptr(alive_)] {
      if (alive.expired()) return;
      --guards_pending_;
      guarded();
    });
  } catch (const std::bad_alloc&) {
    --guards_pending_;
    throw;
  }
}

// What was told to the filter last is in force: the addresses in it may come.
void LinkAnnouncer::guarded() {
  if (guards_pending_ != 0 || stopped_) return;
  bool news = false;
  for (auto& [address, held] : held_) {
    if (held.state != State::kGuarding) continue;
    put_up(address, held);
    news = true;
  }
  if (done_ && settled()) {
    finish();
  } else if (news && !done_) {
    tell_change();
  }
}

void LinkAnnouncer::put_up(const IpAddress& address, Held& held) {
  if (const auto put = link_->put(address, options_.valid_seconds); !put) {
    return fail(address, held, put.error(), 1);
  }
  ++counters_.added;
  held.state = State::kUp;
  held.error = {};
  held.announcements_left = options_.announcements - 1;
  ++counters_.announcements;
  // Who is not told asks when its neighbour entry has aged: the address works all the same.
  if (const auto sent = link_->send_announcement(address); !sent && options_.report) {
    options_.report(sent.error());
  }
}

void LinkAnnouncer::fail(const IpAddress& address, Held& held, Error error, unsigned retry_in) {
  const bool news = held.error != error;
  held.state = State::kFailed;
  held.retry_in = retry_in;
  held.error = std::move(error);
  if (!news) return;
  if (options_.report) {
    options_.report({held.error.code, address.to_string() + ": " + held.error.message});
  }
  if (!done_) tell_change();
}

// Later: whoever is told may call set(), and addresses are being walked now.
void LinkAnnouncer::tell_change() {
  if (!options_.on_change) return;
  asio::post(io_, [this, alive = std::weak_ptr(alive_)] {
    if (!alive.expired()) options_.on_change();
  });
}

Announcer::Failures LinkAnnouncer::failures() const {
  Failures out;
  for (const auto& [address, held] : held_) {
    if (held.state == State::kFailed) out[address] = held.error;
  }
  return out;
}

// Whether every address is up or has failed, and the filter knows.
bool LinkAnnouncer::settled() const {
  return guards_pending_ == 0 && std::all_of(held_.begin(), held_.end(), [](const auto& each) {
           return each.second.state == State::kUp || each.second.state == State::kFailed;
         });
}

void LinkAnnouncer::finish() {
  if (done_) std::exchange(done_, nullptr)(failures());
}

void LinkAnnouncer::renew_later() {
  if (renewing_ || held_.empty() || stopped_) return;
  renew_timer_.expires_after(options_.renew);
  renew_timer_.async_wait(
      [this, alive = std::weak_ptr(alive_)](const boost::system::error_code& error) {
        if (error || alive.expired() || stopped_) return;
        renewing_ = false;
        renew_later();  // first: whatever happens to this turn, there is another
        renew();
      });
  renewing_ = true;
}

void LinkAnnouncer::renew() {
  announce_again();
  std::vector<IpAddress> due;
  for (auto& [address, held] : held_) {
    if (held.state == State::kFailed && held.retry_in > 0) --held.retry_in;
    const bool again = held.state == State::kFailed && held.retry_in == 0;
    if (again || held.state == State::kNew) due.push_back(address);
    if (held.state != State::kUp) continue;
    if (const auto put = link_->put(address, options_.valid_seconds); !put) {
      ++counters_.renewal_failures;
      fail(address, held, put.error(), 1);
      continue;
    }
    ++counters_.renewals;
    if (held.announcements_left == 0) continue;
    --held.announcements_left;
    ++counters_.announcements;
    (void)link_->send_announcement(address);
  }
  begin_all(due);
  ask();
  guard();
}

// Another port of the switch, or another card: neighbours and switches must learn it anew.
void LinkAnnouncer::announce_again() {
  const auto now = link_->state();
  if (!now) return;
  const bool changed = link_state_ && *link_state_ != *now;
  link_state_ = *now;
  if (!changed || !now->running) return;
  ++counters_.link_changes;
  for (auto& [address, held] : held_) held.announcements_left = options_.announcements;
}

void LinkAnnouncer::withdraw(const IpAddress& address, const Held& held) {
  if (held.state != State::kUp) return;
  ++counters_.removed;
  if (const auto removed = link_->remove(address); !removed && options_.report) {
    options_.report(removed.error());
  }
}

std::set<IpAddress> LinkAnnouncer::announced() const {
  std::set<IpAddress> out;
  for (const auto& [address, held] : held_) {
    if (held.state == State::kUp) out.insert(address);
  }
  return out;
}

void LinkAnnouncer::stop() {
  if (stopped_) return;
  end();
  for (const auto& [address, held] : held_) withdraw(address, held);
  held_.clear();
}

void LinkAnnouncer::leave(std::function<void()> gone) {
  if (!stopped_) {
    end();
    held_.clear();
  }
  gone();
}

void LinkAnnouncer::end() {
  stopped_ = true;
  alive_.reset();
  probe_timer_.cancel();
  renew_timer_.cancel();
  link_->stop_listening();
}

}  // namespace lb::announce
