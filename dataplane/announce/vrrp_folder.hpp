// The folder through which we and keepalived talk: files that it reads, a pipe that it writes.
//
// Any thread, one at a time for each path. Errors are "Vrrp" with the path and the system's reason.
// Names are VrrpFiles's.
#pragma once

#include <string>

#include "common/model/result.hpp"
#include "common/net/fd.hpp"
#include "dataplane/announce/vrrp_plan.hpp"

namespace lb::announce {

Status make_folder(const VrrpFiles& files);

// A new pipe under that name, instead of what was there; not blocking. Open both ways, so that it
// never ends while keepalived is away, and from before it has that name: nobody finds it unread.
Result<net::Fd> make_pipe(const std::string& path);

// Whoever reads the file sees the old text or the new one, never a part (rename(2)).
Status replace_file(const std::string& path, const std::string& text);

}  // namespace lb::announce
