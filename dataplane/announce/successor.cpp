#include "dataplane/announce/successor.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "common/net/fd.hpp"

namespace lb::announce {
namespace {

bool same_file(int one, int other) {
  struct stat first {};
  struct stat second {};
  return ::fstat(one, &first) == 0 && ::fstat(other, &second) == 0 &&
         first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

}  // namespace

Successor::State Successor::look(const std::string& pipe, int own) {
  const net::Fd writer(::open(pipe.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
  // Nobody reads from it (fifo(7)), so it is not ours.
  if (!writer.valid() && errno == ENXIO) return State::kGone;
  if (!writer.valid() && errno == ENOENT && seen_) return State::kGone;
  if (writer.valid() && !same_file(writer.get(), own)) seen_ = true;
  return seen_ ? State::kThere : State::kNotSeen;
}

}  // namespace lb::announce
