#!/usr/bin/env python3
"""Upgrades without a gap: real processes of empalme-dataplane, one after another, under load.

usage: upgrade_test.py PROGRAM [TEST...]; prints what was measured."""

import json
import os
import signal
import socket
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from upgrade_fixture import ACCEPTED, KEY, UpgradeTest, run_tests
from upgrade_support import DataPlane, FullServer, Load, PATIENCE, UnixHttp, await_true, free_port, metric


class Swap(UpgradeTest):
    def test_no_connect_fails_and_old_connections_end_cleanly(self):
        old = self.first_plane()
        load = Load(self.tcp_port, self.udp_port)
        load.await_connects(2100)
        new = self.run_plane()
        load.await_connects(500)
        in_flight = metric(self.metrics(new), "empalme_dataplane_handoff_left_total",
                           protocol="tcp")
        load.await_connects(2000)  # so that every one of the old process has ended
        load.stop()
        load.report("one upgrade, %d connections in flight, accept gap %.1f ms" % (
            in_flight, new.gap()))
        self.assert_unharmed(load)
        self.assertGreaterEqual(in_flight, 2000)
        self.assertGreater(load.ended, in_flight)
        self.assertEqual(new.end(), 0)

    def test_the_old_process_ends_with_0_once_its_last_connection_has(self):
        old = self.first_plane()
        held = self.connected()
        new = self.run_plane()
        self.assertIsNone(old.process.poll())
        self.echo(held)
        self.assertIsNone(old.process.poll())
        held.close()
        self.assertEqual(old.wait(), 0)

    def test_connections_are_reset_when_the_bound_is_over(self):
        old = self.first_plane("--handoff-drain", "1")
        held = self.connected()
        self.run_plane()
        with self.assertRaises(ConnectionResetError):
            held.recv(64)
        self.assertEqual(old.wait(), 0)

    def test_sigterm_shortens_the_time_of_the_old_process(self):
        old = self.first_plane("--drain", "0")
        held = self.connected()
        self.run_plane()
        self.echo(held)
        self.assertEqual(old.end(), 0)
        with self.assertRaises(ConnectionResetError):
            held.recv(64)

    def test_totals_go_on_from_where_they_were(self):
        old = self.first_plane()
        for _ in range(7):
            self.connected()
        text = self.metrics(old)
        before = {name: metric(text, name, service=KEY) for name in (
            ACCEPTED, "empalme_service_received_bytes_total", "empalme_backend_connections_total",
            "empalme_service_connect_seconds_count")}
        self.assertEqual(before[ACCEPTED], 7)
        new = self.run_plane()
        for name, value in before.items():
            self.assertGreaterEqual(metric(self.metrics(new), name, service=KEY), value, name)
        self.connected()
        self.assertEqual(metric(self.metrics(new), ACCEPTED, service=KEY), 8)
        self.assertEqual(metric(self.metrics(new), "empalme_dataplane_handoffs_total",
                                result="taken"), 1)

    def test_drains_are_known_to_the_new_process(self):
        old = self.first_plane()
        where = "127.0.0.1:%d" % self.backends[0].tcp_port
        self.assertEqual(old.ask("POST", "/v1/drain", json.dumps({"backend": where}))[0], 200)
        new = self.run_plane()
        self.connected(), self.connected()
        self.assertEqual(metric(self.metrics(new), "empalme_backend_connections",
                                backend=where), 0)

    def test_only_the_new_process_saves_the_state(self):
        old = self.first_plane()
        held = self.connected()
        new = self.run_plane()
        self.assertEqual(new.ask("PUT", "/v1/state", json.dumps(self.state(5)))[0], 200)
        await_true("generation 5 on the disk", lambda: self.saved()["generation"] == 5)
        self.echo(held)
        os.remove(self.folder + "/state/state.json")
        self.assertEqual(old.end(), 0)  # a program that ends saves what is left to save
        self.assertFalse(os.path.exists(self.folder + "/state/state.json"))
        self.assertEqual(new.end(), 0)

    def test_the_folder_is_free_when_the_new_process_has_ended_although_the_old_one_drains(self):
        old = self.first_plane()
        held = self.connected()
        new = self.run_plane()
        self.assertEqual(new.end(), 0)
        third = self.run_plane()
        self.assertIsNone(old.process.poll())
        self.echo(held)
        self.connected()

    def test_the_lock_is_held_all_the_time(self):
        self.first_plane()
        self.run_plane()
        stranger = DataPlane(self.program, tempfile.mkdtemp(dir=self.folder),
                             state_dir=self.folder + "/state")
        self.planes.append(stranger)
        self.assertEqual(stranger.wait(), 1)
        self.assertIn("StateDirLocked", stranger.log())

    def test_an_old_process_that_is_killed_after_the_swap_takes_nothing_with_it(self):
        old = self.first_plane()
        load = Load(self.tcp_port, self.udp_port, depth=0)
        load.await_connects(50)
        self.run_plane()
        load.await_connects(100)  # what the old one was still serving is over
        old.end(signal.SIGKILL)
        load.await_connects(200)
        load.stop()
        self.assert_unharmed(load)

    def test_the_observe_listener_passes_too(self):
        observe = "127.0.0.1:%d" % free_port()
        self.first_plane("--observe", observe)
        new = self.run_plane("--observe", observe)
        host, port = observe.split(":")
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            heard = b"".join(iter(lambda: connection.recv(65536), b""))
        self.assertIn(b'empalme_dataplane_handoffs_total{result="taken"} 1', heard)


