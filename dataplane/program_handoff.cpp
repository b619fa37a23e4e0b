#include <algorithm>
#include <iterator>
#include <new>
#include <thread>
#include <utility>

#include "common/model/state_json.hpp"
#include "common/ops/log.hpp"
#include "dataplane/handoff/socket_plan.hpp"
#include "dataplane/program.hpp"

namespace lb::dataplane {
namespace {

constexpr std::chrono::seconds kTakeTimeout{20};
constexpr std::chrono::milliseconds kAskAgain{100};
constexpr std::chrono::seconds kRetry{1};
constexpr std::chrono::seconds kPatienceWithTaker{10};  // at SIGTERM
constexpr char kNotNow[] = "HandoffNotNow";             // a change is being applied: ask again soon

// Until the running process has applied what it is busy with.
Result<std::optional<handoff::Taken>> take_patiently(const std::string& path) {
  const auto deadline = std::chrono::steady_clock::now() + kTakeTimeout;
  for (;;) {
    auto taken = handoff::take_over(path, EMPALME_VERSION, kTakeTimeout);
    const bool later = !taken.ok() && taken.error().code == "HandoffRefused" &&
                       taken.error().message.starts_with(kNotNow);
    if (!later || std::chrono::steady_clock::now() >= deadline) return taken;
    std::this_thread::sleep_for(kAskAgain);
  }
}

// What the old process has for each worker of its own, dealt out to ours.
proxy::TakenListeners deal_out(std::vector<handoff::TakenSocket>& sockets, unsigned workers) {
  std::vector<handoff::SocketLabel> labels;
  for (const auto& socket : sockets) labels.push_back(socket.label);
  proxy::TakenListeners out;
  for (auto& [id, plan] : handoff::plan_sockets(labels, workers)) {
    proxy::TakenListener& taken = out[id];
    taken.may_open = std::move(plan.may_open);
    taken.owned.resize(plan.owned.size());
    for (size_t worker = 0; worker < plan.owned.size(); ++worker) {
      for (const size_t i : plan.owned[worker]) {
        taken.shared |= labels[i].shared;
        taken.owned[worker].push_back(std::move(sockets[i].fd));
      }
    }
  }
  return out;
}

}  // namespace

// Before anything is opened. The lock may be another folder's, and is then of no use.
Status Program::take_over() {
  if (config_.handoff.empty()) return Done{};
  auto taken = take_patiently(config_.handoff);
  if (!taken.ok()) return taken.error();
  if (!taken->has_value()) return Done{};
  taken_ = std::move(**taken);
  ops::log(ops::Level::kInfo, "taking over from the running process",
           {{"version", taken_->version}, {"sockets", taken_->listeners.size()}});
  return Done{};
}

net::Fd Program::taken_lock() {
  const bool ours = taken_ && handoff::is_open_on(
                                  taken_->lock, StateStore::lock_file(config_.state_dir).string());
  return ours ? std::move(taken_->lock) : net::Fd();
}

void Program::use_taken_sockets() {
  if (!taken_) return;
  for (const auto& socket : taken_->listeners) taken_ids_.insert(socket.label.listener);
  handover_->take(deal_out(taken_->listeners, std::max(1U, config_.workers)));
}

// With the same folder they are what is on the disk.
void Program::use_taken_drains() {
  if (taken_) drains_->take(decode_drained(taken_->counters));
}

// A listener that would be lost is a reason to leave things as they are.
Status Program::all_taken_served() const {
  const auto open = path_->listening();
  for (const auto& id : taken_ids_) {
    if (open.contains(id)) continue;
    return Error{"HandoffNotServed", std::string("would not serve ") + to_string(id.protocol) +
                                         " " + id.at.to_string()};
  }
  return Done{};
}

// The state is applied, but nothing is accepted yet. False: the old process goes on.
bool Program::confirm() {
  if (const auto served = all_taken_served(); !served) return give_up(served.error());
  for (const auto& id : decode_down(taken_->counters)) {
    path_->set_health(id, proxy::Health::kDown, "NotCheckedYet");
  }
  const auto stopped_at_the_earliest = std::chrono::steady_clock::now();
  const auto final_counts = taken_->confirm(true);
  if (!final_counts.ok()) {
    if (handoff::is_answered(config_.handoff)) return give_up(final_counts.error());
    ops::log_error(final_counts.error());
  }
  const size_t missing = handover_->start_taken();
  const auto gap = std::chrono::duration_cast<std::chrono::microseconds>(
      std::chrono::steady_clock::now() - stopped_at_the_earliest);
  ops::log(ops::Level::kInfo, "took over",
           {{"accept_gap_us_at_most", static_cast<uint64_t>(gap.count())}});
  carried_.take(final_counts.ok() ? *final_counts : taken_->counters);
  carried_.keep_only(*coordinator_->held());
  begin_sharing();
  taken_.reset();
  unopened_sockets_ += missing;
  if (missing != 0) {
    ops::log(ops::Level::kWarning, "workers without a socket of their own", {{"count", missing}});
  }
  if (store_) store_->save(coordinator_->held());
  return true;
}

// The old process goes on, so addresses, the filter and the state folder are left alone.
bool Program::give_up(const Error& why) {
  ops::log_error(why);
  exit_code_ = 1;
  if (taken_) {
    (void)taken_->confirm(false, why.code + ": " + why.message);
    leave_network([] {});
  }
  io_.stop();
  return false;
}

void Program::leave_network(std::function<void()> gone) {
  left_network_ = true;
  if (filter_) filter_->leave();
  if (announced_ == nullptr) return gone();
  announced_->leave(std::move(gone));
}

// Only once the other process has left keepalived's files to us.
void Program::begin_sharing() {
  if (vrrp_announcer_ == nullptr) return;
  if (const auto begun = vrrp_announcer_->begin(); !begun) ops::log_error(begun.error());
}

// What stands in the way goes soon: whoever has handed over to us is closing it.
void Program::open_when_free() {
  const auto opened = open_servers();
  const auto listening = open_handoff();
  if (opened && listening) return;
  const Error& trouble = opened ? listening.error() : opened.error();
  if (std::exchange(trouble_, trouble.message) != trouble.message) ops::log_error(trouble);
  retry_.expires_after(kRetry);
  retry_.async_wait([this](const boost::system::error_code& cancelled) {
    if (!cancelled && !ending_) open_when_free();
  });
}

Status Program::open_handoff() {
  if (config_.handoff.empty() || handoff_) return Done{};
  handoff::Callbacks callbacks;
  callbacks.offer = [this] { return offer(); };
  callbacks.sockets = [this] { return offered_sockets(); };
  callbacks.released = [this](handoff::FinalReport& report) { released(report); };
  callbacks.report = [this](const Error& error) { handoff_reported(error); };
  auto opened = handoff::HandoffServer::open(io_, config_.handoff, std::move(callbacks));
  if (!opened) return opened.error();
  handoff_ = std::move(opened).value();
  return Done{};
}

// Whoever is taking over needs us for a moment more: without us the addresses would be given up
// before it serves them.
void Program::end_after_handoff() {
  end_due_ = true;
  retry_.expires_after(kPatienceWithTaker);
  retry_.async_wait([this](const boost::system::error_code& cancelled) {
    if (!cancelled) end_unless_handed_over();
  });
}

Result<handoff::Offer> Program::offer() {
  if (!coordinator_->settled()) return Error{kNotNow, "a change is being applied"};
  handoff::Offer out;
  out.version = EMPALME_VERSION;
  out.workers = std::max(1U, config_.workers);
  out.counters = counts_to_carry();
  out.listeners = offered_sockets();
  out.state = encode_state(*coordinator_->held());
  if (store_) out.lock = store_->lock();
  return out;
}

std::vector<handoff::OfferedSocket> Program::offered_sockets() const {
  std::vector<handoff::OfferedSocket> out;
  for (const auto& socket : handover_->sockets()) {
    out.push_back({{socket.listener, socket.worker, socket.shared}, socket.fd});
  }
  return out;
}

handoff::Counters Program::counts_to_carry() const {
  const auto own = own_counters();
  handoff::Counters out;
  carried_.encode_own(out, own);
  encode_checks(carried_.with(checked_->check_counters()), out);
  encode_drained(drains_->all(), out);
  encode_down(path_->status(), out);
  encode_totals(carried_.with(own), carried_.with(path_->totals()), out);
  return out;
}

unsigned Program::drain_after_handoff() const {
  return end_due_ ? config_.drain_s : config_.handoff_drain_s;
}

// From here on another process serves, so the sockets come first. What want of memory interrupts
// is gone on with each second.
void Program::released(handoff::FinalReport& report) {
  const unsigned drain_s = drain_after_handoff();
  ending_ = true;
  handed_over_ = true;
  // Connections, addresses, the word to the new process, one or two servers.
  leaving_parts_ = observe_server_ ? 5 : 4;
  handover_->release_sockets(
      [this, drain_s] { path_->drain(drain_s * 1000, [this] { leaving_part_over(); }); });
  leave_further();
  report.counters = counts_to_carry();
}

void Program::leave_further() {
  using Step = void (Program::*)();
  static constexpr Step kSteps[] = {&Program::leave_folder,    &Program::leave_network_to_it,
                                    &Program::tell_of_leaving, &Program::leave_admin,
                                    &Program::leave_observers, &Program::leave_admin_server};
  try {
    for (; leaving_step_ < std::size(kSteps); ++leaving_step_) (this->*kSteps[leaving_step_])();
  } catch (const std::bad_alloc&) {
    ++memory_wants_;
  }
}

// The lock is closed too: it must be free when that process ends, although we may still be
// draining.
void Program::leave_folder() {
  if (store_) store_->abandon();
  store_.reset();
  retry_.cancel();
}

void Program::leave_network_to_it() {
  leave_network([this] { leaving_part_over(); });
}

void Program::tell_of_leaving() {
  ops::log(ops::Level::kInfo, "another process serves, connections go on here",
           {{"drain_seconds", drain_after_handoff()}, {"connections", path_->counters().active}});
}

void Program::leave_admin() { admin_->stop(); }

void Program::leave_observers() {
  if (observe_server_) observe_server_->drain([this] { leaving_part_over(); });
}

void Program::leave_admin_server() {
  if (!admin_server_) return leaving_part_over();
  admin_server_->drain([this] { leaving_part_over(); });
}

void Program::leaving_part_over() {
  if (--leaving_parts_ != 0) return;
  try {
    asio::post(io_, [this] { io_.stop(); });
  } catch (const std::bad_alloc&) {
    ++memory_wants_;  // the pulse ends it
  }
}

void Program::handoff_reported(const Error& error) {
  if (error.code == "HandedOver") return word_is_out();
  ops::log_error(error);
  if (end_due_ && !handoff_->busy()) asio::post(io_, [this] { end_unless_handed_over(); });
}

void Program::word_is_out() {
  if (!std::exchange(word_is_out_, true)) leaving_part_over();
}

void Program::on_pulse() {
  if (checked_ != nullptr && !handed_over_) checked_->look();
  if (handoff_) handoff_->look();
  if (!handed_over_) return;
  leave_further();
  if (handoff_ && !handoff_->busy()) word_is_out();
  if (leaving_parts_ == 0) io_.stop();
}

void Program::add_handoff_metrics(Metrics& out) const {
  if (config_.handoff.empty()) return;
  const handoff::HandoffCounts counts = handoff_ ? handoff_->counts() : handoff::HandoffCounts{};
  out.push_back({"empalme_dataplane_handoffs_total",
                 "Upgrades without a gap: taken over from another process, with those before it; "
                 "failed and refused here.",
                 ops::MetricType::kCounter,
                 {{static_cast<double>(carried_.taken()), {{"result", "taken"}}},
                  {static_cast<double>(counts.failed), {{"result", "failed"}}},
                  {static_cast<double>(counts.refused), {{"result", "refused"}}}}});
  out.push_back({"empalme_dataplane_handoff_left_total",
                 "Connections and UDP sessions that stayed with the process before; their end and "
                 "their bytes since are not counted.",
                 ops::MetricType::kCounter,
                 {{static_cast<double>(carried_.left_tcp()), {{"protocol", "tcp"}}},
                  {static_cast<double>(carried_.left_udp()), {{"protocol", "udp"}}}}});
  out.push_back({"empalme_dataplane_handoff_sockets_unopened_total",
                 "Sockets that additional workers should have had.",
                 ops::MetricType::kCounter,
                 {{static_cast<double>(unopened_sockets_)}}});
}

}  // namespace lb::dataplane
