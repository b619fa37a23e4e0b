// Makes epoll_ctl(2) refuse to watch sockets that clients come to, as when
// fs.epoll.max_user_watches is used up; linking it replaces that.
#pragma once

namespace lb::proxy {

// For all threads, as long as it lives.
struct NoMoreWatches {
  NoMoreWatches();
  ~NoMoreWatches();
};

}  // namespace lb::proxy
