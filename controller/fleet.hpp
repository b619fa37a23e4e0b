// The data planes that serve what the plan wants: one publisher each, and what they say as one.
//
// Lives on the io_context's thread. Members come and go (list()); each gets the whole state first
// and then its own patches. What they hold of a service is judged by plan::publication_of();
// features are those that every member has, failures those of any. Without start() nothing is asked
// and nothing is sent: a controller that waits for its leadership keeps its fleet stopped.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/model/state.hpp"
#include "common/net/asio.hpp"
#include "controller/core/publication.hpp"
#include "controller/publisher.hpp"

namespace lb::controller {

class FleetObserver {
 public:
  virtual ~FleetObserver() = default;
  // A data plane was heard for the first time, and holds this.
  virtual void held(const DesiredState& state) = 0;
  // publication() of these keys may have changed.
  virtual void published(const std::set<std::string>& keys) = 0;
  virtual void features(std::set<std::string> common) = 0;
  // Everything that any of them could not program.
  virtual void failed(std::vector<Failure> all) = 0;
  // health() of these keys may have changed.
  virtual void health(const std::set<std::string>& keys) = 0;
  // Whether there is one that was not heard yet and is not given up: it may serve anything. Told
  // after what the one that was heard last holds.
  virtual void unheard(bool any) = 0;
  // Whether one is given up: it may serve still what it held.
  virtual void some_lost(bool any) = 0;
  // No data plane answers any more, nor did for long (true), or one does again (false).
  virtual void lost(bool lost) = 0;
  // Every certificate that any of them refuses, by name.
  virtual void certificates_refused(plan::CertificateTroubles) {}
};

class Fleet : public PublisherObserver {
 public:
  Fleet(asio::io_context& io, Publisher::Options options, FleetObserver& observer);
  ~Fleet() override;
  Fleet(const Fleet&) = delete;
  Fleet& operator=(const Fleet&) = delete;

  // Those that there are now, with names that differ; one that was there already goes on
  // undisturbed unless its address is another.
  void list(std::vector<Publisher::Target> members);
  // `epoch` is that of a leadership; nullopt where there is none.
  void start(std::optional<uint64_t> epoch = {});
  // Forgets what was wanted and held, but no certificate; start() begins anew.
  void stop();
  // Called when a member holds a higher epoch than ours; whoever still leads answers with raise().
  std::function<void(uint64_t held_epoch)> on_superseded;
  // Goes on under this epoch, everywhere; one that is not higher than ours moves only those that
  // stopped.
  void raise(uint64_t epoch);

  // What is wanted under this key; nullopt: nothing. Cheap when nothing changes.
  void set(const std::string& key, std::optional<Service> service);
  // Keeps what is served until its source has been heard, unless something else is wanted.
  void keep(const Service& service);
  // All that the source with this prefix has.
  void give_certificates(const std::string& prefix, plan::Certificates all);

  // What is wanted under this key; null: nothing.
  plan::ServicePtr wanted(const std::string& key) const;
  std::optional<plan::Publication> publication(const std::string& key) const;
  // As the member sees it that sees it worst; nullopt: nobody has said anything.
  std::optional<plan::HealthView> health(const std::string& key) const;
  bool contacted() const { return contacted_; }
  bool superseded() const;
  size_t answering() const;
  using Members = std::map<std::string, std::unique_ptr<Publisher>>;
  const Members& members() const { return members_; }

 private:
  struct Heard {
    std::set<std::string> features;
    std::vector<Failure> failed;
    std::map<std::string, plan::HealthView> health;
    std::string instance;
  };

  void held(Publisher& by, const DesiredState& state) override;
  void acknowledged(Publisher& by, const std::set<std::string>& keys,
                    const std::vector<Failure>& failed) override;
  void status(Publisher& by, const DataplaneStatus& status) override;
  void reached(Publisher& by) override;
  void superseded(Publisher& by, uint64_t held_epoch) override;
  void certificates(Publisher& by) override;

  void add(const Publisher::Target& target);
  void drop(const std::string& name);
  void end(std::unique_ptr<Publisher> member);
  std::set<std::string> take_health(Heard& heard, const DataplaneStatus& status);
  std::set<std::string> health_of(const std::string& name) const;
  void tell_features();
  void tell_failed();
  void tell_unheard();
  void tell_some_lost();
  void tell_refused_certificates();
  void judge_loss();
  void watch_emptiness();
  void touch(const std::string& key);
  static std::set<std::string> keys_of(const Publisher& member);

  asio::io_context& io_;
  const Publisher::Options options_;
  FleetObserver& observer_;
  WantedServices wanted_;
  plan::CertificateBook book_;
  std::vector<Publisher::Target> listed_;
  Members members_;
  std::map<std::string, Heard> heard_;
  asio::steady_timer empty_timer_;
  std::set<std::string> features_;
  std::vector<Failure> failed_;
  plan::CertificateTroubles refused_certificates_;
  std::optional<uint64_t> epoch_;
  bool started_ = false;
  bool contacted_ = false;
  bool empty_for_long_ = false;
  bool lost_ = false;
  bool unheard_ = false;
  bool some_lost_ = false;
};

}  // namespace lb::controller
