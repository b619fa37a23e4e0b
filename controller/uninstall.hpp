// `empalme-controller uninstall`: takes everything of ours off a cluster's Services.
//
// Stops the shipped Deployments first (a running controller would put its marks back), then frees
// every Service that carries our finalizer, and says what is left to delete. Also works after the
// manifests are gone. Exit codes: 0 nothing of ours is left on any Service, 1 something is, 2 the
// cluster could not be asked.
#pragma once

#include <functional>
#include <iosfwd>
#include <string>

#include "controller/kube/http_client.hpp"

namespace lb::controller {

struct UninstallOptions {
  kube::HttpClient& client;
  // Waits between two looks at pods that end; tests replace it.
  std::function<void()> pause;
  unsigned patience = 120;  // looks
};

int uninstall(const UninstallOptions& options, std::ostream& out, std::ostream& problems);

// The same with the cluster that `kubeconfig` (or the usual places) leads to.
int uninstall(const std::string& kubeconfig, std::ostream& out, std::ostream& problems);

}  // namespace lb::controller
