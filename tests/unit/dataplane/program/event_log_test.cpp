// What the log says when a backend's fortune changes: whose it is, and why.
#include "dataplane/event_log.hpp"

#include <gmock/gmock.h>

namespace lb::dataplane {
namespace {

using testing::AllOf;
using testing::HasSubstr;

const proxy::BackendId kBackend{
    "default/web", 80, Protocol::kTcp, {IpAddress::v4(0x0a000001), 8080}};

template <class Act>
std::string logged(Act act) {
  testing::internal::CaptureStderr();
  act();
  return testing::internal::GetCapturedStderr();
}

TEST(EventLog, AnEjectionNamesTheServiceItsPortAndTheReason) {
  EXPECT_THAT(logged([] { log_ejection(kBackend, "Refused"); }),
              AllOf(HasSubstr("left out"), HasSubstr("default/web"), HasSubstr("\"80\""),
                    HasSubstr("tcp"), HasSubstr("10.0.0.1:8080"), HasSubstr("Refused")));
}

TEST(EventLog, AReadmissionNamesThemToo) {
  EXPECT_THAT(logged([] { log_ejection(kBackend, ""); }),
              AllOf(HasSubstr("taken back"), HasSubstr("default/web"), HasSubstr("10.0.0.1:8080")));
}

TEST(EventLog, AFailureOfTlsNamesTheBackendTheCauseAndTheReason) {
  EXPECT_THAT(logged([] { log_tls_failure(kBackend, "hostname mismatch"); }),
              AllOf(HasSubstr("default/web"), HasSubstr("10.0.0.1:8080"),
                    HasSubstr("\"cause\":\"tls\""), HasSubstr("hostname mismatch")));
}

TEST(EventLog, AVerdictNamesWhatItIsAboutAndWhy) {
  EXPECT_THAT(logged([] {
                log_health(kBackend, {health::Health::kDown, "ConnectTimeout", {}});
              }),
              AllOf(HasSubstr("down"), HasSubstr("default/web"), HasSubstr("\"80\""),
                    HasSubstr("ConnectTimeout")));
}

}  // namespace
}  // namespace lb::dataplane
