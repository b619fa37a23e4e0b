"""What the tests of upgrades share: two backends behind a data plane, and processes that end with the test."""

import json
import os
import socket
import sys
import tempfile
import unittest

from upgrade_support import DataPlane, EchoServer, PATIENCE, free_port, raise_descriptor_limit

ACCEPTED = "empalme_service_connections_accepted_total"
KEY = "file/echo"


class UpgradeTest(unittest.TestCase):
    program = None

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
        plane = DataPlane(self.program, self.folder, "--workers", str(workers), *flags, **options)
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


def run_tests():
    UpgradeTest.program = os.path.abspath(sys.argv.pop(1))
    raise_descriptor_limit()
    unittest.main(verbosity=2, warnings="ignore")
