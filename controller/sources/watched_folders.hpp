// Which folders tell of every change of a file: written in place, renamed over, or behind a link
// that is swapped (a ConfigMap's or a Secret's "..data"), wherever on its way the link is.
//
// Reads the disk; any thread.
#pragma once

#include <set>
#include <string>

namespace lb::sources {

// Adds them to `out`. Of a folder that is not there the nearest one above it is added.
void add_watched_folders(const std::string& path, std::set<std::string>& out);

}  // namespace lb::sources
