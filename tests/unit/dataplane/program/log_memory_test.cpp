// The log of connections when memory runs out: a line is lost and counted, whole.
#include <gtest/gtest.h>
#include <unistd.h>

#include "dataplane/flow_log.hpp"
#include "tests/unit/dataplane/proxy/counting_new.hpp"

namespace lb::dataplane {
namespace {

using proxy::FailingNew;

std::string all_of(int fd) {
  std::string out;
  char block[4096];
  for (ssize_t n; (n = ::read(fd, block, sizeof block)) > 0;) out.append(block, size_t(n));
  return out;
}

// One in which the newline finds the buffer full, too.
TEST(FlowLogMemory, ALineForWhichThereIsNoneIsDroppedWholeAndCounted) {
  uint64_t dropped = 0, lines = 0;
  for (size_t length = 1; length < 200; ++length) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    {
      FlowLog log(ends[1]);
      const std::string line(length, 'x'), last(length, 'y');
      {
        const FailingNew failing(FailingNew::kEach);
        log.write(line);
      }
      log.write(last);
      log.stop();
      dropped += log.dropped();
      lines += log.lines();
      ::close(ends[1]);
      const std::string whole = line + "\n" + last + "\n";
      EXPECT_EQ(all_of(ends[0]), log.dropped() == 0 ? whole : last + "\n");
    }
    ::close(ends[0]);
  }
  EXPECT_GT(dropped, 0u);
  EXPECT_EQ(dropped + lines, 2u * 199);
}

}  // namespace
}  // namespace lb::dataplane
