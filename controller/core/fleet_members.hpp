// Which data planes the endpoints of one Service stand for.
//
// Pure, but for what it remembers: one endpoint joins when it is ready or serves, and stays until
// it is gone from the slices, whatever becomes of its conditions: what is going, or is not ready
// for a while, may still answer for addresses, and a teardown has to wait for it. One pod is one
// member, however many addresses it has, and one address is one member, however many pods claim it
// (a successor on the host's network): the one that came first. One thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "common/model/address.hpp"
#include "controller/core/objects.hpp"

namespace lb::plan {

class FleetMembers {
 public:
  // Name of the pod, or the address where there is none, and its admin API: the port named "admin"
  // or the only one.
  using Members = std::map<std::string, Endpoint>;

  // The members by these slices, which are all that there are of the Service.
  const Members& update(const std::vector<EndpointSliceObject>& slices);

 private:
  Members members_;
};

}  // namespace lb::plan
