"""The judge of ARP answers, on logs made here, and the frames that are sent and taken."""
import struct
import unittest

import witness

A, B = "02:00:00:00:00:0a", "02:00:00:00:00:0b"
VIP = "192.0.2.1"


class Log:
    """Rounds at every 20 ms from 1000 on, each with those who answer."""

    def __init__(self):
        self.now = 1000
        self.lines = []

    def rounds(self, count, *macs, address=VIP):
        for _ in range(count):
            self.lines.append(f"{self.now} ask -\n")
            self.lines += [f"{self.now + 1} {address} {mac}\n" for mac in macs]
            self.now += 20
        return self

    def judged(self, *span):
        return witness.judge(self.lines, *span)[VIP]


class Judge(unittest.TestCase):
    def test_one_that_answers_always_is_neither_double_nor_silent(self):
        self.assertEqual(Log().rounds(50, A).judged(), {"by": [A], "both_ms": 0, "silent_ms": 20})

    def test_a_clean_move_is_silence_between_two(self):
        found = Log().rounds(10, A).rounds(30).rounds(10, B).judged()
        self.assertEqual(found, {"by": [A, B], "both_ms": 0, "silent_ms": 620})

    def test_two_in_one_round_count_from_its_begin_to_the_next_one(self):
        self.assertEqual(Log().rounds(5, A).rounds(1, A, B).rounds(5, B).judged()["both_ms"], 20)

    def test_a_stretch_of_two_is_as_long_as_its_rounds(self):
        self.assertEqual(Log().rounds(5, A).rounds(10, A, B).rounds(5, B).judged()["both_ms"], 200)

    def test_one_missed_answer_does_not_end_a_stretch(self):
        log = Log().rounds(10, A, B).rounds(1, A).rounds(9, A, B)
        self.assertEqual(log.judged()["both_ms"], 400)

    def test_two_stretches_far_apart_are_not_added(self):
        log = Log().rounds(10, A, B).rounds(50, A).rounds(5, A, B)
        self.assertEqual(log.judged()["both_ms"], 200)

    def test_turns_from_round_to_round_are_not_both(self):
        log = Log()
        for _ in range(10):
            log.rounds(1, A).rounds(1, B)
        self.assertEqual(log.judged()["both_ms"], 0)

    def test_silence_until_the_end_counts(self):
        self.assertEqual(Log().rounds(5, A).rounds(50).judged()["silent_ms"], 1000)

    def test_only_the_named_time_is_judged(self):
        log = Log().rounds(10, A, B).rounds(10, A)
        self.assertEqual(log.judged(1200, 1400)["both_ms"], 0)
        self.assertEqual(log.judged(1000, 1100)["both_ms"], 120)

    def test_a_line_that_was_cut_off_is_left_out(self):
        log = Log().rounds(2, A)
        log.lines.append("1041 192.0.2.1 02:00:00:00:0")
        self.assertEqual(log.judged()["by"], [A])

    def test_a_log_without_rounds_holds_nothing(self):
        self.assertEqual(witness.judge([]), {})


class Frames(unittest.TestCase):
    MINE, OTHER = bytes.fromhex("02000000000c"), bytes.fromhex("02000000000a")

    def reply(self, sender="192.0.2.1", to="192.0.2.60"):
        frame = witness.request(self.OTHER, sender, to)
        return self.MINE + frame[6:20] + struct.pack("!H", 2) + frame[22:]

    def test_a_reply_to_us_names_who_answered(self):
        self.assertEqual(witness.answer(self.reply(), "192.0.2.60"), (VIP, A))

    def test_a_reply_to_somebody_else_is_none(self):
        self.assertIsNone(witness.answer(self.reply(to="192.0.2.50"), "192.0.2.60"))

    def test_a_request_is_no_answer(self):
        self.assertIsNone(witness.answer(witness.request(self.OTHER, VIP, "192.0.2.60"), "192.0.2.60"))

    def test_an_announcement_is_no_answer(self):
        self.assertIsNone(witness.answer(self.reply(to=VIP), "192.0.2.60"))

    def test_a_short_frame_is_none(self):
        self.assertIsNone(witness.answer(self.reply()[:41], "192.0.2.60"))


if __name__ == "__main__":
    unittest.main()
