// Opens a listening socket for one of our own servers: TCP, or unix with safe modes.
//
// Any thread. Errors are "Listen" with the address and the reason. A unix socket whose owner is
// dead is replaced, one that answers is an error; the folder is made 0700 when it is missing.
#pragma once

#include "common/model/result.hpp"
#include "common/net/fd.hpp"
#include "common/net/socket_address.hpp"

namespace lb::net {

struct ListenSocket {
  Fd fd;                // non-blocking, close-on-exec, listening
  SocketAddress local;  // as bound
};

Result<ListenSocket> open_listener(const SocketAddress& address);

}  // namespace lb::net
