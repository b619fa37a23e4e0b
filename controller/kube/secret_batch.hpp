// Which Secrets are read next, of those whose time has come.
//
// Pure; any thread.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "controller/kube/secret.hpp"

namespace lb::kube {

// By namespace, in any order.
using DueNames =
    std::map<std::string,
             std::vector<std::pair<std::chrono::steady_clock::time_point, SecretName>>>;

// Of each namespace in turn, those that have waited longest: one with thousands of names does not
// keep the others waiting. `most` in all.
std::vector<SecretName> batch_of(DueNames due, size_t most);

}  // namespace lb::kube
