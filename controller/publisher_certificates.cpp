// How a publisher has certificates brought ahead of what names them, and taken away afterwards.
#include "controller/publisher.hpp"

namespace lb::controller {
namespace {

constexpr double kNoJitter = 1.0;  // as for states

}  // namespace

void Publisher::certificates_changed() {
  if (!courier_.settled()) schedule();
}

void Publisher::bring_certificates() {
  in_flight_ = true;
  courier_.bring([this](const Status& outcome) { carried(outcome); });
}

void Publisher::offer_again_in_time() {
  const auto now = asio::steady_timer::clock_type::now();
  if (courier_.refused().empty()) offered_ = now;
  if (in_flight_ || now - offered_ < options_.offer_again) return;
  offered_ = now;
  courier_.offer_again();
  if (!courier_.settled()) schedule();
}

// Nothing is wanted but what is held, so what nobody wants is named by no state either.
void Publisher::tidy_certificates() {
  send_backoff_.reset();
  if (courier_.tidy_enough()) return;
  in_flight_ = true;
  courier_.tidy([this](const Status& outcome) { carried(outcome); });
}

void Publisher::carried(const Status& outcome) {
  if (stopped_) return;
  in_flight_ = false;
  if (courier_.take_news()) observer_.certificates(*this);
  if (outcome) {
    heard();
    return publish();
  }
  note_error(outcome.error());
  courier_.doubt();
  wait_and_publish(send_backoff_.next(kNoJitter));
}

}  // namespace lb::controller
