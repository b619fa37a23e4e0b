// Which addresses the Pods of a cluster answer for, and whether an endpoint is one of them.
//
// For --strict-endpoints: who may write EndpointSlices of a namespace could send the clients of its
// Services to any address (CVE-2021-25740). An endpoint is a Pod's when its targetRef names a Pod
// of the slice's own namespace whose status.podIPs holds the address. A Pod that is over (phase
// Succeeded or Failed) answers for none: its addresses are given to others. Pure; any thread. A Pod
// that cannot be read is an Error{"InvalidObject"}, an address that cannot be is passed over.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>

#include "common/model/address.hpp"
#include "common/model/result.hpp"
#include "controller/core/objects.hpp"

namespace lb::plan {

struct PodObject {
  std::string ns;
  std::string name;
  std::set<IpAddress> addresses;

  bool operator==(const PodObject&) const = default;
};

using Pods = std::map<std::string, std::set<IpAddress>>;  // addresses by pod_key()

std::string pod_key(const std::string& ns, const std::string& name);

// The key of the Pod that an endpoint of this slice names; empty: it names none that counts.
std::string pod_of(const EndpointSliceObject& slice, const SliceEndpoint& endpoint);

bool is_of_pod(const Pods& pods, const EndpointSliceObject& slice, const SliceEndpoint& endpoint,
               const IpAddress& address);

Result<PodObject> decode_pod(std::string_view json);

}  // namespace lb::plan
