"""The judge of the machine's own pauses, on logs made here."""
import unittest

import pulse

QUIET = {"late_ms": 0, "stolen": 0, "busy": 0}


def second(when, late=0, busy=0, stolen=0, total=200):
    return f"{when} {late} {busy} {stolen} {total}\n"


class Judge(unittest.TestCase):
    def test_the_worst_second_counts(self):
        lines = [second(1000, late=3), second(2000, late=250), second(3000, late=7)]
        self.assertEqual(pulse.judge(lines, 0, 3000)["late_ms"], 250)

    def test_what_was_stolen_is_a_share_of_what_wanted_to_run(self):
        found = pulse.judge([second(1000, busy=60, stolen=20)], 0, 1000)
        self.assertEqual(found, {"late_ms": 0, "stolen": 25, "busy": 30})

    def test_shares_are_over_the_whole_span(self):
        lines = [second(1000, busy=100, stolen=100), second(2000, busy=200)]
        self.assertEqual(pulse.judge(lines, 0, 2000)["stolen"], 25)

    def test_a_second_before_the_span_does_not_count(self):
        self.assertEqual(pulse.judge([second(999, late=900, stolen=9)], 1000, 2000), QUIET)

    def test_the_second_in_which_the_span_ends_counts(self):
        self.assertEqual(pulse.judge([second(2900, late=900)], 1000, 2000)["late_ms"], 900)

    def test_a_second_after_the_span_does_not_count(self):
        self.assertEqual(pulse.judge([second(3001, late=900)], 1000, 2000), QUIET)

    def test_a_line_that_is_being_written_is_left_out(self):
        self.assertEqual(pulse.judge([second(1000)[:-1], "1000 9", "\n"], 0, 2000), QUIET)

    def test_nothing_that_wanted_to_run_is_no_share(self):
        self.assertEqual(pulse.judge([second(1000, total=0)], 0, 2000), QUIET)


class StoodStill(unittest.TestCase):
    def test_a_machine_at_its_limits_did_not(self):
        self.assertFalse(pulse.stood_still(dict(QUIET, late_ms=150, stolen=50, busy=100)))

    def test_one_that_was_late_did(self):
        self.assertTrue(pulse.stood_still(dict(QUIET, late_ms=151)))

    def test_one_of_which_more_than_half_was_taken_did(self):
        self.assertTrue(pulse.stood_still(dict(QUIET, stolen=51)))


class Jiffies(unittest.TestCase):
    def test_idle_and_waiting_time_is_not_busy_and_stolen_time_is_apart(self):
        self.assertEqual(pulse.jiffies("cpu  1 2 4 100 200 8 16 32 64 128\n"), (31, 32, 363))

    def test_this_machine_has_them(self):
        busy, stolen, total = pulse.read_jiffies()
        self.assertGreater(total, busy + stolen)


if __name__ == "__main__":
    unittest.main()
