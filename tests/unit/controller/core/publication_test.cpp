#include "controller/core/publication.hpp"

#include <gmock/gmock.h>

namespace lb::plan {
namespace {

ServicePtr service(const char* key) {
  Service out;
  out.key = key;
  return std::make_shared<const Service>(out);
}

class PublicationTest : public testing::Test {
 protected:
  static HeldBy answers(ServicePtr held) { return {Reach::kAnswers, std::move(held)}; }
  static HeldBy silent(ServicePtr held) { return {Reach::kSilent, std::move(held)}; }
  static HeldBy lost(ServicePtr held) { return {Reach::kLost, std::move(held)}; }

  ServicePtr a = service("a"), b = service("b");
};

TEST_F(PublicationTest, NobodyHoldsNothing) {
  EXPECT_EQ(publication_of({}), std::nullopt);
  EXPECT_EQ(publication_of({answers(nullptr), lost(nullptr)}), std::nullopt);
}

TEST_F(PublicationTest, OneDataPlaneIsEnoughWhereThereIsOne) {
  const auto out = publication_of({answers(a)});
  EXPECT_EQ(out->service, a);
  EXPECT_TRUE(out->confirmed);
  EXPECT_TRUE(out->served);
}

TEST_F(PublicationTest, HalfIsNotEnough) {
  EXPECT_FALSE(publication_of({answers(a), answers(nullptr)})->confirmed);
  EXPECT_FALSE(publication_of({answers(a), answers(b)})->confirmed);
  EXPECT_TRUE(publication_of({answers(a), answers(a), answers(b)})->confirmed);
}

TEST_F(PublicationTest, EqualServicesCountAsOneWhereverTheyWereMade) {
  EXPECT_TRUE(publication_of({answers(a), answers(service("a"))})->confirmed);
}

TEST_F(PublicationTest, WhoeverIsSilentIsNotWaitedFor) {
  EXPECT_TRUE(publication_of({answers(a), silent(nullptr)})->confirmed);
  EXPECT_TRUE(publication_of({answers(a), lost(b)})->confirmed);
}

TEST_F(PublicationTest, NothingIsConfirmedWhileNobodyAnswers) {
  const auto out = publication_of({silent(a), silent(a)});
  EXPECT_FALSE(out->confirmed);
  EXPECT_TRUE(out->served);
}

TEST_F(PublicationTest, WhatTheAnsweringHoldCountsMoreThanWhatTheSilentHeld) {
  EXPECT_EQ(publication_of({silent(b), silent(b), answers(a)})->service, a);
}

TEST_F(PublicationTest, OneThatHasNotForgottenItKeepsItServed) {
  const auto out = publication_of({answers(nullptr), silent(a)});
  EXPECT_TRUE(out->served);
  EXPECT_FALSE(out->confirmed);
}

TEST_F(PublicationTest, OnlyALostOneServesNothingThatCountsAndIsNamed) {
  const auto out = publication_of({answers(nullptr), lost(a)});
  EXPECT_FALSE(out->served);
  EXPECT_TRUE(out->unreachable);
}

TEST_F(PublicationTest, EqualityLooksAtTheServiceNotAtWhereItLies) {
  EXPECT_EQ(publication_of({answers(a)}), publication_of({answers(service("a"))}));
  EXPECT_NE(publication_of({answers(a)}), publication_of({answers(b)}));
}

}  // namespace
}  // namespace lb::plan
