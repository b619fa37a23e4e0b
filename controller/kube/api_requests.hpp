// The requests that we make of the Kubernetes API, as values. Pure; any thread.
#pragma once

#include <string>

#include "common/net/http_message.hpp"
#include "controller/core/plan.hpp"
#include "controller/core/pool_status.hpp"

namespace lb::kube {

inline constexpr char kServices[] = "/api/v1/services";
inline constexpr char kEndpointSlices[] = "/apis/discovery.k8s.io/v1/endpointslices";
inline constexpr char kNodes[] = "/api/v1/nodes";
inline constexpr char kPods[] = "/api/v1/pods";
inline constexpr char kNamespaces[] = "/api/v1/namespaces";
inline constexpr char kAddressPools[] = "/apis/empalme.io/v1alpha1/addresspools";

// Finalizers and status of one Service; `now` is RFC 3339.
net::HttpRequest patch_service(const plan::ServicePatch& patch, const std::string& now);

// Status of one AddressPool.
net::HttpRequest patch_pool_status(const std::string& name, const plan::PoolStatus& status);

// metadata.resourceVersion of the object in an answer; empty when there is none.
std::string version_in(const net::HttpResponse& response);

struct EventTarget {
  std::string ns;
  std::string name;
  std::string uid;
};

// A core/v1 Event as `kubectl describe` shows it. `id` makes its name unique.
net::HttpRequest create_event(const EventTarget& service, const plan::PlannedEvent& event,
                              const std::string& now, const std::string& id);

}  // namespace lb::kube
