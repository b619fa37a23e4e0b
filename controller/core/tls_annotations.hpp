// What a Service asks of TLS by annotation: empalme.io/tls.<field> for its TCP ports,
// empalme.io/port.<port>.tls.<field> for one.
//
// <field> is "secrets" (Secrets of the Service's own namespace, of type kubernetes.io/tls; where
// it is empty, see exempt_from_tls()), "default-secret", "alpn", "client-authorities" (Secrets with
// "ca.crt"), "backend.server-name", "backend.authorities" and "backend.verify". Pure; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/model/state.hpp"
#include "controller/core/backends.hpp"

namespace lb::plan {

inline constexpr std::string_view kTlsFields = "tls.";
inline constexpr size_t kMaxSecrets = 256;  // of one port
inline constexpr size_t kMaxNames = 1024;   // of a Service, each once for each of its ports

// One field, with "tls." ahead. The port is unchanged where that is an error ("Schema",
// "InvalidName", "TooLarge"), and half made until finish_tls().
Status set_tls(TlsPolicy& tls, std::string_view field, const std::string& text,
               const std::string& ns);

// An empty "tls.secrets" of a port: what the Service says of TLS is not for it. An error where the
// Service says nothing, or the port something else: then the value got lost.
Status exempt_from_tls(TlsPolicy& tls, const TlsPolicy& of_service);

// Once every annotation is read: a port that asks for something that only makes sense where TLS
// ends, and does not say with which certificates, blocks the Service.
void finish_tls(std::vector<ServicePort>& ports, std::vector<Problem>& problems);

}  // namespace lb::plan