class Health(UpgradeTest):
    policy = {"health": {"type": "tcp", "interval_ms": 700, "timeout_ms": 500, "fall": 3},
              "connect_timeout_ms": 200, "ejection": {"timeouts": 0}}

    def timed_out(self, plane):
        return metric(self.metrics(plane), "empalme_backend_connect_failures_total",
                      cause="timeout")

    def test_what_is_down_stays_out_before_it_has_been_checked_again(self):
        full = FullServer()
        self.addCleanup(full.close)
        self.dead_backends = [full.port]
        where = "127.0.0.1:%d" % full.port
        old = self.first_plane()
        await_true("it is found to be down", lambda: metric(
            self.metrics(old), "empalme_backend_up", backend=where) == 0)
        before = self.timed_out(old)
        new = self.run_plane()
        for _ in range(12):
            self.connected()
        self.assertEqual(self.timed_out(new), before)
        self.assertEqual(metric(self.metrics(new), "empalme_backend_up", backend=where), 0)


class Datagrams(UpgradeTest):
    def test_an_answer_that_comes_late_still_reaches_its_client(self):
        self.first_plane()
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(client.close)
        client.settimeout(PATIENCE)
        client.connect(("127.0.0.1", self.udp_port))
        client.send(b"late question")
        await_true("it is on its way", lambda: metric(
            self.metrics(self.planes[0]), "empalme_dataplane_udp_received_datagrams_total") == 1)
        new = self.run_plane()
        self.assertEqual(client.recv(64), b"late question")
        client.send(b"next")
        self.assertEqual(client.recv(64), b"next")
        self.assertEqual(metric(self.metrics(new), "empalme_dataplane_udp_sessions"), 1)

    def test_nothing_is_lost_when_trains_were_being_received(self):
        self.first_plane()
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(client.close)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        client.settimeout(PATIENCE)
        client.connect(("127.0.0.1", self.udp_port))

        def burst(mark):
            for number in range(200):
                client.send(b"%s %03d" % (mark, number))
            return sorted(client.recv(2048) for _ in range(200))

        for mark in (b"one", b"two"):
            self.assertEqual(len(set(burst(mark))), 200)
        self.run_plane()
        self.assertEqual(burst(b"three"), [b"three %03d" % number for number in range(200)])


