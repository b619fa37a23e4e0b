// The controller's admin API, read-only, on a unix socket: GET /v1/explain?service=NAME, /healthz,
// /readyz, /metrics.
//
// Knows no socket: it turns requests into responses on the world's thread. Never throws.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "common/net/http_message.hpp"
#include "controller/fleet.hpp"
#include "controller/reconciler.hpp"

namespace lb::controller {

// Who leads, as far as is known, where this controller does not; "" where nobody is known to.
using Leader = std::optional<std::string>;

// What of it may be shown to everybody.
using Observe = std::function<net::HttpResponse(const net::HttpRequest&)>;

net::HttpResponse answer_admin(const net::HttpRequest& request, const Reconciler& reconciler,
                               const Fleet& fleet, const Observe& observe,
                               const Leader& elsewhere = {});

}  // namespace lb::controller
