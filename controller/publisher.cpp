#include "controller/publisher.hpp"

#include <algorithm>

#include "common/model/state_json.hpp"
#include "common/ops/log.hpp"
#include "common/ops/utc_time.hpp"
#include "controller/dataplane_json.hpp"

namespace lb::controller {
namespace {

using plan::Reach;
using plan::ServicePtr;
using Clock = asio::steady_timer::clock_type;

// One publisher talks to one data plane: there is no herd to spread.
constexpr double kNoJitter = 1.0;
constexpr std::chrono::seconds kPollGrace{3};  // for an answer that is due

bool same(const ServicePtr& a, const ServicePtr& b) { return a == b || (a && b && *a == *b); }

ServicePtr find(const WantedServices& in, const std::string& key) {
  const auto found = in.find(key);
  return found == in.end() ? nullptr : found->second;
}

}  // namespace

Publisher::Publisher(asio::io_context& io, Options options, Target target,
                     const WantedServices& wanted, const plan::CertificateBook& book,
                     PublisherObserver& observer)
    : io_(io),
      options_(options),
      target_(std::move(target)),
      wanted_(wanted),
      observer_(observer),
      writer_(io, target_.address),
      reader_(io, target_.address),
      courier_(writer_, options_.request_timeout, target_.name, book),
      send_timer_(io),
      read_timer_(io),
      poll_timer_(io),
      silence_timer_(io) {}

void Publisher::start(std::optional<uint64_t> epoch) {
  leadership_ = epoch;
  last_heard_ = Clock::now();
  times_.unknown(last_heard_);
  read_held();
  watch_silence();
}

void Publisher::restart(uint64_t epoch) {
  if (stopped_) return;
  leadership_ = epoch;
  superseded_ = false;
  read_held();
}

void Publisher::stop() {
  stopped_ = true;
  send_timer_.cancel();
  read_timer_.cancel();
  poll_timer_.cancel();
  silence_timer_.cancel();
}

void Publisher::touch(const std::string& key) {
  dirty_.insert(key);
  times_.changed(key, Clock::now());
  schedule();
}

ServicePtr Publisher::held(const std::string& key) const { return find(held_, key); }

void Publisher::note_error(const Error& error) {
  ++counters_.errors;
  last_error_ = error.message;
  if (std::exchange(complaint_, error.code) == error.code) return;
  ops::log(ops::Level::kWarning, "a data plane cannot be reached: " + error.message,
           {{"dataplane", name()}, {"reason", error.code}});
}

void Publisher::heard() {
  last_heard_ = Clock::now();
  if (!std::exchange(complaint_, {}).empty()) {
    ops::log(ops::Level::kInfo, "the data plane answers again", {{"dataplane", name()}});
  }
  set_reach(Reach::kAnswers);
}

void Publisher::set_reach(Reach reach) {
  if (std::exchange(reach_, reach) != reach) observer_.reached(*this);
}

void Publisher::watch_silence() {
  const auto silent = Clock::now() - last_heard_;
  if (silent >= options_.lost_after) {
    set_reach(Reach::kLost);
  } else if (silent >= options_.silent_after) {
    set_reach(Reach::kSilent);
  }
  offer_again_in_time();
  silence_timer_.expires_after(std::chrono::seconds(1));
  silence_timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error && !stopped_) watch_silence();
  });
}

