#include "controller/publisher.hpp"

#include "common/model/diff.hpp"
#include "common/model/state_json.hpp"
#include "common/ops/log.hpp"
#include "controller/dataplane_json.hpp"

namespace lb::controller {
namespace {

// One publisher talks to one data plane: there is no herd to spread.
constexpr double kNoJitter = 1.0;

}  // namespace

Publisher::Publisher(asio::io_context& io, Options options, PublisherObserver& observer)
    : io_(io),
      options_(std::move(options)),
      observer_(observer),
      writer_(io, options_.dataplane),
      reader_(io, options_.dataplane),
      send_timer_(io),
      poll_timer_(io),
      silence_timer_(io) {}

void Publisher::start() {
  last_heard_ = asio::steady_timer::clock_type::now();
  read_held();
  watch_silence();
}

void Publisher::stop() {
  stopped_ = true;
  send_timer_.cancel();
  poll_timer_.cancel();
  silence_timer_.cancel();
}

void Publisher::set(const std::string& key, std::optional<Service> service) {
  const auto found = wanted_.find(key);
  if (service) {
    if (found != wanted_.end() && *found->second == *service) return;
    wanted_.insert_or_assign(key, std::make_shared<Service>(std::move(*service)));
  } else {
    if (found == wanted_.end()) return;
    wanted_.erase(found);
  }
  changed_ = true;
  schedule();
}

void Publisher::note_error(const Error& error) {
  ++counters_.errors;
  if (std::exchange(complained_, true)) return;
  ops::log(ops::Level::kWarning, "the data plane cannot be reached: " + error.message,
           {{"reason", error.code}});
}

void Publisher::heard() {
  last_heard_ = asio::steady_timer::clock_type::now();
  if (std::exchange(complained_, false))
    ops::log(ops::Level::kInfo, "the data plane answers again");
  if (std::exchange(lost_, false)) observer_.lost(false);
}

void Publisher::watch_silence() {
  silence_timer_.expires_at(last_heard_ + options_.lost_after);
  silence_timer_.async_wait([this](const boost::system::error_code& error) {
    if (error || stopped_) return;
    const auto silent = asio::steady_timer::clock_type::now() - last_heard_;
    if (silent < options_.lost_after) return watch_silence();
    if (!std::exchange(lost_, true)) observer_.lost(true);
    silence_timer_.expires_after(std::chrono::seconds(1));
    silence_timer_.async_wait([this](const boost::system::error_code& again) {
      if (!again && !stopped_) watch_silence();
    });
  });
}

void Publisher::read_held() {
  writer_.request({"GET", "/v1/state", {}, {}}, options_.request_timeout,
                  [this](Result<net::HttpResponse> answer) {
                    if (stopped_) return;
                    if (answer && answer->status == 200) return take_over(*answer);
                    note_error(answer ? Error{"Refused", "HTTP " + std::to_string(answer->status)}
                                      : answer.error());
                    send_timer_.expires_after(send_backoff_.next(kNoJitter));
                    send_timer_.async_wait([this](const boost::system::error_code& error) {
                      if (!error && !stopped_) read_held();
                    });
                  });
}

void Publisher::take_over(const net::HttpResponse& response) {
  auto held = decode_state(response.body);
  if (!held) {
    note_error(held.error());
    held = DesiredState{};
  }
  send_backoff_.reset();
  heard();
  acknowledged_ = *held;
  epoch_ = held->version.epoch + 1;
  generation_ = 0;
  whole_ = true;
  if (!contacted_) {
    for (auto each = held->services.begin(); each != held->services.end(); ++each) {
      wanted_.try_emplace(each->key, each.element());
    }
  }
  contacted_ = true;
  observer_.held(*held);
  changed_ = true;
  poll();
  schedule();
}

void Publisher::schedule() {
  if (!contacted_ || scheduled_ || in_flight_ || stopped_ || superseded()) return;
  scheduled_ = true;
  send_timer_.expires_after(options_.coalesce);
  send_timer_.async_wait([this](const boost::system::error_code& error) {
    scheduled_ = false;
    if (!error && !stopped_) publish();
  });
}

DesiredState Publisher::wanted_state() const {
  DesiredState out;
  out.version = {epoch_, generation_};
  out.services.reserve(wanted_.size());
  for (const auto& [key, service] : wanted_) out.services.share_back(service);
  return out;
}

void Publisher::publish() {
  if (!changed_ && !whole_) return;
  changed_ = false;
  DesiredState offered = wanted_state();
  const StateDiff difference = diff(acknowledged_, offered);
  if (difference.empty() && !whole_) return;
  offered.version.generation = ++generation_;
  if (whole_) {
    ++counters_.puts;
    net::HttpRequest request{"PUT", "/v1/state", {}, encode_state(offered)};
    return send(std::move(request), std::move(offered));
  }
  ++counters_.patches;
  const auto patch = to_patch(difference, acknowledged_.version, generation_);
  send({"PATCH", "/v1/state", {}, encode_patch(patch)}, std::move(offered));
}

void Publisher::send(net::HttpRequest request, DesiredState offered) {
  in_flight_ = true;
  request.headers.push_back({"Content-Type", "application/json"});
  writer_.request(std::move(request), options_.request_timeout,
                  [this, offered = std::move(offered)](Result<net::HttpResponse> answer) mutable {
                    if (stopped_) return;
                    in_flight_ = false;
                    if (answer) return answered(*answer, std::move(offered));
                    note_error(answer.error());
                    retry_later();
                  });
}

void Publisher::retry_later() {
  // What became of the change is not known: only the whole state is sure to be right.
  whole_ = true;
  changed_ = true;
  scheduled_ = true;
  send_timer_.expires_after(send_backoff_.next(kNoJitter));
  send_timer_.async_wait([this](const boost::system::error_code& error) {
    scheduled_ = false;
    if (!error && !stopped_) publish();
  });
}

void Publisher::answered(const net::HttpResponse& response, DesiredState offered) {
  heard();
  if (response.status == 409) return conflict(response);
  if (response.status != 200) {
    ++counters_.refused;
    const Refusal refusal = decode_refusal(response.body);
    ops::log(ops::Level::kError, "the data plane refused the state: " + refusal.message,
             {{"reason", refusal.reason}, {"pointer", refusal.pointer}});
    return retry_later();
  }
  send_backoff_.reset();
  ++counters_.acknowledged;
  whole_ = false;
  acknowledged_ = std::move(offered);
  const auto result = decode_apply_result(response.body);
  observer_.acknowledged(acknowledged_, result ? result->failed : std::vector<Failure>{});
  if (changed_) schedule();
}

void Publisher::conflict(const net::HttpResponse& response) {
  ++counters_.conflicts;
  const Version held = decode_refusal(response.body).held;
  if (held.epoch > epoch_) {
    counters_.superseded = 1;
    return ops::log(ops::Level::kError,
                    "another controller publishes to this data plane with a higher epoch: this one "
                    "stops publishing; run one controller for each data plane",
                    {{"epoch", epoch_}, {"held_epoch", held.epoch}, {"reason", "Superseded"}});
  }
  generation_ = std::max(generation_, held.epoch == epoch_ ? held.generation : 0);
  retry_later();
}

void Publisher::poll() {
  if (stopped_) return;
  asked_ = asio::steady_timer::clock_type::now();
  const std::string target =
      rev_.empty() ? "/v1/status"
                   : "/v1/status?since=" + rev_ + "&wait=" + std::to_string(options_.poll.count());
  reader_.request({"GET", target, {}, {}}, options_.poll + std::chrono::seconds(10),
                  [this](Result<net::HttpResponse> answer) {
                    if (stopped_) return;
                    if (answer && answer->status == 200) {
                      if (!polled(*answer)) return poll_later(std::chrono::seconds(1));
                      poll_backoff_.reset();
                      return poll();
                    }
                    note_error(answer ? Error{"Refused", "HTTP " + std::to_string(answer->status)}
                                      : answer.error());
                    // One that is ending says 503, and still knows what we have.
                    if (!answer) rev_.clear();
                    poll_later(poll_backoff_.next(kNoJitter));
                  });
}

void Publisher::poll_later(std::chrono::milliseconds pause) {
  poll_timer_.expires_after(pause);
  poll_timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) poll();
  });
}

// False: nothing was new, although the time to wait for news is not over: asking again at once
// would be a busy loop.
bool Publisher::polled(const net::HttpResponse& response) {
  const auto status = decode_status(response.body);
  if (!status) {
    note_error(status.error());
    return false;
  }
  const auto waited = asio::steady_timer::clock_type::now() - asked_;
  const bool early = rev_ == status->rev && waited < options_.poll / 2;
  heard();
  rev_ = status->rev;
  const bool restarted = !instance_.empty() && instance_ != status->instance;
  instance_ = status->instance;
  // Another pair than ours is only news while nothing of ours is on its way.
  const bool foreign = !in_flight_ && !whole_ && status->version != acknowledged_.version;
  if (restarted || foreign) {
    whole_ = true;
    changed_ = true;
    schedule();
  }
  observer_.status(*status);
  return !early;
}

}  // namespace lb::controller
