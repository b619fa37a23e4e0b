#!/usr/bin/env python3
"""Upgrades without a gap: real processes of empalme-dataplane, one after another, under load.

usage: upgrade_test.py PROGRAM [TEST...]; prints what was measured."""

import ctypes
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from upgrade_support import (DataPlane, EchoServer, FullServer, Load, PATIENCE, Peer, UnixHttp, await_true,
                             free_port, metric, raise_descriptor_limit)

PROGRAM = None
ACCEPTED = "empalme_service_connections_accepted_total"
KEY = "file/echo"


class UpgradeTest(unittest.TestCase):
    def setUp(self):
        self.folder_ = tempfile.TemporaryDirectory(prefix="upgrade-")
        self.addCleanup(self.folder_.cleanup)
        self.folder = self.folder_.name
        self.backends = [EchoServer("one"), EchoServer("two")]
        self.tcp_port, self.udp_port = free_port(), free_port(socket.SOCK_DGRAM)
        self.planes = []
        self.addCleanup(self.end_all)

    def end_all(self):
        for plane in self.planes:
            if plane.process.poll() is None:
                plane.process.kill()
                plane.process.wait(PATIENCE)
        for backend in self.backends:
            backend.ending = True

    policy = {}
    address = "127.0.0.1"
    dead_backends = ()

    def state(self, generation=1):
        def port(number, protocol, port_of):
            ports = [port_of(each) for each in self.backends]
            if protocol == "tcp":
                ports += self.dead_backends
            return {"port": number, "protocol": protocol,
                    "backends": [{"address": "127.0.0.1", "port": each} for each in ports]}
        return {"schema": "empalme.io/v1", "epoch": 1, "generation": generation, "services": [
            {"key": KEY, "addresses": [self.address], "policy": self.policy, "ports": [
                port(self.tcp_port, "tcp", lambda each: each.tcp_port),
                port(self.udp_port, "udp", lambda each: each.udp_port)]}]}

    def run_plane(self, *flags, workers=2, serving=True, **options):
        plane = DataPlane(PROGRAM, self.folder, "--workers", str(workers), *flags, **options)
        self.planes.append(plane)
        if serving:
            plane.await_log('"serving"')
        return plane

    def first_plane(self, *flags, **options):
        path = self.folder + "/state.json"
        with open(path, "w") as file:
            json.dump(self.state(), file)
        return self.run_plane("--state", path, *flags, **options)

    def saved(self):
        with open(self.folder + "/state/state.json") as file:
            return json.load(file)

    def metrics(self, plane):
        status, text = plane.ask("GET", "/metrics")
        self.assertEqual(status, 200)
        return text

    def assert_unharmed(self, load):
        self.assertEqual((load.failed_connects, load.lost, load.datagrams_lost), (0, 0, 0),
                         load.errors[:5])

    def echo(self, connection, word=b"ping"):
        connection.sendall(word)
        self.assertEqual(connection.recv(64), word)

    def connected(self):
        connection = socket.create_connection((self.address, self.tcp_port), timeout=PATIENCE)
        self.addCleanup(connection.close)
        self.echo(connection)
        return connection


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
        stranger = DataPlane(PROGRAM, tempfile.mkdtemp(dir=self.folder),
                             state_dir=self.folder + "/state")
        self.planes.append(stranger)
        self.assertEqual(stranger.wait(), 1)
        self.assertIn("StateDirLocked", stranger.log())

    def test_an_old_process_that_is_killed_after_the_swap_takes_nothing_with_it(self):
        old = self.first_plane()
        load = Load(self.tcp_port, self.udp_port, depth=0)
        load.await_connects(50)
        self.run_plane()
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


