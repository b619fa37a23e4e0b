#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "dataplane/proxy/stats.hpp"
#include "dataplane/proxy/udp_relay.hpp"
#include "dataplane/proxy/udp_sockets.hpp"

namespace lb::proxy {
namespace {

constexpr int kRoundsAtTheEnd = 4;        // batches that a listener may have waiting when it closes
constexpr unsigned kBurst = 8;            // from one peer in one batch: GRO is worth its notes
constexpr unsigned kRoomForReplies = 16;  // less than that, and what is held is sent first

// Whoever cannot cut a train says so at once: the path is too narrow for its datagrams, or the
// device cannot checksum them.
bool refuses_trains(int error) {
  return error == EINVAL || error == EMSGSIZE || error == EIO || error == EOPNOTSUPP;
}

}  // namespace

// One batch: what is left comes up again, after others.
void UdpRelay::on_readable(UdpListener& listener) {
  if (listener.held || listener.released) return;
  receive_batch(listener, listener.fd.get());
  for (const auto& other : listener.others) receive_batch(listener, other.get());
}

void UdpRelay::empty(UdpListener& listener) {
  for (int round = 0; round < kRoundsAtTheEnd; ++round) on_readable(listener);
}

void UdpRelay::receive_batch(UdpListener& listener, int socket) {
  const bool notes = listener.bursts || listener.config->address.address.is_wildcard();
  const int count = inbox_.receive(socket, 0, UdpBatch::kSlots, notes);
  if (count <= 0) return;
  received_ += unsigned(count);
  pass_on(listener, unsigned(count));
}

void UdpRelay::pass_on(UdpListener& listener, unsigned count) {
  UdpSession* current = nullptr;
  unsigned run = 0;
  for (unsigned slot = 0; slot < count; ++slot) {
    if (inbox_[slot].truncated) {
      add(counters_.truncated);
      continue;
    }
    UdpSession* session = session_of(listener, slot);
    if (session != current && current != nullptr) send_to_backend(*current);
    run = session == current ? run + 1 : 1;
    if (run == kBurst && !listener.bursts && hooks_.trains) {
      listener.bursts = true;
      receive_trains(listener.fd.get());
      for (const auto& other : listener.others) receive_trains(other.get());
    }
    current = session;
    if (session != nullptr) load(*session, inbox_[slot]);
  }
  if (current != nullptr) send_to_backend(*current);
}

// A train is taken apart where each of its datagrams needs an introduction.
void UdpRelay::load(UdpSession& session, const UdpDatagram& datagram) {
  if (session.introduction.empty()) return to_backend_.add(session, datagram);
  const uint32_t unit = datagram.segment != 0 ? datagram.segment : datagram.size;
  uint32_t at = 0;
  for (uint64_t left = count_of(datagram); left > 0; --left) {
    if (to_backend_.full()) send_to_backend(session);
    if (session.dead) return drop(ECONNREFUSED, left);
    to_backend_.add(session, {datagram.data + at, std::min(unit, datagram.size - at), 0, false});
    at += unit;
  }
}

// sendmmsg(2) swallows the error that stops it short, so it is left to sessions whose backend is
// known to answer; for the others each datagram is sent by itself, and each refusal is seen.
void UdpRelay::send_to_backend(UdpSession& session) {
  session.last_active = now_;
  unsigned sent = 0;
  if (session.proven && to_backend_.size() > 1) {
    keep_question(session, 0);
    const int count = to_backend_.send(session.fd.get(), 0, to_backend_.size());
    if (count < 0 && errno == ECONNREFUSED) on_refused(session);
    if (count > 0) sent = unsigned(count);
    for (unsigned i = 0; i < sent; ++i) note_message_in(i);
  }
  for (; sent < to_backend_.size(); ++sent) send_message(session, sent);
  to_backend_.clear();
}

// A refusal is that of an earlier datagram: this one has not been sent, and gets a second chance.
void UdpRelay::send_message(UdpSession& session, unsigned message) {
  for (int attempt = 0; attempt < 2 && !session.dead; ++attempt) {
    keep_question(session, message);
    if (send_once(session, message)) return note_message_in(message);
    const int error = errno;
    if (to_backend_.is_train(message) && refuses_trains(error)) {
      session.trains_in = false;
      return send_pieces(session, message);
    }
    if (error != ECONNREFUSED) return drop(error, to_backend_.datagrams(message));
    on_refused(session);
  }
  drop(ECONNREFUSED, to_backend_.datagrams(message));
}

bool UdpRelay::send_once(UdpSession& session, unsigned message) {
  const int fd = session.fd.get();
  const auto whole = to_backend_.first_piece(message);
  const bool plain = whole.size() == 1 && !to_backend_.is_train(message);
  if (!plain) return to_backend_.send(fd, message, 1) == 1;
  return ::send(fd, whole[0].iov_base, whole[0].iov_len, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

void UdpRelay::send_pieces(UdpSession& session, unsigned message) {
  for (uint32_t piece = 0; piece < to_backend_.datagrams(message); ++piece) {
    bool sent = to_backend_.send_piece(session.fd.get(), message, piece);
    if (!sent && errno == ECONNREFUSED) {
      on_refused(session);
      if (session.dead) return drop(ECONNREFUSED, to_backend_.datagrams(message) - piece);
      sent = to_backend_.send_piece(session.fd.get(), message, piece);
    }
    if (!sent) {
      drop(errno, 1);
      continue;
    }
    note_in(session, 1, to_backend_.piece_bytes(message, piece));
  }
}

// Only the first since the last reply: clients that ask and wait are those who would miss it.
void UdpRelay::keep_question(UdpSession& session, unsigned message) {
  if (session.unanswered != 0) return;
  if (to_backend_.is_train(message)) return questions_.forget(session);
  questions_.keep(session, to_backend_.first_piece(message));
}

void UdpRelay::note_message_in(unsigned message) {
  note_in(to_backend_.session(message), to_backend_.datagrams(message), to_backend_.bytes(message));
  if (to_backend_.is_train(message)) add(counters_.trains_in);
}

void UdpRelay::note_in(UdpSession& session, uint32_t datagrams, uint32_t bytes) {
  session.unanswered += datagrams;
  session.bytes_in += bytes;
  add(counters_.datagrams_in, datagrams);
  add(counters_.bytes_in, bytes);
  add(session.listener->stats->bytes_in, bytes);
  add(session.stats->bytes_in, bytes);
}

void UdpRelay::note_out(UdpSession& session, uint32_t datagrams, uint32_t bytes) {
  session.bytes_out += bytes;
  add(counters_.datagrams_out, datagrams);
  add(counters_.bytes_out, bytes);
  add(session.listener->stats->bytes_out, bytes);
  if (session.stats != nullptr) add(session.stats->bytes_out, bytes);
}

// Looking once more and finding nothing has its price too: where one question is out, one answer
// is read. If there is more, the set says so again.
void UdpRelay::on_reply(UdpSession& session) {
  if (session.dead) return;
  if (UdpBatch::kSlots - replies_used_ < kRoomForReplies) flush_replies();
  const int fd = session.fd.get();
  const int count =
      session.unanswered == 1 && !session.bursts
          ? replies_.receive_one(fd, replies_used_)
          : replies_.receive(fd, replies_used_, UdpBatch::kSlots - replies_used_, session.bursts);
  if (count > 0) return take_replies(session, unsigned(count));
  if (count < 0 && errno == ECONNREFUSED) on_refused(session);
}

void UdpRelay::take_replies(UdpSession& session, unsigned count) {
  received_ += count;
  session.last_active = now_;
  session.proven = true;
  session.listener->unanswered.remove(session);
  session.unanswered = 0;
  session.backend->succeeded();
  if (count >= kBurst && !session.bursts && hooks_.trains) {
    session.bursts = true;
    receive_trains(session.fd.get());
  }
  for (unsigned end = replies_used_ + count; replies_used_ < end; ++replies_used_) {
    if (replies_[replies_used_].truncated) {
      add(counters_.truncated);
    } else {
      to_clients_.add(session, replies_[replies_used_]);
    }
  }
}

// One call for all that lie together and leave by the same listener, whoever's they are.
void UdpRelay::flush_replies() {
  for (unsigned first = 0; first < to_clients_.size();) {
    const UdpListener* listener = to_clients_.session(first).listener;
    unsigned last = first + 1;
    while (last < to_clients_.size() && to_clients_.session(last).listener == listener) ++last;
    send_replies(listener->fd.get(), first, last);
    first = last;
  }
  to_clients_.clear();
  replies_used_ = 0;
}

void UdpRelay::send_replies(int fd, unsigned first, unsigned last) {
  while (first < last) {
    const int count = to_clients_.send(fd, first, last - first);
    if (count <= 0) {
      first = reply_failed(fd, first, last, errno);
      continue;
    }
    for (const unsigned end = first + unsigned(count); first < end; ++first) {
      note_out(to_clients_.session(first), to_clients_.datagrams(first), to_clients_.bytes(first));
      if (to_clients_.is_train(first)) add(counters_.trains_out);
    }
  }
}

// Returns which message to go on with. A full buffer will not take the rest either.
unsigned UdpRelay::reply_failed(int fd, unsigned message, unsigned last, int error) {
  if (to_clients_.is_train(message) && refuses_trains(error)) {
    to_clients_.session(message).trains_out = false;
    reply_in_pieces(fd, message);
    return message + 1;
  }
  const unsigned end = error == EAGAIN ? last : message + 1;
  for (; message < end; ++message) drop(error, to_clients_.datagrams(message));
  return end;
}

void UdpRelay::reply_in_pieces(int fd, unsigned message) {
  for (uint32_t piece = 0; piece < to_clients_.datagrams(message); ++piece) {
    if (to_clients_.send_piece(fd, message, piece)) {
      note_out(to_clients_.session(message), 1, to_clients_.piece_bytes(message, piece));
    } else {
      drop(errno, 1);
    }
  }
}

void UdpRelay::drop(int error, uint64_t datagrams) {
  const bool want = error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM ||
                    error == EADDRNOTAVAIL;
  auto& counter = want                                            ? counters_.own_wants
                  : error == EAGAIN                               ? counters_.send_full
                  : error == EMSGSIZE                             ? counters_.too_large
                  : error == ENETUNREACH || error == EHOSTUNREACH ? counters_.unreachable
                  : error == ECONNREFUSED                         ? counters_.refused_twice
                                                                  : counters_.send_failed;
  add(counter, datagrams);
}

}  // namespace lb::proxy
