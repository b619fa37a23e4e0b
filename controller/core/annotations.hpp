// Policy that a Service asks for by annotation: empalme.io/<field>, empalme.io/port.<port>.<field>.
//
// A field is that of the policy schema with dashes for underscores ("connect-timeout-ms",
// "health.path"); <port> is the name or the number of a port and overrides what the Service says;
// lists are separated by commas. "match.names" and "match.sources" say which of the connections of
// an address and port a Service is for, where it shares these; for "tls." see tls_annotations.hpp.
// Pure; any thread. What cannot be read is a Problem that names the annotation and leaves the field
// as it was; where that would let in more than was asked for, it blocks the Service.
#pragma once

#include <string>
#include <vector>

#include "common/model/state.hpp"
#include "controller/core/backends.hpp"
#include "controller/core/objects.hpp"

namespace lb::plan {

inline constexpr char kAnnotationPrefix[] = "empalme.io/";
// A list of addresses, one a family at most, for what spec.loadBalancerIP cannot say.
inline constexpr char kAddressesAnnotation[] = "empalme.io/addresses";
// The AddressPool that addresses are to come from.
inline constexpr char kPoolAnnotation[] = "empalme.io/pool";
// Services of one namespace with the same key may share an address, where they have no port in
// common, or on that port no name and range of their matches.
inline constexpr char kShareKeyAnnotation[] = "empalme.io/share-key";
// "pods" (the default) or "nodes": where connections go to.
inline constexpr char kTargetsAnnotation[] = "empalme.io/targets";

// Overrides `service` and the policies of `ports`, which come in as copies of it.
void apply_annotations(const ObjectMeta& meta, Policy& service, std::vector<ServicePort>& ports,
                       std::vector<Problem>& problems);

}  // namespace lb::plan
