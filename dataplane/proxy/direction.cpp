#include "dataplane/proxy/direction.hpp"

#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

namespace lb::proxy {
namespace {

constexpr int kTurn = 16;            // chunks before other connections get their turn
constexpr uint8_t kFullReads = 2;    // then splicing pays
constexpr uint8_t kSmallChunks = 8;  // then it does not any more
constexpr size_t kSmallChunk = 8 << 10;
constexpr size_t kSpliceChunk = 1 << 20;
constexpr size_t kTlsTurn = 128 << 10;  // of the socket's bytes: many records may hold little
constexpr unsigned kSpliceFlags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK;  // MORE would cost 200 ms

}  // namespace

PumpResult Direction::pump(Peer source, Peer sink, RelayResources& resources) {
  for (int turn = 0; turn < kTurn; ++turn) {
    Step step = drain(sink.fd, resources);
    if (step == Step::kGoOn && ended_) return PumpResult::kEnded;
    if (step == Step::kGoOn && !readable_) step = Step::kStop;
    if (step == Step::kGoOn) step = fill(source, sink, resources);
    if (step == Step::kSourceFailed) return PumpResult::kSourceFailed;
    if (step == Step::kSinkFailed) return PumpResult::kSinkFailed;
    if (step == Step::kYield) return PumpResult::kMore;
    if (step == Step::kStop) return ended() ? PumpResult::kEnded : PumpResult::kWaiting;
  }
  return PumpResult::kMore;
}

void Direction::repeat(const std::string& bytes, RelayResources& resources) {
  abandon(resources);
  if (!bytes.empty()) pending_ = std::make_unique<std::string>(bytes);
}

void Direction::abandon(RelayResources& resources) {
  pending_.reset();
  // A dirty pipe is destroyed by the pool, never lent again.
  return_pipe(resources);
}

Direction::Step Direction::drain(int sink, RelayResources& resources) {
  if (pending_) {
    const auto waiting = std::exchange(pending_, nullptr);
    const Step step = send_now(sink, waiting->data(), waiting->size());
    if (step != Step::kGoOn || pending_) return step;
  }
  while (pipe_ && pipe_->held > 0) {
    const ssize_t sent =
        ::splice(pipe_->read_end.get(), nullptr, sink, nullptr, pipe_->held, kSpliceFlags);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) return Step::kStop;
    if (sent <= 0) return Step::kSinkFailed;
    pipe_->held -= static_cast<size_t>(sent);
  }
  return_pipe(resources);
  return Step::kGoOn;
}

void Direction::owe(const std::string& wire) {
  if (wire.empty()) return;
  if (!pending_) pending_ = std::make_unique<std::string>();
  pending_->append(wire);
}

bool Direction::flush(int sink, RelayResources& resources) {
  return drain(sink, resources) != Step::kSinkFailed;
}

Direction::Step Direction::fill(Peer source, Peer sink, RelayResources& resources) {
  if (source.tls != nullptr) return fill_by_tls(source, sink, resources);
  return splicing_ && sink.tls == nullptr ? fill_by_splice(source.fd, sink.fd, resources)
                                          : fill_by_copy(source.fd, sink, resources);
}

Direction::Step Direction::fill_by_copy(int source, Peer sink, RelayResources& resources) {
  const ssize_t got = ::recv(source, resources.scratch.data(), resources.scratch.size(), 0);
  if (got < 0) return on_read_error();
  if (got == 0) {
    ended_ = true;
    return Step::kGoOn;
  }
  const auto size = static_cast<size_t>(got);
  note_copy(size, resources.scratch.size());
  return pass_on(sink, size, resources);
}

