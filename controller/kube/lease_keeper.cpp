#include "controller/kube/lease_keeper.hpp"

#include <unistd.h>

#include <array>
#include <iterator>
#include <sstream>

#include "common/ops/log.hpp"
#include "common/ops/utc_time.hpp"

namespace lb::kube {
namespace {

uint64_t monotonic_ms() {
  using namespace std::chrono;
  return static_cast<uint64_t>(
      duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count());
}

// The API takes six digits behind the second, no fewer.
std::string micro_time() {
  std::string out = ops::utc_milliseconds();
  out.insert(out.size() - 1, "000");
  return out;
}

}  // namespace

std::string lease_identity() {
  std::array<char, 256> host{};
  gethostname(host.data(), host.size() - 1);
  std::random_device random;
  std::ostringstream out;
  out << host.data() << '_' << std::hex << random() << random();
  return out.str();
}

LeaseKeeper::LeaseKeeper(Options options)
    : options_(std::move(options)), election_(options_.election) {}

LeaseKeeper::~LeaseKeeper() { stop(); }

void LeaseKeeper::start() {
  thread_ = std::thread([this] { run(); });
}

void LeaseKeeper::stop(bool give_up) {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    give_up_ = give_up;
    if (client_) client_->cancel();
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

std::string LeaseKeeper::other_holder() const {
  const std::string known = holder();
  return known == options_.election.identity ? std::string() : known;
}

std::string LeaseKeeper::holder() const {
  const std::lock_guard lock(mutex_);
  return holder_;
}

std::string LeaseKeeper::path() const {
  return "/apis/coordination.k8s.io/v1/namespaces/" + options_.ns + "/leases";
}

HttpClient& LeaseKeeper::client() {
  const std::lock_guard lock(mutex_);
  if (!client_) client_ = options_.make_client();
  if (stopping_) client_->cancel();
  return *client_;
}

void LeaseKeeper::run() {
  for (;;) {
    try_once();
    tell();
    answer_rechecks();
    const Woken woken = wait();
    if (woken == Woken::kToStop) break;
    // A pause that was longer than it should have been counts too.
    tell();
    if (woken == Woken::kToRecheck) begin_recheck();
  }
  resign();
}

void LeaseKeeper::recheck(std::function<void(bool leading)> done) {
  {
    const std::lock_guard lock(mutex_);
    asked_.push_back(std::move(done));
  }
  wake_.notify_all();
}

void LeaseKeeper::begin_recheck() {
  const std::lock_guard lock(mutex_);
  std::move(asked_.begin(), asked_.end(), std::back_inserter(rechecks_));
  asked_.clear();
  election_.refused();
}

// An answer that did not come proves nothing: neither that we lead, nor that somebody else does.
void LeaseKeeper::answer_rechecks() {
  if (told_leading_ && election_.must_read()) return;
  for (const auto& done : std::exchange(rechecks_, {})) {
    if (done) done(told_leading_);
  }
}

// Whoever waits looks a little later each time than the others do.
LeaseKeeper::Woken LeaseKeeper::wait() {
  const double jitter = told_leading_ ? 0 : std::uniform_real_distribution<>(0, 0.2)(random_);
  const auto pause = std::chrono::milliseconds(
      static_cast<int64_t>(static_cast<double>(options_.election.retry_ms) * (1 + jitter)));
  std::unique_lock lock(mutex_);
  wake_.wait_for(lock, pause, [this] { return stopping_ || !asked_.empty(); });
  if (stopping_) return Woken::kToStop;
  return asked_.empty() ? Woken::kInTime : Woken::kToRecheck;
}

void LeaseKeeper::try_once() {
  if (election_.must_read() && !read()) return;
  // Reading may have taken what time was left.
  tell();
  if (const auto wish = election_.wish(monotonic_ms(), micro_time())) write(*wish, false);
}

bool LeaseKeeper::read() {
  const auto answer = client().request({"GET", path() + "/" + options_.name, {}, {}});
  if (!answer) {
    note_failure(answer.error().message);
    return false;
  }
  if (answer->status == 404) {
    election_.absent();
    return true;
  }
  if (answer->status == 401 && options_.on_unauthorized) options_.on_unauthorized();
  const auto lease =
      answer->status == 200
          ? plan::decode_lease(answer->body)
          : Result<plan::Lease>(Error{"Refused", "HTTP " + std::to_string(answer->status)});
  if (!lease) {
    note_failure(lease.error().message);
    return false;
  }
  election_.observed(*lease, monotonic_ms());
  const std::lock_guard lock(mutex_);
  holder_ = lease->record.holder;
  return true;
}

void LeaseKeeper::write(const plan::LeaseRecord& record, bool resigning) {
  const std::string version = election_.resource_version();
  const bool creates = version.empty();
  const uint64_t begun = monotonic_ms();
  const auto answer =
      client().request({creates ? "POST" : "PUT",
                        creates ? path() : path() + "/" + options_.name,
                        {{"Content-Type", "application/json"}},
                        plan::encode_lease(options_.ns, options_.name, version, record)});
  if (resigning) return;
  const auto lease = answer && (answer->status == 200 || answer->status == 201)
                         ? plan::decode_lease(answer->body)
                         : Result<plan::Lease>(Error{"Refused", ""});
  if (!lease) {
    election_.refused();
    if (answer && answer->status == 401 && options_.on_unauthorized) options_.on_unauthorized();
    // Somebody else was quicker: no failure.
    if (answer && answer->status == 409) return;
    return note_failure(answer ? "HTTP " + std::to_string(answer->status) : answer.error().message);
  }
  complained_ = false;
  ++counters_.renewals;
  election_.written(*lease, begun);
  const std::lock_guard lock(mutex_);
  holder_ = lease->record.holder;
}

void LeaseKeeper::note_failure(const std::string& what) {
  ++counters_.failures;
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
  }
  if (std::exchange(complained_, true)) return;
  ops::log(ops::Level::kWarning, "the Lease cannot be read or written: " + what,
           {{"lease", options_.ns + "/" + options_.name}, {"reason", "LeaseUnavailable"}});
}

void LeaseKeeper::tell() {
  const bool leading = election_.leading(monotonic_ms());
  counters_.transitions = election_.transitions();
  if (std::exchange(told_leading_, leading) == leading) return;
  counters_.leading = leading;
  ++(leading ? counters_.taken : counters_.lost);
  if (leading) {
    options_.on_leading(election_.epoch());
  } else {
    options_.on_leading(std::nullopt);
  }
}

void LeaseKeeper::resign() {
  bool give_up = false;
  {
    const std::lock_guard lock(mutex_);
    give_up = give_up_;
    stopping_ = false;  // for one more request, on a client that nobody has cancelled
    client_.reset();
  }
  const auto record = election_.resignation(micro_time());
  if (give_up && record && told_leading_) write(*record, true);
}

}  // namespace lb::kube
