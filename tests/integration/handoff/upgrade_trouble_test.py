#!/usr/bin/env python3
"""Upgrades that go wrong, on addresses of a link, and by whom they may be asked for.

usage: upgrade_trouble_test.py PROGRAM [TEST...]"""

import ctypes
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from upgrade_fixture import ACCEPTED, UpgradeTest, run_tests
from upgrade_support import Load, PATIENCE, Peer, await_true, free_port, free_ports, metric


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

    def told_to_end_while_asked(self):
        """The old process, a connection through it, and the new one that has got the offer."""
        old = self.first_plane("--drain", "0")
        held = self.connected()
        peer = Peer(old.handoff)
        peer.hello()
        peer.hear()
        old.process.send_signal(signal.SIGTERM)
        old.await_log('"stopping"')
        return old, held, peer

    def test_sigterm_waits_for_the_handoff_that_is_under_way(self):
        old, held, peer = self.told_to_end_while_asked()
        self.echo(held)
        self.echo(self.connected())
        peer.say(serving=True)
        old.await_log("another process serves")
        self.assertEqual(old.wait(), 0)
        with self.assertRaises(ConnectionResetError):
            held.recv(64)

    def test_sigterm_ends_it_when_the_handoff_fails(self):
        old, held, peer = self.told_to_end_while_asked()
        self.echo(held)
        peer.close()
        self.assertEqual(old.wait(), 0)
        self.assertIn("PeerGone", old.log())

    def test_sigterm_does_not_wait_for_a_new_process_that_hangs(self):
        old, held, peer = self.told_to_end_while_asked()
        self.echo(held)
        self.assertEqual(old.wait(), 0)
        self.assertNotIn("another process serves", old.log())
        peer.close()

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


class AtTheLine(UpgradeTest):
    """The old process has no descriptor left for traffic, and fewer in reserve than listeners."""

    LIMIT, LISTENERS, WORKERS = 256, 60, 2

    def setUp(self):
        super().setUp()
        self.more_ports = free_ports(self.LISTENERS)

    def state(self, generation=1):
        state = super().state(generation)
        ports = state["services"][0]["ports"]
        ports += [dict(ports[0], port=each) for each in self.more_ports]
        return state

    def value(self, plane, name):
        return metric(self.metrics(plane), "empalme_dataplane_" + name)

    def fill(self, plane):
        """Connects until one is not served: it waits in the kernel's queue."""
        held = []
        for _ in range(self.LIMIT):
            held.append(socket.create_connection((self.address, self.tcp_port), timeout=PATIENCE))
            held[-1].settimeout(1)
            held[-1].sendall(b"ping")
            try:
                self.assertEqual(held[-1].recv(64), b"ping")
            except socket.timeout:
                held[-1].settimeout(PATIENCE)
                return held[:-1], held[-1]
        raise AssertionError("never at its limit:\n" + self.metrics(plane))

    def test_all_listeners_are_handed_over(self):
        old = self.first_plane("--handoff-drain", "20", descriptors=self.LIMIT,
                               workers=self.WORKERS)
        held, waiting = self.fill(old)
        left = self.LIMIT - len(old.descriptors())
        print("%d connections, %d descriptors left" % (len(held), left))
        self.assertLess(left, self.LISTENERS * self.WORKERS)
        new = self.run_plane(descriptors=self.LIMIT, workers=self.WORKERS)
        old.await_log("another process serves")
        self.assertEqual(waiting.recv(64), b"ping")
        waiting.close()
        for port in self.more_ports:
            with socket.create_connection((self.address, port), timeout=PATIENCE) as connection:
                self.echo(connection)
        accepted = metric(self.metrics(new), ACCEPTED, protocol="tcp")
        self.assertEqual(accepted, len(held) + 1 + self.LISTENERS)
        for connection in held:
            self.echo(connection, b"still")
            connection.close()
        self.assertEqual(old.wait(), 0)


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
    run_tests()
