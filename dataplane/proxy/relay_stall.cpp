#include "dataplane/proxy/relay_engine.hpp"

namespace lb::proxy {
namespace {

// A wakeup for new input names all of them (epoll(7), EPOLLET), so none may be left in.
constexpr uint32_t kWithoutInput = kSessionEvents & ~uint32_t{EPOLLIN | EPOLLPRI};

}  // namespace

// Input of a side whose bytes the other one does not take would wake us with each segment, for
// nothing: it is not listened to until they are taken. FIN and reset are told all the same.
void RelayEngine::stall(Session& session, int side) {
  if (is_stalled(session, side) || !listen_for(session, side, kWithoutInput)) return;
  session.stalled |= stall_bit(side);
  add(counters_.stalls);
}

// What came meanwhile is told at once.
void RelayEngine::end_stall(Session& session, int side) {
  if (listen_for(session, side, kSessionEvents)) session.stalled &= ~stall_bit(side) & kBothSides;
}

bool RelayEngine::listen_for(const Session& session, int side, uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = side == kClient ? client_tag(session) : backend_tag(session, session.dial);
  return epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, session.side[side].get(), &event) == 0;
}

}  // namespace lb::proxy