void Publisher::read_held() {
  writer_.request({"GET", "/v1/state", {}, {}}, options_.request_timeout,
                  [this, gone = gone_](Result<net::HttpResponse> answer) {
                    if (*gone || stopped_) return;
                    if (answer && answer->status == 200) return take_over(*answer);
                    note_error(answer ? Error{"Refused", "HTTP " + std::to_string(answer->status)}
                                      : answer.error());
                    read_timer_.expires_after(send_backoff_.next(kNoJitter));
                    read_timer_.async_wait([this](const boost::system::error_code& error) {
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
  held_.clear();
  for (const auto& service : held->services) {
    held_[service.key] = std::make_shared<const Service>(service);
  }
  version_ = held->version;
  epoch_ = leadership_.value_or(version_.epoch + 1);
  generation_ = epoch_ == version_.epoch ? version_.generation : 0;
  whole_ = true;
  courier_.doubt();
  const bool first = !std::exchange(contacted_, true);
  heard();
  if (first) {
    observer_.held(*this, *held);
    poll();
  }
  schedule();
}

void Publisher::schedule() {
  if (!contacted_ || scheduled_ || in_flight_ || stopped_ || superseded_) return;
  wait_and_publish(options_.coalesce);
}

void Publisher::wait_and_publish(std::chrono::milliseconds pause) {
  scheduled_ = true;
  send_timer_.expires_after(pause);
  send_timer_.async_wait([this](const boost::system::error_code& error) {
    if (error || stopped_) return;
    scheduled_ = false;
    publish();
  });
}

void Publisher::publish() {
  if (!courier_.settled()) return bring_certificates();
  return whole_ ? put() : patch();
}

void Publisher::put() {
  dirty_.clear();
  times_.sent();
  ++counters_.puts;
  DesiredState offered;
  offered.version = {epoch_, ++generation_};
  for (const auto& [key, service] : wanted_) offered.services.share_back(service);
  send({"PUT", "/v1/state", {}, encode_state(offered)}, offered.version,
       [this, all = wanted_]() mutable { return now_held(std::move(all)); });
}

// What has changed back meanwhile is no change.
Publisher::Changes Publisher::take_changes() {
  Changes out;
  for (const auto& key : std::exchange(dirty_, {})) {
    auto wanted = find(wanted_, key);
    if (!same(wanted, held(key))) out.emplace_back(key, std::move(wanted));
  }
  return out;
}

void Publisher::patch() {
  auto changes = take_changes();
  if (changes.empty()) {
    times_.nothing_to_send();
    return tidy_certificates();
  }
  times_.sent();
  ++counters_.patches;
  StatePatch offered{version_.epoch, version_.generation, ++generation_, {}, {}};
  for (const auto& [key, service] : changes) {
    if (service) {
      offered.changed.share_back(service);
    } else {
      offered.removed.push_back(key);
    }
  }
  send({"PATCH", "/v1/state", {}, encode_patch(offered)}, {epoch_, generation_},
       [this, changes = std::move(changes)] { return now_held(changes); });
}

std::set<std::string> Publisher::now_held(const Changes& changes) {
  std::set<std::string> out;
  for (const auto& [key, service] : changes) {
    if (service) {
      held_[key] = service;
    } else {
      held_.erase(key);
    }
    out.insert(key);
  }
  return out;
}

std::set<std::string> Publisher::now_held(WantedServices all) {
  std::set<std::string> out;
  for (const auto& [key, service] : all) {
    if (!same(service, held(key))) out.insert(key);
  }
  for (const auto& [key, service] : held_) {
    if (!all.contains(key)) out.insert(key);
  }
  held_ = std::move(all);
  return out;
}

void Publisher::send(net::HttpRequest request, Version offered,
                     std::function<std::set<std::string>()> done) {
  in_flight_ = true;
  request.headers.push_back({"Content-Type", "application/json"});
  writer_.request(
      std::move(request), options_.request_timeout,
      [this, offered, gone = gone_, done = std::move(done)](Result<net::HttpResponse> answer) {
        if (*gone || stopped_) return;
        in_flight_ = false;
        if (answer) return answered(*answer, offered, done);
        note_error(answer.error());
        retry_later();
      });
}

// What became of the change is not known: only the whole state is sure to be right.
void Publisher::retry_later() {
  whole_ = true;
  courier_.doubt();
  wait_and_publish(send_backoff_.next(kNoJitter));
}

void Publisher::answered(const net::HttpResponse& response, Version offered,
                         const std::function<std::set<std::string>()>& done) {
  heard();
  if (response.status == 409) return conflict(response);
  if (response.status != 200) {
    ++counters_.refused;
    note_refusal(decode_refusal(response.body));
    return retry_later();
  }
  send_backoff_.reset();
  ++counters_.acknowledged;
  times_.acknowledged(Clock::now());
  acknowledged_at_ = ops::utc_milliseconds();
  last_error_.clear();
  whole_ = false;
  overtaken_.insert(std::exchange(version_, offered));
  const auto result = decode_apply_result(response.body);
  observer_.acknowledged(*this, done(), result ? result->failed : std::vector<Failure>{});
  if (!dirty_.empty() || whole_ || !courier_.settled() || !courier_.tidy_enough()) schedule();
}

// Said once, however often the same state is refused.
void Publisher::note_refusal(const Refusal& refusal) {
  std::string said = refusal.reason + ": " + refusal.message;
  if (said == last_error_) return;
  last_error_ = std::move(said);
  ops::log(ops::Level::kError, "the data plane refused the state: " + refusal.message,
           {{"dataplane", name()}, {"reason", refusal.reason}, {"pointer", refusal.pointer}});
}

void Publisher::conflict(const net::HttpResponse& response) {
  ++counters_.conflicts;
  const Version held = decode_refusal(response.body).held;
  if (held.epoch > epoch_) {
    superseded_ = true;
    ops::log(ops::Level::kError,
             "another controller publishes to this data plane with a higher epoch: this one stops "
             "publishing to it",
             {{"dataplane", name()},
              {"epoch", epoch_},
              {"held_epoch", held.epoch},
              {"reason", "Superseded"}});
    return observer_.superseded(*this, held.epoch);
  }
  generation_ = std::max(generation_, held.epoch == epoch_ ? held.generation : 0);
  retry_later();
}

void Publisher::poll() {
  if (stopped_) return;
  asked_ = Clock::now();
  overtaken_.clear();
  const std::string target =
      rev_.empty() ? "/v1/status"
                   : "/v1/status?since=" + rev_ + "&wait=" + std::to_string(options_.poll.count());
  reader_.request({"GET", target, {}, {}}, options_.poll + kPollGrace,
                  [this, at_once = rev_.empty(), gone = gone_](Result<net::HttpResponse> answer) {
                    if (*gone || stopped_) return;
                    if (answer && answer->status == 200) {
                      if (!polled(*answer)) return poll_later(std::chrono::seconds(1));
                      poll_backoff_.reset();
                      return at_once ? poll() : poll_in_time();
                    }
                    note_error(answer ? Error{"Refused", "HTTP " + std::to_string(answer->status)}
                                      : answer.error());
                    // One that is ending says 503, and still knows what we have.
                    if (!answer) rev_.clear();
                    poll_later(poll_backoff_.next(kNoJitter));
                  });
}

// Where much is new, several news come as one.
void Publisher::poll_in_time() {
  const auto left = asked_ + options_.poll_pause - Clock::now();
  if (left <= left.zero()) return poll();
  poll_later(std::chrono::ceil<std::chrono::milliseconds>(left));
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
  const bool early = rev_ == status->rev && Clock::now() - asked_ < options_.poll / 2;
  heard();
  rev_ = status->rev;
  const bool restarted = !instance_.empty() && instance_ != status->instance;
  instance_ = status->instance;
  // Another pair than ours is only news while nothing of ours is on its way, and where the answer
  // is not an older one than that to a change.
  const bool foreign = !in_flight_ && !whole_ && status->version != version_ &&
                       !overtaken_.contains(status->version);
  const bool sound = !restarted && !foreign;
  const bool repaired = sound || repair(restarted);
  observer_.status(*this, *status);
  return !early && repaired;
}

// False: too soon after the last one. A data plane that acknowledges what it then does not hold
// must not keep us sending.
bool Publisher::repair(bool restarted) {
  const auto now = Clock::now();
  if (!restarted && repaired_ && now - *repaired_ < options_.repair_pause) return false;
  if (!restarted) repaired_ = now;
  ++(restarted ? counters_.repairs_restarted : counters_.repairs_differing);
  times_.unknown(now);
  courier_.doubt();
  whole_ = true;
  schedule();
  return true;
}

}  // namespace lb::controller