class Workers(UpgradeTest):
    def swap(self, before, after):
        self.first_plane(workers=before)
        load = Load(self.tcp_port, self.udp_port, depth=200)
        load.await_connects(300)
        self.run_plane(workers=after)
        load.await_connects(500)
        third = self.run_plane(workers=before)
        load.await_connects(500)
        load.stop()
        load.report("%d workers, then %d, then %d" % (before, after, before))
        self.assert_unharmed(load)
        return third

    def test_fewer_and_then_more_lose_nothing(self):
        self.swap(4, 1)

    def test_more_and_then_fewer_lose_nothing(self):
        self.swap(2, 3)

    def test_one_and_then_several_lose_nothing(self):
        self.swap(1, 2)

    def test_every_socket_is_accepted_from_with_fewer_workers(self):
        self.first_plane(workers=4)
        self.run_plane(workers=1)
        for _ in range(64):  # that the kernel would choose one of four of them only is unlikely
            self.connected()


class AdminSocket(UpgradeTest):
    def test_it_answers_but_for_a_short_gap(self):
        self.first_plane()
        ending = threading.Event()
        gaps, answers = [], [0]

        def ask_on():
            last = time.monotonic()
            while not ending.is_set():
                connection = UnixHttp(self.folder + "/admin.sock")
                try:
                    connection.request("GET", "/v1/status")
                    answers[0] += connection.getresponse().status == 200
                    gaps.append(time.monotonic() - last)
                    last = time.monotonic()
                except OSError:
                    pass
                finally:
                    connection.close()

        asker = threading.Thread(target=ask_on, daemon=True)
        asker.start()
        await_true("it is asked", lambda: answers[0] > 20)
        self.run_plane()
        before = answers[0]
        await_true("it is asked on", lambda: answers[0] > before + 20)
        ending.set()
        asker.join(PATIENCE)
        print("admin socket: %d answers, longest gap %.0f ms" % (answers[0], max(gaps) * 1e3))
        self.assertLess(max(gaps), 3)

    def test_a_reader_that_waits_is_answered_by_the_old_process(self):
        old = self.first_plane()
        rev = json.loads(old.ask("GET", "/v1/status")[1])["rev"]
        answer = []
        waiting = threading.Thread(target=lambda: answer.append(
            old.ask("GET", "/v1/status?since=%s&wait=60" % rev)), daemon=True)
        waiting.start()
        await_true("the reader waits", lambda: metric(
            self.metrics(old), "empalme_dataplane_http_requests_total", server="admin") >= 3)
        self.run_plane()
        waiting.join(PATIENCE)
        self.assertEqual([status for status, _ in answer], [200])


class FiveInARow(UpgradeTest):
    policy = {"udp_idle_s": 1}  # an old process stays until its last session is over

    def test_they_leave_no_descriptor_and_no_process_behind(self):
        plane = self.first_plane()
        load = Load(self.tcp_port, self.udp_port, depth=100)
        load.await_connects(150)
        last_total, sockets = 0, []
        for upgrade in range(5):
            plane = self.run_plane()
            load.await_connects(150)
            total = metric(self.metrics(plane), ACCEPTED, service=KEY)
            self.assertGreater(total, last_total)
            last_total = total
        load.stop()
        load.report("five upgrades in a row, longest accept gap %.1f ms" % max(
            plane.gap() for plane in self.planes[1:]))
        self.assert_unharmed(load)
        for old in self.planes[:-1]:
            self.assertEqual(old.wait(), 0)
        self.assertEqual(metric(self.metrics(plane), "empalme_dataplane_handoffs_total",
                                result="taken"), 5)
        await_true("no connection is left", lambda: metric(
            self.metrics(plane), "empalme_dataplane_connections") == 0)
        after_five = self.standing(plane)
        fresh = self.run_plane()
        plane.end()
        await_true("a sixth has as many descriptors as the fifth: %s, %s" % (
            after_five, self.standing(fresh)), lambda: self.standing(fresh) == after_five)

    # Without UDP sessions, of which the kernel's port is a socket each.
    def standing(self, plane):
        sessions = metric(self.metrics(plane), "empalme_dataplane_udp_sessions")
        return len(plane.descriptors()) - sessions

if __name__ == "__main__":
    run_tests()
