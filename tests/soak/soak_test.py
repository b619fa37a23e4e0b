"""The soak's own rules: what counts as explained, and that a wrong byte is seen."""
import unittest

import judge
import wire


def failure(**changes):
    out = {"service": "file/main", "phase": "transfer", "backend": [1, 4], "kind": "broken",
           "start": 10.0, "end": 12.0}
    return {**out, **changes}


def kill(at, backend=(1, 4)):
    return {"kind": "kill", "backend": list(backend), "begin": at, "end": at}


class ExplainTest(unittest.TestCase):
    def test_a_kill_explains_what_was_in_flight_on_that_life_of_the_backend(self):
        self.assertEqual(judge.explain(failure(), [kill(11.0)]), "kill")
        self.assertIsNone(judge.explain(failure(), [kill(11.0, (1, 3))]))
        self.assertIsNone(judge.explain(failure(), [kill(11.0, (2, 4))]))
        self.assertIsNone(judge.explain(failure(), [kill(9.0), kill(13.0)]))

    def test_a_kill_lasts_until_the_backend_is_dead(self):
        slow = {**kill(5.0), "end": 11.0}
        self.assertEqual(judge.explain(failure(), [slow]), "kill")
        self.assertEqual(judge.explain(failure(), [{**slow, "end": None}]), "kill")
        self.assertIsNone(judge.explain(failure(), [{**slow, "end": 9.0}]))

    def test_any_kill_explains_who_was_not_greeted_yet(self):
        early = failure(backend=None, phase="greeting")
        self.assertEqual(judge.explain(early, [kill(11.0, (2, 9))]), "kill")
        self.assertIsNone(judge.explain(early, [kill(8.0)]))

    def test_few_descriptors_explain_only_who_was_not_greeted_yet(self):
        window = [{"kind": "few_descriptors", "begin": 11.0, "end": 11.2}]
        self.assertEqual(judge.explain(failure(backend=None), window), "few_descriptors")
        self.assertIsNone(judge.explain(failure(), window))

    def test_a_service_that_is_not_there_explains_its_own_failures(self):
        absent = [{"kind": "absent", "service": "file/main", "begin": 11.0, "end": None}]
        self.assertEqual(judge.explain(failure(), absent), "absent")
        self.assertIsNone(judge.explain(failure(service="file/other"), absent))
        self.assertIsNone(judge.explain(failure(end=10.1), absent))

    def test_nothing_explains_a_wrong_byte_or_a_stuck_connection(self):
        for kind in ("corrupt", "stuck"):
            self.assertIsNone(judge.explain(failure(kind=kind), [kill(11.0)]))


class PatternTest(unittest.TestCase):
    def test_the_right_bytes_are_taken_wherever_the_chunks_are_cut(self):
        whole = b"".join(wire.expected(7, True, at, 1000) for at in range(0, 200000, 1000))
        for begin, end in ((0, 65536), (65520, 131000), (131000, 196000)):
            wire.check(7, True, begin, whole[begin:end])

    def test_a_changed_lost_doubled_or_strange_byte_is_seen(self):
        good = wire.expected(7, True, 0, 5000)
        for bad in (good[:900] + b"\0" + good[901:], good[:900] + good[901:],
                    good[:900] + good[899:]):
            with self.assertRaises(wire.Corrupt):
                wire.check(7, True, 0, bad)
        for connection, down, offset in ((8, True, 0), (7, False, 0), (7, True, 4096)):
            with self.assertRaises(wire.Corrupt):
                wire.check(connection, down, offset, good)


class ProxyTest(unittest.TestCase):
    def test_a_header_names_the_connection_it_belongs_to(self):
        service = {"address": "127.0.0.1", "port": 80}
        self.assertEqual(wire.proxy_header(258, service, 1),
                         b"PROXY TCP4 198.18.1.2 127.0.0.1 1282 80\r\n")
        header = wire.proxy_header(258, service, 2)
        self.assertEqual(header[12:24].hex(), "21110013" + "c6120102" + "7f000001")


class DatagramTest(unittest.TestCase):
    def test_the_right_datagram_is_taken_with_its_backend(self):
        self.assertEqual(wire.check_datagram(wire.datagram(7, 3, (2, 9))), (7, 3, [2, 9]))

    def test_a_changed_cut_or_longer_datagram_is_seen(self):
        good = wire.datagram(7, 3)
        changed = bytes([good[0] ^ 1]) + good[1:]
        for bad in (changed, good[:-1], good + b"x", good[:10], b""):
            with self.assertRaises(wire.Corrupt):
                wire.check_datagram(bad)


if __name__ == "__main__":
    unittest.main()
