#include "dataplane/handoff/handoff_session.hpp"

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <utility>

#include "dataplane/handoff/descriptor_passing.hpp"
#include "dataplane/handoff/handoff_message.hpp"

namespace lb::handoff {
namespace {

using boost::system::error_code;

bool peer_has_gone(int socket) {
  char byte = 0;
  return ::recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

Status all_open(const std::vector<OfferedSocket>& offered) {
  for (const auto& each : offered) {
    if (::fcntl(each.fd, F_GETFD) >= 0) continue;
    return Error{"Descriptors", "a descriptor of the offer is closed"};
  }
  return Done{};
}

std::vector<OfferedSocket> descriptors_of(const Offer& offer) {
  std::vector<OfferedSocket> out;
  out.reserve(offer.listeners.size() + 1);
  if (offer.lock >= 0) out.push_back({{}, offer.lock});
  out.insert(out.end(), offer.listeners.begin(), offer.listeners.end());
  return out;
}

OfferDocument document_of(const Offer& offer) {
  OfferDocument document{offer.version,   offer.workers, offer.counters, {},
                         offer.lock >= 0, offer.state};
  document.listeners.reserve(offer.listeners.size());
  for (const auto& socket : offer.listeners) document.listeners.push_back(socket.label);
  return document;
}

std::string framed(const std::string& text) {
  const LengthBytes length = encode_length(text.size());
  return std::string(length.begin(), length.end()) + text;
}

}  // namespace

HandoffSession::HandoffSession(Socket socket, HandoffTimes times, Hooks hooks)
    : socket_(std::move(socket)),
      timer_(socket_.get_executor()),
      times_(times),
      hooks_(std::move(hooks)) {}

void HandoffSession::start() {
  error_code ignored;
  socket_.native_non_blocking(true, ignored);
  guarded([this] {
    arm(times_.hello, "nothing was asked for in time");
    read_document(&HandoffSession::on_hello);
  });
}

void HandoffSession::abandon() {
  over_ = true;
  hooks_ = {};
  timer_.cancel();
  error_code ignored;
  socket_.close(ignored);
}

void HandoffSession::end(Status outcome) {
  if (over_) return;
  const auto ended = std::move(hooks_.ended);
  abandon();
  ended(std::move(outcome));
}

// True when there is nothing more to do for the handler that was given `code`.
bool HandoffSession::failed(const error_code& code) {
  if (over_) return true;
  if (!code) return false;
  end(Error{"PeerGone", "the new process is gone: " + code.message()});
  return true;
}

void HandoffSession::arm(std::chrono::milliseconds limit, const char* what_for) {
  timer_.expires_after(limit);
  timer_.async_wait([self = shared_from_this(), what_for](const error_code& cancelled) {
    if (!cancelled) self->end(Error{"HandoffTimeout", what_for});
  });
}

void HandoffSession::read_document(Next next) {
  asio::async_read(socket_, asio::buffer(length_),
                   [self = shared_from_this(), next](const error_code& failed, size_t) {
                     self->guarded([&] { self->on_length(failed, next); });
                   });
}

void HandoffSession::on_length(const error_code& code, Next next) {
  if (failed(code)) return;
  const auto length = decode_length(length_, kMaxMessageBytes);
  if (!length.ok()) return refuse(length.error());
  text_.resize(*length);
  asio::async_read(socket_, asio::buffer(text_),
                   [self = shared_from_this(), next](const error_code& read_failed, size_t) {
                     self->guarded([&] {
                       if (!self->failed(read_failed)) ((*self).*next)(self->text_);
                     });
                   });
}

void HandoffSession::on_hello(const std::string& text) {
  const auto hello = decode_hello(text);
  if (!hello.ok()) return refuse(hello.error());
  send_offer();
}

void HandoffSession::send_offer() {
  const auto offer = hooks_.offer();
  if (!offer.ok()) return refuse(offer.error());
  const auto document = encode(document_of(*offer));
  if (!document.ok()) return refuse(document.error());
  offered_ = descriptors_of(*offer);
  if (const auto open = all_open(offered_); !open) return refuse(open.error());
  arm(times_.serving, "the new process did not say in time that it serves");
  write(*document, [this] { send_more_descriptors(); });
}

// After a wait: a listener may have been closed meanwhile, and its number be another file's.
void HandoffSession::send_more_descriptors() {
  if (still_open()) return send_descriptors();
  end(Error{"ListenerClosed", "a listener was closed while it was handed over"});
}

bool HandoffSession::still_open() const {
  auto open = hooks_.sockets();
  std::sort(open.begin(), open.end());
  return std::all_of(offered_.begin() + static_cast<ptrdiff_t>(sent_), offered_.end(),
                     [&](const OfferedSocket& each) {
                       return each.label == SocketLabel{} ||
                              std::binary_search(open.begin(), open.end(), each);
                     });
}

void HandoffSession::send_descriptors() {
  while (sent_ < offered_.size()) {
    const size_t count = batch_size(offered_.size() - sent_);
    std::array<int, kBatch> batch{};
    for (size_t i = 0; i < count; ++i) batch[i] = offered_[sent_ + i].fd;
    const auto sent = send_batch(socket_.native_handle(), {batch.data(), count});
    if (!sent.ok()) return end(sent.error());
    if (!*sent) {
      return socket_.async_wait(Socket::wait_write,
                                [self = shared_from_this()](const error_code& code) {
                                  self->guarded([&] {
                                    if (!self->failed(code)) self->send_more_descriptors();
                                  });
                                });
    }
    sent_ += count;
  }
  offered_.clear();
  read_document(&HandoffSession::on_serving);
}

void HandoffSession::on_serving(const std::string& text) {
  const auto answer = decode_serving(text);
  if (!answer.ok()) return end(answer.error());
  if (!answer->serving) {
    return end(Error{"HandoffDeclined", "the new process does not serve: " + answer->why});
  }
  // It may have died with its word on the way; then nobody would serve.
  if (peer_has_gone(socket_.native_handle())) {
    return end(Error{"PeerGone", "the new process ended as soon as it served"});
  }
  release();
}

void HandoffSession::release() {
  const Released released{hooks_.release()};
  // From here on it has happened, whether or not the new process hears of it.
  arm(times_.hello, "the new process does not read the last counters");
  write(encode(released), [this] { end(Done{}); });
}

void HandoffSession::write(std::string text, std::function<void()> next) {
  text_ = framed(text);
  asio::async_write(
      socket_, asio::buffer(text_),
      [self = shared_from_this(), next = std::move(next)](const error_code& code, size_t) {
        self->guarded([&] {
          if (!self->failed(code)) next();
        });
      });
}

void HandoffSession::refuse(const Error& error) {
  const std::string text = framed(encode_refusal(error.code + ": " + error.message));
  ::send(socket_.native_handle(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  end(error);
}

}  // namespace lb::handoff