class Failure(UpgradeTest):
    """Whatever goes wrong with the new process, the old one goes on and can be asked again."""

    def unharmed_by(self, trouble, reason=None):
        old = self.first_plane()
        load = Load(self.tcp_port, self.udp_port, depth=50)
        load.await_connects(100)
        trouble(old)
        load.await_connects(200)
        self.assertEqual(old.ask("GET", "/healthz")[0], 200)
        if reason:
            old.await_log(reason)
        await_true("it is counted", lambda: metric(
            self.metrics(old), "empalme_dataplane_handoffs_total", result="failed") +
            metric(self.metrics(old), "empalme_dataplane_handoffs_total", result="refused") > 0)
        answer = old.ask("PUT", "/v1/state", json.dumps(self.state(2)))
        self.assertEqual(answer[0], 200, answer)
        self.run_plane()
        load.await_connects(100)
        load.stop()
        self.assert_unharmed(load)

    def test_a_new_process_that_is_killed_in_the_middle(self):
        def trouble(old):
            peer = Peer(old.handoff)
            peer.hello()
            self.assertEqual(peer.hear()["handoff"], 1)
            peer.close()
        self.unharmed_by(trouble, "PeerGone")

    def test_a_real_new_process_that_is_killed_at_any_time(self):
        old = self.first_plane()
        load = Load(self.tcp_port, self.udp_port, depth=50)
        load.await_connects(100)
        killed = 0
        for delay in range(40):
            new = self.run_plane(serving=False)
            time.sleep(delay * 0.002)  # another moment of its start each time
            new.process.send_signal(signal.SIGSTOP)
            if not self.still_serves(old):
                new.process.send_signal(signal.SIGCONT)
                new.await_log('"serving"')
                break
            new.end(signal.SIGKILL)
            killed += 1
            load.await_connects(50)
        load.stop()
        load.report("%d new processes killed" % killed)
        self.assertGreater(killed, 0)
        self.assert_unharmed(load)

    # The word of a stopped process may be on its way: it is read before the second question is.
    def still_serves(self, plane):
        try:
            return all(plane.ask("GET", "/readyz", patience=0.5)[0] == 200 for _ in range(3))
        except OSError:
            return False

    def test_another_version_of_the_protocol_is_refused(self):
        def trouble(old):
            peer = Peer(old.handoff)
            peer.say(handoff=2, version="9.9", want="listeners")
            self.assertIn("HandoffProtocol", peer.hear()["refused"])
        self.unharmed_by(trouble, "HandoffProtocol")

    def test_an_old_process_that_speaks_another_version_is_left_alone(self):
        os.mkdir(self.folder + "/private", 0o700)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as old:
            old.bind(self.folder + "/private/handoff.sock")
            old.listen()
            old.settimeout(PATIENCE)
            new = self.run_plane(serving=False)
            peer = Peer(connection=old.accept()[0])
            self.assertEqual(peer.hear()["handoff"], 1)
            peer.say(handoff=2, version="9.9")
            self.assertEqual(new.wait(), 1)
        self.assertIn("HandoffProtocol", new.log())
        self.assertFalse(os.path.exists(self.folder + "/state"))

    def test_a_new_process_that_declines(self):
        def trouble(old):
            peer = Peer(old.handoff)
            peer.hello()
            peer.hear()
            peer.say(serving=False, why="no reason")
            with self.assertRaises(EOFError):
                while True:
                    peer.read(1)
        self.unharmed_by(trouble, "no reason")

    def test_a_second_taker_is_refused_by_name(self):
        def trouble(old):
            peer = Peer(old.handoff)
            peer.hello()
            peer.hear()
            second = self.run_plane(serving=False)
            self.assertEqual(second.wait(), 1)
            self.assertIn("HandoffBusy", second.log())
            peer.close()
        self.unharmed_by(trouble, "HandoffBusy")

    def test_changes_wait_while_a_handoff_is_under_way(self):
        old = self.first_plane()
        peer = Peer(old.handoff)
        peer.hello()
        peer.hear()
        status, text = old.ask("PUT", "/v1/state", json.dumps(self.state(2)))
        self.assertEqual((status, json.loads(text)["reason"]), (503, "HandingOver"))
        self.assertEqual(old.ask("POST", "/v1/drain", "{}")[0], 503)
        self.assertEqual(old.ask("GET", "/v1/status")[0], 200)
        peer.close()
        await_true("a change is taken again", lambda: old.ask(
            "PUT", "/v1/state", json.dumps(self.state(2)))[0] == 200)

    def test_a_new_process_that_cannot_use_its_state_folder(self):
        def trouble(old):
            new = self.run_plane("--state-dir", self.folder + "/state.json/nowhere", serving=False)
            self.assertEqual(new.wait(), 1)
            self.assertIn("StateDir", new.log())
        self.unharmed_by(trouble, "does not serve")

    def test_a_new_process_whose_certificate_cannot_be_read(self):
        def trouble(old):
            nowhere = self.folder + "/nowhere"
            new = self.run_plane("--admin", "tcp:127.0.0.1:%d" % free_port(), "--tls-cert", nowhere,
                                 "--tls-key", nowhere, "--tls-ca", nowhere, serving=False)
            self.assertEqual(new.wait(), 1)
        self.unharmed_by(trouble, "does not serve")


