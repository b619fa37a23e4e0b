#include "controller/core/election.hpp"

#include <gmock/gmock.h>

namespace lb::plan {
namespace {

using testing::HasSubstr;

Lease lease(const char* holder, uint64_t transitions = 3, const char* renewed = "r1") {
  return {"7", 1'000'000, {holder, 15, transitions, "a", renewed}};
}

class ElectionTest : public testing::Test {
 protected:
  std::string wished_holder(uint64_t now) const {
    const auto out = election.wish(now, "now");
    return out ? out->holder : "nothing";
  }
  // Takes the Lease as a server that agrees would let it.
  void take(uint64_t now) {
    auto mine = lease("");
    mine.record = *election.wish(now, "w" + std::to_string(now));
    election.written(mine, now);
  }

  Election election{{.identity = "me"}};
};

TEST_F(ElectionTest, AMissingLeaseIsMade) {
  election.absent();
  EXPECT_EQ(wished_holder(0), "me");
  EXPECT_EQ(election.wish(0, "now")->transitions, 0u);
  EXPECT_EQ(election.resource_version(), "");
}

TEST_F(ElectionTest, AnotherHoldersLeaseIsLeftAloneForItsDurationSinceWeSawIt) {
  election.observed(lease("other"), 1000);
  EXPECT_EQ(wished_holder(1000), "nothing");
  EXPECT_EQ(wished_holder(15'999), "nothing");
  EXPECT_EQ(wished_holder(16'000), "me");
  EXPECT_EQ(election.wish(16'000, "now")->transitions, 4u) << "it changes hands";
}

TEST_F(ElectionTest, ARenewalOfTheOtherBeginsTheWaitAnew) {
  election.observed(lease("other", 3, "r1"), 0);
  election.observed(lease("other", 3, "r2"), 10'000);
  election.observed(lease("other", 3, "r2"), 14'000);
  EXPECT_EQ(wished_holder(24'999), "nothing");
  EXPECT_EQ(wished_holder(25'000), "me");
}

TEST_F(ElectionTest, ALeaseThatWasGivenUpIsTakenAtOnce) {
  election.observed(lease(""), 1000);
  EXPECT_EQ(wished_holder(1000), "me");
}

TEST_F(ElectionTest, LeadsOnceTheServerHasAgreedAndNotBefore) {
  election.observed(lease(""), 0);
  EXPECT_FALSE(election.leading(0));
  take(0);
  EXPECT_TRUE(election.leading(0));
  EXPECT_EQ(election.epoch(), (1'000'000ull << 20) + 4);
}

TEST_F(ElectionTest, KeepsItsTransitionsAndTimeOfTakingOverWhenItRenews) {
  election.observed(lease(""), 0);
  take(0);
  const auto again = election.wish(2000, "later");
  EXPECT_EQ(again->transitions, 4u);
  EXPECT_EQ(again->acquired, "w0");
  EXPECT_EQ(again->renewed, "later");
}

TEST_F(ElectionTest, CeasesToLeadWhenItCouldNotRenewInTime) {
  election.observed(lease(""), 0);
  take(1000);
  election.refused();
  EXPECT_TRUE(election.leading(10'999));
  EXPECT_FALSE(election.leading(11'000));
  EXPECT_TRUE(election.must_read());
}

TEST_F(ElectionTest, ALeaseInOurNameWhoseWriteWasNeverAnsweredIsNotYetALeadership) {
  election.observed(lease("me"), 5000);
  EXPECT_FALSE(election.leading(5000));
  EXPECT_EQ(wished_holder(5000), "me");
}

TEST_F(ElectionTest, CeasesToLeadWhenSomebodyElseHoldsIt) {
  election.observed(lease(""), 0);
  take(0);
  election.observed(lease("other", 5), 1000);
  EXPECT_FALSE(election.leading(1000));
  EXPECT_EQ(wished_holder(1000), "nothing");
}

TEST_F(ElectionTest, GivesUpOnlyWhatIsItsOwn) {
  election.observed(lease("other"), 0);
  EXPECT_EQ(election.resignation("now"), std::nullopt);
  election.observed(lease(""), 0);
  take(0);
  const auto out = election.resignation("now");
  EXPECT_EQ(out->holder, "");
  EXPECT_EQ(out->duration_s, 1u);
  EXPECT_EQ(out->transitions, 4u);
}

TEST(LeaseJson, ReadsWhatItWrites) {
  const LeaseRecord record{"me", 15, 4, "2026-01-31T12:00:00.000000Z",
                           "2026-01-31T12:00:02.000000Z"};
  const auto text = encode_lease("empalme-system", "empalme", "9", record);
  EXPECT_THAT(text, HasSubstr(R"("resourceVersion":"9")"));
  auto answered = text;
  answered.insert(answered.find("\"namespace\""), R"("creationTimestamp":"2026-01-31T12:00:00Z",)");
  const auto read = decode_lease(answered);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->record, record);
  EXPECT_EQ(read->created, 1769860800u);
  EXPECT_THAT(encode_lease("n", "l", "", record), Not(HasSubstr("resourceVersion")));
}

TEST(LeaseJson, ALeaseThatNobodyHasTakenYetIsEmptyAndNotWrong) {
  const auto read = decode_lease(R"({"metadata":{"creationTimestamp":"2026-01-31T12:00:00Z"}})");
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->record.holder, "");
}

TEST(LeaseJson, RefusesWhatIsNoLease) {
  EXPECT_EQ(decode_lease("[").error().code, "InvalidObject");
  EXPECT_EQ(decode_lease("{}").error().pointer, "/metadata/creationTimestamp");
}

TEST(LeaseJson, RefusesALeaseWhoseEpochNoDocumentCanCarry) {
  const auto lease = [](const char* created, const char* transitions) {
    return decode_lease(std::string(R"({"metadata":{"creationTimestamp":")") + created +
                        R"("},"spec":{"leaseTransitions":)" + transitions + "}}");
  };
  EXPECT_TRUE(lease("2106-01-01T00:00:00Z", "2147483647").ok());
  EXPECT_FALSE(lease("9999-01-01T00:00:00Z", "0").ok());
  EXPECT_FALSE(lease("2026-01-01T00:00:00Z", "18446744073709551615").ok());
}

TEST(LeaseJson, EpochsGrowWithTheHandsAndWithANewLease) {
  EXPECT_LT(epoch_of(lease("a", 3)), epoch_of(lease("b", 4)));
  Lease younger = lease("a", 0);
  younger.created += 1;
  EXPECT_LT(epoch_of(lease("a", 1000)), epoch_of(younger));
  younger.created = 4'000'000'000;
  EXPECT_LT(epoch_of(younger), 1ull << 53);
}

TEST(UnixSeconds, KnowsADateFromNonsense) {
  EXPECT_EQ(unix_seconds("1970-01-02T00:00:01Z"), 86401u);
  EXPECT_EQ(unix_seconds("2026-02-30T00:00:00Z"), std::nullopt);
  EXPECT_EQ(unix_seconds("2026-01-31"), std::nullopt);
  EXPECT_EQ(unix_seconds("2026-01-31T25:00:00Z"), std::nullopt);
}

}  // namespace
}  // namespace lb::plan
