#include "dataplane/coordinator.hpp"

#include <algorithm>
#include <new>
#include <utility>

namespace lb::dataplane {

// Held by whatever may still tell the end of an apply: when all of it is gone, for want of memory
// on the way, nobody will, and the coordinator is told instead.
class Coordinator::Applying {
 public:
  Applying(Coordinator& owner, std::vector<Failure> refused, Answer answer)
      : owner_(owner),
        alive_(owner.alive_),
        version_(owner.held_->version),
        refused_(std::move(refused)),
        answer_(std::move(answer)) {}
  Applying(const Applying&) = delete;
  Applying& operator=(const Applying&) = delete;
  ~Applying() {
    if (!told_ && !alive_.expired()) owner_.lost(answer_);
  }

  void tell(std::vector<Failure> unbound) {
    if (std::exchange(told_, true)) return;
    owner_.finish(version_, std::move(refused_), std::move(unbound), answer_);
  }

 private:
  Coordinator& owner_;
  const std::weak_ptr<bool> alive_;
  const Version version_;
  std::vector<Failure> refused_;
  const Answer answer_;
  bool told_ = false;
};

namespace {

std::set<uint16_t> wild_ports(const OwnSockets& own) {
  std::set<uint16_t> out;
  for (const auto& each : own.tcp) {
    if (each.address.is_wildcard()) out.insert(each.port);
  }
  return out;
}

}  // namespace

Coordinator::Coordinator(proxy::DataPath& path, OwnSockets own, std::function<void(Held)> on_held,
                         LocalHosts local_hosts)
    : path_(path),
      own_wild_(wild_ports(own)),
      admitter_(std::move(own)),
      on_held_(std::move(on_held)),
      local_hosts_(std::move(local_hosts)) {}

void Coordinator::put(DesiredState offered, Answer answer) {
  enqueue({std::move(offered), std::move(answer)});
}

void Coordinator::patch(StatePatch offered, Answer answer) {
  enqueue({std::move(offered), std::move(answer)});
}

void Coordinator::addresses_changed() {
  enqueue({SameState{}, [](const auto&) {}});
}

void Coordinator::enqueue(Change change) {
  queue_.push_back(std::move(change));
  pump();
}

void Coordinator::pump() {
  if (pumping_) return;
  pumping_ = true;
  while (!busy_ && !queue_.empty()) {
    Change next = std::move(queue_.front());
    queue_.pop_front();
    begin(std::move(next));
  }
  pumping_ = false;
}

Result<DesiredState> Coordinator::judge(Change& change) const {
  if (auto* patch = std::get_if<StatePatch>(&change.offered)) return apply_patch(*held_, *patch);
  auto& state = std::get<DesiredState>(change.offered);
  if (const Status order = check_put(*held_, state); !order.ok()) return order.error();
  share_equal(*held_, state);
  return std::move(state);
}

// What has not begun for want of memory is not held either: its publisher offers it again.
void Coordinator::begin(Change change) {
  before_ = held_;
  try {
    attempt(change);
  } catch (const std::bad_alloc&) {
    if (change.answer) lost(change.answer);
    tell_held();
  }
  before_.reset();
}

void Coordinator::attempt(Change& change) {
  if (std::holds_alternative<SameState>(change.offered)) {
    if (look_at_addresses()) apply(held_, change);
    return;
  }
  note_wildcards(change);
  auto judged = judge(change);
  if (!judged.ok()) return change.answer(judged.error());
  auto next = std::make_shared<const DesiredState>(std::move(judged).value());
  look_at_addresses();
  apply(std::move(next), change);
}

// What a change brings is looked at, not what is held: a wildcard that has gone is remembered, and
// costs a look at addresses that nothing needs.
void Coordinator::note_wildcards(const Change& change) {
  const auto any = [this](const ServiceList& services) {
    return std::any_of(services.begin(), services.end(),
                       [this](const Service& each) { return meets_wildcard(each); });
  };
  if (const auto* patch = std::get_if<StatePatch>(&change.offered)) {
    wildcards_ = wildcards_ || any(patch->changed);
  } else if (const auto* state = std::get_if<DesiredState>(&change.offered)) {
    wildcards_ = wildcards_ || any(state->services);
  }
}

bool Coordinator::meets_wildcard(const Service& service) const {
  const bool wild = std::any_of(service.addresses.begin(), service.addresses.end(),
                                [](const IpAddress& address) { return address.is_wildcard(); });
  if (wild || own_wild_.empty()) return wild;
  return std::any_of(service.ports.begin(), service.ports.end(), [this](const ServicePort& port) {
    return std::any_of(port.backends.begin(), port.backends.end(),
                       [this](const Backend& each) { return own_wild_.contains(each.port); });
  });
}

// Only what is on a wildcard answers on whatever address this host has. True: it has others than
// when a state was last judged.
bool Coordinator::look_at_addresses() {
  return wildcards_ && local_hosts_ && admitter_.set_local_hosts(local_hosts_());
}

void Coordinator::apply(std::shared_ptr<const DesiredState> next, Change& change) {
  Admission admission = admitter_.admit(*next);
  auto admitted = std::make_shared<const DesiredState>(std::move(admission.admitted));
  const bool is_new = held_ != next;
  held_ = std::move(next);
  if (is_new && on_held_) on_held_(held_);
  auto applying =
      std::make_shared<Applying>(*this, std::move(admission.failed), std::move(change.answer));
  change.answer = nullptr;
  busy_ = true;
  path_.apply(std::move(admitted), [applying = std::move(applying)](std::vector<Failure> unbound) {
    applying->tell(std::move(unbound));
  });
}

void Coordinator::tell_held() {
  try {
    if (on_held_) on_held_(held_);
  } catch (const std::bad_alloc&) {
    ++memory_wants_;
  }
}

void Coordinator::finish(Version version, std::vector<Failure> refused,
                         std::vector<Failure> unbound, const Answer& answer) {
  refused_ = std::move(refused);
  applied_ = true;
  busy_ = false;
  try {
    std::vector<Failure> failed = refused_;
    failed.insert(failed.end(), unbound.begin(), unbound.end());
    answer(ApplyResult{version, std::move(failed)});
  } catch (const std::bad_alloc&) {
    refuse(answer);
  }
  pump();
}

// Once it has begun, what is held is not what is served; the next change puts that right.
void Coordinator::lost(const Answer& answer) {
  busy_ = false;
  if (before_) held_ = before_;
  refuse(answer);
  pump();
}

void Coordinator::refuse(const Answer& answer) {
  ++memory_wants_;
  try {
    answer(Error{"OutOfMemory", "this host is short of memory; offer it again"});
  } catch (const std::bad_alloc&) {
    return;  // who drops an answer says so itself
  }
}

std::vector<Failure> Coordinator::failed() const {
  std::vector<Failure> out = refused_;
  const auto unbound = path_.failures();
  out.insert(out.end(), unbound.begin(), unbound.end());
  return out;
}

}  // namespace lb::dataplane
