// The Kubernetes API client's HTTP on cpprestsdk, which no other file knows.
//
// Trusts the cluster's CA and nothing else; sends the bearer token that is current; a connection
// that the server had closed meanwhile is retried once where that is safe (GET, PUT, PATCH with a
// resourceVersion). Servers named by an IPv6 literal are refused: the library cannot reach them.
// Call initialize_http_threads() once, first thing in main().
#pragma once

#include <memory>

#include "common/model/result.hpp"
#include "controller/kube/credentials.hpp"
#include "controller/kube/http_client.hpp"

namespace lb::kube {

void initialize_http_threads();

// Error "Credentials" when the server's URL cannot be used.
Status check_server(const std::string& server);

std::unique_ptr<HttpClient> make_cpprest_client(std::shared_ptr<Credentials> credentials,
                                                HttpTimeouts timeouts);

}  // namespace lb::kube
