#include "dataplane/balance/selection.hpp"

#include <gtest/gtest.h>

#include "tests/unit/dataplane/balance/balance_support.hpp"

namespace lb::balance {
namespace {

constexpr auto kReady = BackendState::kReady;
constexpr auto kDraining = BackendState::kDraining;
constexpr auto kNotReady = BackendState::kNotReady;
constexpr auto kUp = Health::kUp;
constexpr auto kDown = Health::kDown;
constexpr auto kUnknown = Health::kUnknown;

// A candidate that says what it is: letters for what differs from the default.
Candidate make(const std::string& letters) {
  Candidate out;
  for (const char letter : letters) {
    if (letter == 'u') out.health = kUp;
    if (letter == 'd') out.health = kDown;
    if (letter == 'D') out.state = kDraining;
    if (letter == 'N') out.state = kNotReady;
    if (letter == 'e') out.ejected = true;
    if (letter == 't') out.tried = true;
    if (letter == 'n') out.near = true;
    if (letter == '0') out.weight = 0;
  }
  return out;
}

struct Case {
  const char* rule;
  std::vector<const char*> candidates;
  std::vector<size_t> selected;
  PickOptions options = {};
};

std::vector<size_t> selected(const Candidates& candidates, const PickOptions& options) {
  std::vector<size_t> out;
  for (size_t i = 0; i < candidates.size(); ++i) {
    if (eligible(candidates, i, options)) out.push_back(i);
  }
  return out;
}

void expect_all(const std::vector<Case>& cases) {
  for (const Case& each : cases) {
    SCOPED_TRACE(each.rule);
    Candidates candidates;
    for (const char* letters : each.candidates) candidates.push_back(make(letters));
    EXPECT_EQ(selected(candidates, each.options), each.selected);
    EXPECT_EQ(Selection(candidates, each.options).empty(), each.selected.empty());
  }
}

TEST(Selection, TakesTheFirstTierThatHasSomebody) {
  expect_all({
      {"all are alike", {"", "", ""}, {0, 1, 2}},
      {"those known up come first", {"u", "", "d", "u"}, {0, 3}},
      {"nobody is known up: the unknown ones", {"d", "", ""}, {1, 2}},
      {"only down ones are left", {"d", "d"}, {}},
      {"a draining one serves where the ready one is down", {"d", "Du"}, {1}},
      {"draining by the same rule: up", {"Du", "D", "Dd"}, {0}},
      {"draining by the same rule: unknown", {"N", "D", "Dd"}, {1}},
      {"draining by the same rule: down", {"Dd", "N"}, {}},
      {"not ready never", {"N", "Nu"}, {}},
      {"nobody at all", {}, {}},
  });
}

TEST(Selection, LeavesOutWeightZeroEverywhere) {
  expect_all({
      {"among others", {"0", ""}, {1}},
      {"alone", {"0"}, {}},
      {"one that is up does not count as up", {"0u", ""}, {1}},
      {"one that is near does not count as near", {"0n", ""}, {1}, {.prefer_near = true}},
      {"nor do healthy ones against a panic", {"0u", "0u", "d", ""}, {2, 3}, {.panic_percent = 60}},
  });
}

TEST(Selection, PutsTheEjectedLastWithinTheirTierOnly) {
  expect_all({
      {"a sound one is left", {"e", ""}, {1}},
      {"nobody else is left", {"e", "e"}, {0, 1}},
      {"a better tier comes first", {"ue", ""}, {0}},
      {"ready before draining", {"e", "D"}, {0}},
      {"among the down ones of a panic", {"de", "d"}, {1}, {.panic_percent = 1}},
      {"among the draining ones", {"De", "D"}, {1}},
  });
}

TEST(Selection, WalksOnFromTheTried) {
  expect_all({
      {"to another of the tier", {"ut", "u", ""}, {1}},
      {"to the ejected of the tier", {"ut", "ue", ""}, {1}},
      {"to the unknown ones", {"ut", "uet", ""}, {2}},
      {"to the draining ones", {"ut", "t", "Du", "Dd"}, {2}},
      {"past a down one", {"ut", "t", "d", "D"}, {3}},
      {"to a down one in a panic only", {"t", "d", "d", "D"}, {1, 2}, {.panic_percent = 50}},
      {"to the end", {"ut", "dt", "Dt"}, {}},
  });
}

TEST(Selection, PanicsBelowTheThreshold) {
  expect_all({
      {"off", {"u", "d", "d", "d"}, {0}, {.panic_percent = 0}},
      {"all are down", {"d", "d", "D"}, {0, 1}, {.panic_percent = 1}},
      {"just not", {"u", "u", "d", "d"}, {0, 1}, {.panic_percent = 50}},
      {"just so", {"u", "u", "d", "d"}, {0, 1, 2, 3}, {.panic_percent = 51}},
      {"one down is enough for 100", {"u", "u", "d"}, {0, 1, 2}, {.panic_percent = 100}},
      {"nobody down is not", {"u", "u", ""}, {0, 1}, {.panic_percent = 100}},
      {"the ejected come last", {"ue", "d", "d"}, {1, 2}, {.panic_percent = 50}},
      {"ejection is not ill health", {"ue", "ue", "u"}, {2}, {.panic_percent = 50}},
      {"a tried one still counts as healthy", {"ut", "u", "d"}, {1}, {.panic_percent = 60}},
      {"and as ill", {"u", "dt", "d"}, {0, 2}, {.panic_percent = 50}},
      {"the draining do not count", {"u", "Dd", "Dd"}, {0}, {.panic_percent = 50}},
      {"but have a panic of their own", {"Du", "Dd", "Dd"}, {0, 1, 2}, {.panic_percent = 50}},
      {"not ready do not count", {"u", "Nd", "Nd"}, {0}, {.panic_percent = 50}},
  });
}

TEST(Selection, PrefersTheZoneAndSpillsOver) {
  const PickOptions near{.panic_percent = 0, .prefer_near = true};
  expect_all({
      {"near ones only", {"n", "", "n"}, {0, 2}, near},
      {"not when not asked", {"n", ""}, {0, 1}},
      {"nobody is near", {"", ""}, {0, 1}, near},
      {"the near one is ejected: the others", {"ne", "", ""}, {1, 2}, near},
      {"one near is left", {"ne", "n", ""}, {1}, near},
      {"the near one was tried", {"nt", ""}, {1}, near},
      {"all are ejected", {"ne", "e"}, {0, 1}, near},
      {"a better tier comes before the zone", {"n", "u"}, {1}, near},
      {"down near ones come later", {"nd", "u"}, {1}, near},
      {"among the draining too", {"nD", "D"}, {0}, near},
      {"and in a panic", {"nd", "d", "u"}, {0}, {.panic_percent = 50, .prefer_near = true}},
  });
}

TEST(Selection, KnowsNobodyBeyondTheList) {
  const Candidates candidates(2);
  EXPECT_TRUE(eligible(candidates, 1, {}));
  EXPECT_FALSE(eligible(candidates, 2, {}));
}

TEST(Selection, IsTheSameForEveryPolicy) {
  const uint32_t start = seed();
  SCOPED_TRACE(seed_text(start));
  Random random(start);
  for (int round = 0; round < 2000; ++round) {
    Candidates candidates = equals(1 + random() % 6);
    for (Candidate& each : candidates) {
      each.weight = uint16_t(random() % 3);
      each.state = BackendState(random() % 3);
      each.health = Health(random() % 3);
      each.ejected = random() % 3 == 0;
      each.near = random() % 2 == 0;
      each.share = uint16_t(100 + random() % 901);
      each.connections = uint32_t(random() % 5);
    }
    const PickOptions options{uint32_t(random() % 101), random() % 2 == 0};
    for (const Balance policy : kPolicies) {
      SCOPED_TRACE(to_string(policy));
      auto walk = candidates;
      const auto picker = make_picker(policy, random() % 8);
      while (const auto picked = picker->pick(walk, random_input(random), options)) {
        ASSERT_TRUE(eligible(walk, *picked, options));
        ASSERT_GT(walk[*picked].weight, 0);
        ASSERT_FALSE(walk[*picked].tried);
        walk[*picked].tried = true;
      }
      for (const Candidate& each : walk) {
        const bool usable =
            each.weight > 0 && each.state != kNotReady &&
            (each.health != kDown || in_panic(candidates, each.state, options.panic_percent));
        ASSERT_EQ(each.tried, usable) << "every usable one is tried once, nobody else";
      }
    }
  }
}

// The order of the design, written down a second way: what a retry meets one after another.
TEST(Selection, WalksThroughTheWholeOrder) {
  Candidates candidates;
  const std::vector<const char*> order = {"nu",  "u",  "ue",  "n",  "",  "e",
                                          "nDu", "Du", "Due", "nD", "D", "De"};
  for (const char* letters : order) candidates.push_back(make(letters));
  for (const char* never : {"nd", "d", "de", "nDd", "Dd", "Dde"}) candidates.push_back(make(never));
  const PickOptions near{.panic_percent = 0, .prefer_near = true};
  for (size_t i = 0; i < order.size(); ++i) {
    ASSERT_EQ(selected(candidates, near), std::vector<size_t>{i}) << order[i];
    candidates[i].tried = true;
  }
  EXPECT_TRUE(selected(candidates, near).empty());
}

static_assert(unsigned(kReady) == 0 && unsigned(kDraining) == 1 && unsigned(kUnknown) == 0);

TEST(Selection, RanksReadyBeforeEjectedBeforeDraining) {
  const auto rank = [](BackendState state, bool ejected) {
    const Candidate one{.state = state, .ejected = ejected};
    return Selection({&one, 1}, {}).rank();
  };
  EXPECT_EQ(rank(BackendState::kReady, false), 0u);
  EXPECT_EQ(rank(BackendState::kReady, true), 1u);
  EXPECT_EQ(rank(BackendState::kDraining, false), 2u);
  EXPECT_EQ(rank(BackendState::kDraining, true), 3u);
  EXPECT_EQ(rank(BackendState::kNotReady, false), 4u);
}

}  // namespace
}  // namespace lb::balance
