#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "dataplane/balance/another.hpp"
#include "dataplane/balance/selection.hpp"
#include "dataplane/proxy/affinity.hpp"
#include "dataplane/proxy/stats.hpp"
#include "dataplane/proxy/udp_relay.hpp"
#include "dataplane/proxy/udp_sockets.hpp"

namespace lb::proxy {

UdpSession* UdpRelay::session_of(UdpListener& listener, unsigned slot) {
  const UdpKey key = make_udp_key(inbox_.sender(slot), inbox_.local(slot));
  // A client often sends several in a row.
  if (latest_ != nullptr && latest_->listener == &listener && latest_->key == key &&
      !latest_->stranded) {
    return latest_;
  }
  UdpSession* session = listener.table.find(key);
  if (session != nullptr && session->stranded && !rescue(*session)) session = nullptr;
  if (session == nullptr) session = open(listener, key, slot);
  latest_ = session;
  return session;
}

// Of a client that is counted in, and is not any more when this throws.
std::unique_ptr<UdpSession> UdpRelay::make_counted(UdpListener& listener, const UdpKey& key,
                                                   const UdpPeer& client) try {
  auto session = std::make_unique<UdpSession>();
  session->key = key;
  session->client = client;
  session->listener = &listener;
  introduce(*session);
  session->counts = listener.config->counts;
  session->limits = listener.config->limits;
  return session;
} catch (const std::bad_alloc&) {
  const ListenerConfig& config = *listener.config;
  if (config.limits) config.limits->leave(address_of(client));
  config.counts->leave();
  throw;
}

UdpSession* UdpRelay::open(UdpListener& listener, const UdpKey& key, unsigned slot) try {
  const uint64_t datagrams = count_of(inbox_[slot]);
  const UdpPeer& client = inbox_.sender(slot);
  if (!may_open(listener, client, datagrams)) return nullptr;
  listener.table.reserve_one();  // asks for memory before anything is taken
  if (!count_in(listener, client, datagrams)) return nullptr;
  auto session = make_counted(listener, key, client);
  make_room(listener);
  if (!attach(*session, nullptr, datagrams)) {
    count_out(*session);
    return nullptr;
  }
  session->serial = ++serial_;
  session->began = session->last_active = now_;
  session->logged = hooks_.log_each != 0 && serial_ % hooks_.log_each == 0;
  listener.table.insert(*session);
  listener.unanswered.push(*session);
  rearm(*session);
  ++live_;
  add(counters_.sessions_opened);
  add(listener.stats->accepted);
  return session.release();
} catch (const std::bad_alloc&) {
  drop(ENOMEM, count_of(inbox_[slot]));
  return nullptr;
}

// Who leaves a backend that stays configured goes to its group, as long as somebody sound is there.
std::optional<size_t> UdpRelay::pick(const UdpSession& session,
                                     const std::vector<balance::Candidate>& candidates,
                                     const BackendRecord* avoid) {
  UdpListener& listener = *session.listener;
  const ListenerConfig& config = *listener.config;
  const auto input = pick_inputs_.input(config, [&] { return address_of(session.client); });
  const auto group = config.group_of(avoid);
  if (!group) return listener.picker->pick(candidates, input, config.options);
  std::vector<balance::Candidate> own = candidates;
  balance::stay_in_group(own, *group);
  return listener.picker->pick(own, input, config.options);
}

// `datagrams` are lost, and counted so, where nobody can be had.
bool UdpRelay::attach(UdpSession& session, const BackendRecord* avoid, uint64_t datagrams) try {
  UdpListener& listener = *session.listener;
  const ListenerConfig& config = *listener.config;
  const int known = remembered(session, avoid);
  if (known >= 0 && connect(session, config.records[size_t(known)])) return true;
  auto& candidates = pick_inputs_.candidates(
      config, [&](const BackendRecord& record) { return &record == avoid; }, now_);
  PickInputs::leave_out_reserved(config, candidates, [&] { return address_of(session.client); });
  for (uint32_t i = 0; i < std::max(config.policy.connect_attempts, 1u); ++i) {
    const auto picked = pick(session, candidates, avoid);
    if (!picked) {
      add(counters_.no_backend, datagrams);
      add(listener.stats->no_backend, datagrams);
      return false;
    }
    if (connect(session, config.records[*picked])) return true;
    // No route to this one need not mean that there is none to the next.
    if (errno != ENETUNREACH && errno != EHOSTUNREACH && errno != EACCES) break;
    candidates[*picked].tried = true;
  }
  // For want of a port connect(2) says EAGAIN, which elsewhere means a full buffer.
  if (errno == EAGAIN || errno == EMFILE || errno == ENFILE || errno == ENOMEM) rest();
  drop(errno == EAGAIN ? EADDRNOTAVAIL : errno, datagrams);
  return false;
} catch (const std::bad_alloc&) {
  release_backend(session);
  session.fd.reset();
  drop(ENOMEM, datagrams);
  return false;
}

// Whether a new session would want what this host has no more of.
bool UdpRelay::lacking() { return now_ < rests_until_ || line_.lacking(now_); }

// A port is searched for long, and in vain for a while.
void UdpRelay::rest() { rests_until_ = now_ + DescriptorLine::kLookMs; }

// Nobody would take a backend back of whose ejection nobody was told.
void UdpRelay::tell_ejection(const UdpSession& session) try {
  if (hooks_.on_eject) hooks_.on_eject(session.backend, session.listener->config->policy);
} catch (const std::bad_alloc&) {
  session.backend->readmit(now_);
  add(counters_.no_memory);
}

// Also for a session that moves: its client's others may have moved before it.
int UdpRelay::remembered(const UdpSession& session, const BackendRecord* avoid) {
  const ListenerConfig& config = *session.listener->config;
  if (!config.affinity) return -1;
  const int known = remembered_backend(config, address_of(session.client), now_);
  return known >= 0 && config.records[size_t(known)].get() == avoid ? -1 : known;
}

// False: see errno.
bool UdpRelay::connect(UdpSession& session, const std::shared_ptr<BackendRecord>& backend) {
  bool tuned = true;
  net::Fd fd = connect_udp(backend->endpoint, session.listener->config->tuning, &tuned,
                           backend->source_v4.load(std::memory_order_relaxed));
  if (!tuned) add(counters_.untuned);
  if (!fd.valid()) return false;
  line_.note(fd.get());
  if (!watch(fd.get(), reinterpret_cast<uint64_t>(&session))) {
    errno = ENOMEM;
    return false;
  }
  session.fd = std::move(fd);
  session.backend = backend;
  session.backend->connections.fetch_add(1, std::memory_order_relaxed);
  session.stats = &backend->stats[worker_index_ % backend->stats.size()];
  add(session.stats->connections);
  const ListenerConfig& config = *session.listener->config;
  config.count_for_group(*backend);
  if (config.affinity) {
    remember_backend(config, address_of(session.client), backend->endpoint, now_);
  }
  session.proven = false;
  session.unanswered = 0;
  session.bursts = false;
  session.trains_in = hooks_.trains;
  return true;
}

// A session stays where it moves to, so it leaves for nobody to whom a new client would not be sent
// with its own backend counted as ejected, or, when all others of that state are used up, for
// somebody sound of the next.
bool UdpRelay::has_another(const UdpSession& session) try {
  const ListenerConfig& config = *session.listener->config;
  const auto& records = config.records;
  auto& candidates = pick_inputs_.candidates(
      config, [](const auto&) { return false; }, now_);
  PickInputs::leave_out_reserved(config, candidates, [&] { return address_of(session.client); });
  const auto own =
      size_t(std::find(records.begin(), records.end(), session.backend) - records.begin());
  const auto selects_another = [&](bool sound) {
    const balance::Selection selection(candidates, config.options);
    for (size_t i = 0; i < candidates.size(); ++i) {
      if (i == own || !selection.has(candidates[i])) continue;
      if (!sound || !records[i]->unfit()) return true;
    }
    return false;
  };
  if (own == candidates.size()) return selects_another(false);
  candidates[own].ejected = true;
  if (selects_another(false)) return true;
  candidates[own].tried = true;
  return selects_another(true);
} catch (const std::bad_alloc&) {
  add(counters_.no_memory);
  return false;  // it could not move there either
}

// False: it is where it was if there was nobody else, and has no backend if there was no way.
bool UdpRelay::move(UdpSession& session) {
  if (!has_another(session)) return false;
  const std::shared_ptr<BackendRecord> left = session.backend;
  release_backend(session);
  // First, so that a process without a descriptor to spare can still move.
  session.fd.reset();
  if (!attach(session, left.get(), 0)) return false;
  add(counters_.moved);
  ++session.moves;
  return true;
}

// After bury(): who died before is in the line still, and nobody else names it any more.
void UdpRelay::move_stranded(size_t most) {
  for (; most > 0 && !stranded_.empty(); --most) {
    UdpSession* session = stranded_.back();
    stranded_.pop_back();
    if (session->dead) {
      delete session;
    } else {
      rescue(*session);
      session->stranded = false;
    }
  }
}

// What its backend had already answered is passed on before the socket closes. False: it has died.
// It may be in line still, and then stays marked so that it is not deleted meanwhile.
bool UdpRelay::rescue(UdpSession& session) {
  const auto& records = session.listener->config->records;
  const auto stays = [&] {
    return std::find(records.begin(), records.end(), session.backend) != records.end();
  };
  if (stays()) return true;
  on_reply(session);
  if (session.dead || stays()) return !session.dead;
  if (!move(session)) finish(session, EndReason::kNoBackend);
  return !session.dead;
}

// The backend's port is closed. The session goes on elsewhere if it can, and takes its question
// along; with nobody else it stays, for the backend may come back.
void UdpRelay::on_refused(UdpSession& session) {
  add(counters_.refused);
  add(session.stats->refused);
  const Policy& policy = session.listener->config->policy;
  if (session.backend->failed(Ejection::kRefused, policy.ejection.refused)) {
    add(counters_.ejections);
    add(session.stats->ejections);
    tell_ejection(session);
  }
  const bool had_question = session.unanswered != 0;
  if (move(session)) {
    if (had_question) resend_question(session);
  } else {
    if (had_question) add(counters_.lost_refused);
    session.unanswered = 0;
    questions_.forget(session);
    if (!session.fd.valid()) finish(session, EndReason::kNoBackend);
  }
}

// Once: a copy that was refused twice is let go.
void UdpRelay::resend_question(UdpSession& session) {
  const auto copy = questions_.copy_of(session);
  if (copy.data != nullptr && ::send(session.fd.get(), copy.data, copy.size, MSG_NOSIGNAL) >= 0) {
    add(counters_.resent);
    add(session.listener->stats->retries);
  } else {
    add(counters_.lost_refused);
  }
  questions_.forget(session);
  session.unanswered = 1;
}

void UdpRelay::release_backend(UdpSession& session) {
  if (session.backend) session.backend->connections.fetch_sub(1, std::memory_order_relaxed);
  session.backend.reset();
  session.stats = nullptr;
}

void UdpRelay::finish(UdpSession& session, EndReason reason) {
  if (session.dead) return;
  session.dead = true;
  record_end(session, reason);
  if (latest_ == &session) latest_ = nullptr;
  wheel_.cancel(session);
  questions_.forget(session);
  session.fd.reset();
  session.listener->table.erase(session);
  session.listener->unanswered.remove(session);
  release_backend(session);
  count_out(session);
  --live_;
  add(counters_.sessions_closed);
  // The wheel has let go of it.
  session.next = std::exchange(dead_, &session);
}

}  // namespace lb::proxy