class Announced(UpgradeTest):
    """Addresses on a link, in a network namespace of this process's own."""

    address = "192.0.2.10"

    @classmethod
    def setUpClass(cls):
        if ctypes.CDLL(None, use_errno=True).unshare(0x40000000) != 0:  # CLONE_NEWNET
            raise unittest.SkipTest("needs root for a network namespace")
        for command in ("link set lo up", "link add va type veth peer name vb", "link set va up",
                        "link set vb up", "addr add 192.0.2.1/24 dev va"):
            subprocess.run(["ip", *command.split()], check=True)

    def is_on_link(self):
        shown = subprocess.run(["ip", "-o", "-4", "addr", "show", "dev", "va"], check=True,
                               capture_output=True, text=True).stdout
        return self.address + "/32" in shown

    def is_guarded(self):
        return subprocess.run(["nft", "list", "chain", "inet", "empalme", "guard"],
                              capture_output=True, check=False).returncode == 0

    def watch(self):
        misses, looks, ending = [], [0], threading.Event()

        def look_on():
            while not ending.is_set():
                looks[0] += 1
                if not self.is_on_link():
                    misses.append("address")
                if not self.is_guarded():
                    misses.append("filter")

        watcher = threading.Thread(target=look_on, daemon=True)
        watcher.start()

        def end():
            ending.set()
            watcher.join(PATIENCE)
            print("address and filter: %d looks, missing %d times" % (looks[0], len(misses)))
            self.assertGreater(looks[0], 5)
            self.assertEqual(misses, [])
        return end

    def await_renewals(self, plane, count):
        await_true("renewals", lambda: metric(
            self.metrics(plane), "empalme_dataplane_address_renewals_total") >= count)

    def test_the_address_stays_through_upgrades_and_goes_with_the_last_process(self):
        old = self.first_plane("--announce", "interface:va")
        self.assertTrue(self.is_on_link() and self.is_guarded())
        end_watch = self.watch()
        held = self.connected()
        new = self.run_plane("--announce", "interface:va")
        self.echo(held)
        held.close()
        self.assertEqual(old.wait(), 0)
        self.connected()
        self.await_renewals(new, 6)  # longer than an address lives
        end_watch()
        self.assertEqual(new.end(), 0)
        self.assertFalse(self.is_on_link() or self.is_guarded())

    def test_a_new_process_that_gives_up_leaves_the_address_alone(self):
        old = self.first_plane("--announce", "interface:va")
        end_watch = self.watch()
        new = self.run_plane("--announce", "interface:va", "--state-dir",
                             self.folder + "/state.json/nowhere", serving=False)
        self.assertEqual(new.wait(), 1)
        await_true("the old process has noticed", lambda: metric(
            self.metrics(old), "empalme_dataplane_handoffs_total", result="failed") >= 1)
        # Further: the address and the filter are its own when it is killed.
        other = self.run_plane("--announce", "interface:va", serving=False)
        other.await_log("taking over")
        other.process.send_signal(signal.SIGSTOP)
        if "another process serves" not in old.log():
            other.end(signal.SIGKILL)
            self.await_renewals(old, 6)
        else:
            other.process.send_signal(signal.SIGCONT)
            other.await_log('"serving"')
        end_watch()


class Rights(UpgradeTest):
    def test_the_socket_is_for_one_user(self):
        old = self.first_plane()
        mode = os.stat(old.handoff).st_mode
        self.assertTrue(stat.S_ISSOCK(mode))
        self.assertEqual(stat.S_IMODE(mode), 0o600)
        self.assertEqual(stat.S_IMODE(os.stat(os.path.dirname(old.handoff)).st_mode), 0o700)

    @unittest.skipUnless(os.geteuid() == 0, "needs root to become somebody else")
    def test_another_user_is_refused(self):
        old = self.first_plane()
        os.chmod(self.folder, 0o755)
        os.chmod(os.path.dirname(old.handoff), 0o755)
        os.chmod(old.handoff, 0o666)
        child = os.fork()
        if child == 0:
            os.setuid(65534)
            try:
                peer = Peer(old.handoff)
                os._exit(0 if "HandoffPeer" in peer.hear()["refused"] else 1)
            finally:
                os._exit(2)
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        self.assertEqual(metric(self.metrics(old), "empalme_dataplane_handoffs_total",
                                result="refused"), 1)


if __name__ == "__main__":
    PROGRAM = os.path.abspath(sys.argv.pop(1))
    raise_descriptor_limit()
    unittest.main(verbosity=2, warnings="ignore")
