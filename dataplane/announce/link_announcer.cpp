#include "dataplane/announce/link_announcer.hpp"

#include <algorithm>

namespace lb::announce {

LinkAnnouncer::LinkAnnouncer(asio::io_context& io, std::unique_ptr<LinkLayer> link,
                             LinkAnnouncerOptions options)
    : link_(std::move(link)), options_(std::move(options)), probe_timer_(io), renew_timer_(io) {}

LinkAnnouncer::~LinkAnnouncer() { stop(); }

void LinkAnnouncer::set(std::vector<Vip> wanted, std::function<void(Failures)> done) {
  if (done_) finish();
  done_ = std::move(done);
  std::set<IpAddress> addresses;
  for (const auto& vip : wanted) addresses.insert(vip.address);
  std::erase_if(held_, [&](const auto& each) {
    if (addresses.contains(each.first)) return false;
    withdraw(each.first, each.second);
    return true;
  });
  wanted_ = std::move(wanted);
  guard();
  for (const auto& address : addresses) {
    const auto [found, added] = held_.try_emplace(address);
    if (added) begin(address, found->second);
  }
  renew_later();
  if (!probing_) finish();
}

// An address of ours that is still there (this process was restarted) needs no question.
void LinkAnnouncer::begin(const IpAddress& address, Held& held) {
  const auto ownership = link_->ownership(address);
  if (!ownership) return fail(address, held, ownership.error(), 1);
  if (*ownership == Ownership::kOurs) return take(address, held);
  if (*ownership == Ownership::kForeign) {
    ++counters_.conflicts;
    return fail(address, held,
                {"AddressInUseOnNetwork", address.to_string() + " is an address of this node"},
                options_.conflict_retry_ticks);
  }
  held.state = State::kProbing;
  held.probes_left = options_.probes;
  if (std::exchange(probing_, true)) return;
  link_->listen([this](const Claim& claim) { claimed(claim); });
  probe();
}

void LinkAnnouncer::probe() {
  bool left = false;
  for (auto& [address, held] : held_) {
    if (held.state != State::kProbing) continue;
    if (held.probes_left == 0) {
      take(address, held);
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
  finish();
}

void LinkAnnouncer::probe_later() {
  probe_timer_.expires_after(options_.probe_gap);
  probe_timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error && !stopped_) probe();
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

// The filter is told of addresses that are ours, and of one that is about to be: it stands before
// the address does. One that is not ours (the node's own, or a host's that this node forwards for)
// must never be in it: that would cut off whoever has it.
void LinkAnnouncer::guard(const IpAddress* about_to_come) {
  std::vector<Vip> ours;
  for (const auto& vip : wanted_) {
    const auto found = held_.find(vip.address);
    const bool up = found != held_.end() && found->second.state == State::kUp;
    if (up || (about_to_come != nullptr && *about_to_come == vip.address)) ours.push_back(vip);
  }
  if (ours == guarded_) return;
  guarded_ = std::move(ours);
  if (options_.set_filter) options_.set_filter(guarded_);
}

void LinkAnnouncer::take(const IpAddress& address, Held& held) {
  guard(&address);
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
  guard();
  if (news && options_.report) {
    options_.report({held.error.code, address.to_string() + ": " + held.error.message});
  }
}

void LinkAnnouncer::finish() {
  if (!done_) return;
  Failures failures;
  for (const auto& [address, held] : held_) {
    if (held.state == State::kFailed) failures[address] = held.error;
  }
  std::exchange(done_, nullptr)(std::move(failures));
}

void LinkAnnouncer::renew_later() {
  if (renewing_ || held_.empty() || stopped_) return;
  renewing_ = true;
  renew_timer_.expires_after(options_.renew);
  renew_timer_.async_wait([this](const boost::system::error_code& error) {
    renewing_ = false;
    if (!error && !stopped_) renew();
  });
}

void LinkAnnouncer::renew() {
  for (auto& [address, held] : held_) {
    if (held.state == State::kFailed && --held.retry_in == 0) begin(address, held);
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
  renew_later();
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
  if (std::exchange(stopped_, true)) return;
  probe_timer_.cancel();
  renew_timer_.cancel();
  link_->stop_listening();
  for (const auto& [address, held] : held_) withdraw(address, held);
  held_.clear();
}

}  // namespace lb::announce
