#include "dataplane/health/dialogue_probe.hpp"

#include <sys/socket.h>

#include <array>
#include <cerrno>

namespace lb::health {

DialogueProbe::DialogueProbe(const ProbeSetting& setting, const Check& check, Done done,
                             Script script)
    : Probe(setting, check, std::move(done)), script_(std::move(script)) {}

void DialogueProbe::say() {
  while (said_ < script_.say.size()) {
    const ssize_t sent = ::send(socket().native_handle(), script_.say.data() + said_,
                                script_.say.size() - said_, MSG_NOSIGNAL);
    if (sent < 0 && errno == EAGAIN) {
      return when_ready(asio::socket_base::wait_write, [this] { say(); });
    }
    if (sent < 0) return finish_errno(errno);
    said_ += static_cast<size_t>(sent);
  }
  listen();
}

void DialogueProbe::listen() {
  when_ready(asio::socket_base::wait_read, [this] { hear(); });
}

// One read a turn: a target that never stops talking gets no more of the thread than others.
void DialogueProbe::hear() {
  std::array<char, 4096> buffer;
  const ssize_t got = ::recv(socket().native_handle(), buffer.data(), buffer.size(), 0);
  if (got < 0 && errno == EAGAIN) return listen();
  if (got < 0) return finish_errno(errno);
  if (got == 0) return finish(script_.judge->at_end());
  const auto result = script_.judge->feed({buffer.data(), static_cast<size_t>(got)});
  if (result) return finish(*result);
  listen();
}

}  // namespace lb::health
