#include "controller/sources/secret_follower.hpp"

#include <ctime>
#include <utility>

namespace lb::sources {

SecretFollower::SecretFollower(asio::io_context& io, kube::SecretReader::Options options,
                               SourceSink& sink)
    : io_(io), sink_(sink), reader_(with_answers(std::move(options))) {}

kube::SecretReader::Options SecretFollower::with_answers(kube::SecretReader::Options options) {
  options.on_answers = [this, stopped = stopped_](kube::SecretReader::Answers answers) {
    // On its way it is in one place only: a key is wiped there.
    auto shared = std::make_shared<kube::SecretReader::Answers>(std::move(answers));
    asio::post(io_, [this, stopped, shared] {
      if (!*stopped) take(*shared);
      for (auto& each : *shared) {
        if (!each.data) continue;
        for (auto& [entry, bytes] : *each.data) plan::wipe(bytes);
      }
    });
  };
  return options;
}

void SecretFollower::stop() {
  *stopped_ = true;
  reader_.stop();
}

void SecretFollower::want(const std::set<std::string>& certificates) {
  certificates_.want(certificates);
  reader_.follow(certificates_.secrets());
  tell();
}

void SecretFollower::take(const kube::SecretReader::Answers& answers) {
  const int64_t now = std::time(nullptr);
  bool news = false;
  for (const auto& answer : answers) news = certificates_.take(answer, now) || news;
  if (news) tell();
}

void SecretFollower::tell() {
  sink_.certificates("kubernetes/", {certificates_.all(), certificates_.troubles()});
}

}  // namespace lb::sources