// Records are taken until the scratch buffer is full, so that the sink gets them in one call.
Direction::Step Direction::fill_by_tls(Peer source, Peer sink, RelayResources& resources) {
  using tls::Outcome;
  if (std::exchange(fresh_, false)) source.tls->wake(end_in_sight_);
  source.tls->allow(kTlsTurn);
  auto& scratch = resources.scratch;
  size_t size = 0;
  Outcome outcome = Outcome::kDone;
  while (outcome == Outcome::kDone && size < scratch.size()) {
    size_t got = 0;
    outcome = source.tls->read(scratch.data() + size, scratch.size() - size, &got);
    size += got;
  }
  if (outcome == Outcome::kWaiting) readable_ = false;
  const Step passed = size == 0 ? Step::kGoOn : pass_on(sink, size, resources);
  if (passed == Step::kSinkFailed) return passed;
  if (outcome == Outcome::kFailed) return Step::kSourceFailed;
  if (outcome == Outcome::kMore && passed == Step::kGoOn) return Step::kYield;
  if (outcome != Outcome::kEnded && outcome != Outcome::kCutOff) return passed;
  if (outcome == Outcome::kCutOff) {
    ++(source.tls->peer() ? resources.backend_cut_off : resources.cut_off);
  }
  ended_ = true;
  return Step::kGoOn;
}

// What is in the scratch buffer.
Direction::Step Direction::pass_on(Peer sink, size_t size, RelayResources& resources) {
  const char* data = resources.scratch.data();
  resources.copied += size;
  bytes_ += size;
  if (resources.kept != nullptr) resources.kept->add(data, size);
  if (sink.tls == nullptr) return send_now(sink.fd, data, size);
  resources.wire.clear();
  if (!sink.tls->write(data, size, resources.wire)) return Step::kSinkFailed;
  return send_now(sink.fd, resources.wire.data(), resources.wire.size());
}

// EAGAIN says the same for an empty socket and for a full pipe, but the pipe is empty here.
Direction::Step Direction::fill_by_splice(int source, int sink, RelayResources& resources) {
  if (!pipe_) pipe_ = resources.pipes.take();
  if (!pipe_) {
    splicing_ = false;
    return Step::kGoOn;
  }
  const ssize_t got =
      ::splice(source, nullptr, pipe_->write_end.get(), nullptr, kSpliceChunk, kSpliceFlags);
  if (got <= 0) {
    const int error = errno;
    return_pipe(resources);
    errno = error;
    // At the mark of an urgent byte splice(2) says the same as at the end, or as of an empty
    // socket. recv(2) knows better, and goes past it.
    const bool perhaps_a_mark = got == 0 || (error == EAGAIN && end_in_sight_);
    if (!perhaps_a_mark) return on_read_error();
    splicing_ = false;
    streak_ = 0;
    return Step::kGoOn;
  }
  pipe_->held = static_cast<size_t>(got);
  resources.spliced += pipe_->held;
  bytes_ += pipe_->held;
  note_splice(pipe_->held);
  return drain(sink, resources);
}

Direction::Step Direction::send_now(int sink, const char* data, size_t size) {
  size_t sent = 0;
  while (sent < size) {
    const ssize_t n = ::send(sink, data + sent, size - sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno != EAGAIN) return Step::kSinkFailed;
    if (n < 0) {
      pending_ = std::make_unique<std::string>(data + sent, size - sent);
      return Step::kStop;
    }
    sent += static_cast<size_t>(n);
  }
  return Step::kGoOn;
}

Direction::Step Direction::on_read_error() {
  if (errno == EINTR) return Step::kGoOn;
  if (errno != EAGAIN) return Step::kSourceFailed;
  readable_ = false;
  return Step::kStop;
}

// A short read has emptied the socket: no second call is needed to learn it, unless a FIN is
// already known to be behind the data, for which no further edge will come.
void Direction::note_copy(size_t got, size_t room) {
  const bool full = got == room;
  if (!full && !end_in_sight_) readable_ = false;
  streak_ = full ? static_cast<uint8_t>(streak_ + 1) : uint8_t{0};
  if (streak_ < kFullReads) return;
  splicing_ = true;
  streak_ = 0;
}

void Direction::note_splice(size_t got) {
  streak_ = got < kSmallChunk ? static_cast<uint8_t>(streak_ + 1) : uint8_t{0};
  if (streak_ < kSmallChunks) return;
  splicing_ = false;
  streak_ = 0;
}

void Direction::return_pipe(RelayResources& resources) {
  if (pipe_) resources.pipes.give_back(std::move(pipe_));
}

}  // namespace lb::proxy
