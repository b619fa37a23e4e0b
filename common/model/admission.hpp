// What a data plane takes of a desired state: refused addresses and conflicts are left out.
//
// Pure: no clock, socket or thread; it never fails. The data plane calls it before every apply and
// reports `failed` to the publisher; `validate` calls it to foretell the same. Services are taken
// in the order of their keys, so which service keeps a contested listener never depends on who came
// first.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "common/model/diff.hpp"
#include "common/model/state.hpp"

namespace lb {

// What this process itself answers on, beside the listeners of the state.
struct OwnSockets {
  std::set<Endpoint> tcp;           // admin and observe; [::] takes IPv4 clients too
  std::set<IpAddress> local_hosts;  // addresses that a wildcard is answered on
};

// `admitted` keeps the version; a service left without any listener is not in it, and a service
// that keeps one port on some of its addresses only is divided into several services with the same
// key, one for each set of ports, since a service is addresses x ports.
struct Admission {
  DesiredState admitted;
  std::vector<Failure> failed;
};

Admission admit(const DesiredState& offered, const OwnSockets& own = {});

// The same answers for one state after the other, at the cost of what has changed: all is judged
// anew only where listeners that come or go are on a wildcard, or stand in somebody's way. Services
// are shared with what was offered wherever nothing of them is left out, and with the answer
// before. One thread; `offered` is normalised.
class Admitter {
 public:
  explicit Admitter(OwnSockets own = {});
  ~Admitter();

  Admission admit(const DesiredState& offered);

  // How many services the last admit() has judged, pieces counted: what it cost beside a look at
  // each backend's address where listeners come or go.
  size_t judged() const { return judged_; }

  // The addresses of this host as they are now; the next admit() judges by them. True: they are
  // others than before.
  bool set_local_hosts(std::set<IpAddress> now);

 private:
  struct Memory;
  using Pieces = std::map<std::string, ServiceList>;  // by key; see Admission

  bool stands_alone(const Service& service) const;
  void begin_anew();
  bool take_in(const StateDiff& change);
  bool leave(const std::string& key, std::set<IpAddress>& moved);
  void put_in_place(const Pieces& pieces);
  bool judge_who_leads_to(const std::set<IpAddress>& moved, const Pieces& judged);
  void judge_again(const ServiceList::Element& offered);
  void judge_pieces(const std::string& key);
  void admit_backends(size_t at);
  std::vector<Failure> failures() const;

  OwnSockets own_;
  bool anew_ = false;  // what was judged before was judged by other addresses, or in part
  size_t judged_ = 0;
  DesiredState offered_, admitted_;
  std::unique_ptr<Memory> memory_;
};

}  // namespace lb
