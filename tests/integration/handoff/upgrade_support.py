"""Backends, load and processes for the tests of upgrades without a gap. Loopback only."""

import http.client
import json
import os
import resource
import selectors
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

PATIENCE = 30  # seconds for anything that a test waits for


def raise_descriptor_limit():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def free_ports(count):
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def await_true(what, condition, patience=PATIENCE):
    until = time.monotonic() + patience
    while time.monotonic() < until:
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("in vain: " + what)


class EchoServer(threading.Thread):
    """Echoes TCP; answers each datagram with its own name before it."""

    def __init__(self, name):
        super().__init__(daemon=True)
        self.label = name
        self.tcp = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.udp.bind(("127.0.0.1", 0))
        self.tcp_port, self.udp_port = self.tcp.getsockname()[1], self.udp.getsockname()[1]
        self.ending = False
        self.delay = {}
        self.start()

    def run(self):
        chosen = selectors.DefaultSelector()
        for server in (self.tcp, self.udp):
            server.setblocking(False)
            chosen.register(server, selectors.EVENT_READ)
        while not self.ending:
            for key, _ in chosen.select(0.2):
                self.serve(chosen, key.fileobj)

    def serve(self, chosen, ready):
        try:
            if ready is self.tcp:
                for _ in range(64):
                    client = self.tcp.accept()[0]
                    client.setblocking(False)
                    chosen.register(client, selectors.EVENT_READ)
            elif ready is self.udp:
                for _ in range(64):
                    data, sender = self.udp.recvfrom(2048)
                    if data.startswith(b"late"):
                        threading.Timer(0.7, self.udp.sendto, (data, sender)).start()
                    else:
                        self.udp.sendto(data, sender)
            else:
                data = ready.recv(65536)
                if data:
                    ready.sendall(data)
                else:
                    chosen.unregister(ready)
                    ready.close()
        except BlockingIOError:
            pass
        except OSError:
            if ready not in (self.tcp, self.udp):
                chosen.unregister(ready)
                ready.close()


class FullServer:
    """Its queue is full: connects to it hang."""

    def __init__(self):
        self.sockets = [socket.create_server(("127.0.0.1", 0), backlog=0)]
        self.port = self.sockets[0].getsockname()[1]
        for _ in range(4):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", self.port))
            self.sockets.append(client)

    def close(self):
        for each in self.sockets:
            each.close()


class Load(threading.Thread):
    """New connections and datagrams without a pause. Each connection says one word, hears it back
    and stays open for a while; there are `depth` of them at any time."""

    def __init__(self, tcp_port, udp_port, depth=2000):
        super().__init__(daemon=True)
        self.tcp_port, self.udp_port, self.depth = tcp_port, udp_port, depth
        self.connects = self.failed_connects = self.lost = self.ended = 0
        self.datagrams = self.datagrams_lost = 0
        self.longest_connect = 0.0
        self.longest_gap = 0.0  # between two connections that were served
        self.last_served = None
        self.most_open = 0
        self.errors = []
        self.ending = False
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.datagram_loop, daemon=True)]
        self.start()
        for thread in self.threads:
            thread.start()

    def run(self):
        open_ones = []
        while not self.ending:
            connection = self.connect_once()
            if connection is not None:
                open_ones.append(connection)
            self.most_open = max(self.most_open, len(open_ones))
            if len(open_ones) > self.depth:
                self.end_cleanly(open_ones.pop(0))
        for connection in open_ones:
            self.end_cleanly(connection)

    def connect_once(self):
        began = time.monotonic()
        try:
            connection = socket.create_connection(("127.0.0.1", self.tcp_port), timeout=10)
        except OSError as error:
            self.failed_connects += 1
            self.errors.append("connect: %r" % error)
            return None
        self.longest_connect = max(self.longest_connect, time.monotonic() - began)
        self.connects += 1
        if not self.echoed(connection, b"first"):
            return None
        now = time.monotonic()
        if self.last_served is not None:
            self.longest_gap = max(self.longest_gap, now - self.last_served)
        self.last_served = now
        return connection

    def echoed(self, connection, word):
        try:
            connection.sendall(word)
            heard = b""
            while len(heard) < len(word):
                more = connection.recv(64)
                if not more:
                    raise OSError("ended early")
                heard += more
            assert heard == word
            return True
        except OSError as error:
            self.lost += 1
            self.errors.append("echo: %r" % error)
            connection.close()
            return False

    # It has been open over the swap: it still echoes, and ends with a FIN from both sides.
    def end_cleanly(self, connection):
        if not self.echoed(connection, b"last"):
            return
        try:
            connection.shutdown(socket.SHUT_WR)
            if connection.recv(64) != b"":
                raise OSError("data after the end")
            self.ended += 1
        except OSError as error:
            self.lost += 1
            self.errors.append("end: %r" % error)
        connection.close()

    # Many clients, each with an answer to wait for.
    def datagram_loop(self):
        clients = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(64)]
        for client in clients:
            client.settimeout(10)
            client.connect(("127.0.0.1", self.udp_port))
        number = 0
        while not self.ending:
            for client in clients:
                number += 1
                word = b"%d" % number
                self.datagrams += 1
                try:
                    client.send(word)
                    while client.recv(64) != word:
                        pass
                except OSError as error:
                    self.datagrams_lost += 1
                    self.errors.append("datagram: %r" % error)
            time.sleep(0.002)
        for client in clients:
            client.close()

    def await_connects(self, count):
        target = self.connects + count
        await_true("%d more connections" % count, lambda: self.connects >= target)

    def stop(self):
        self.ending = True
        self.join(PATIENCE)
        for thread in self.threads:
            thread.join(PATIENCE)

    def report(self, title):
        print("%s: %d connects, %d failed, %d lost, %d ended cleanly, %d open at most; longest "
              "connect %.1f ms, longest gap between served connections %.1f ms; %d datagrams, %d lost"
              % (title, self.connects, self.failed_connects, self.lost, self.ended, self.most_open,
                 self.longest_connect * 1e3, self.longest_gap * 1e3, self.datagrams,
                 self.datagrams_lost), flush=True)


class UnixHttp(http.client.HTTPConnection):
    def __init__(self, path, timeout=10):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class DataPlane:
    """One process; `folder` holds what all of a test's processes share."""

    def __init__(self, program, folder, *flags, state_dir=None, descriptors=None):
        self.log_path = tempfile.mktemp(prefix="log-", dir=folder)
        self.admin = folder + "/admin.sock"
        self.handoff = folder + "/private/handoff.sock"
        # So that a flag of a test's own comes first.
        environment = dict(os.environ, EMPALME_ADMIN="unix:" + self.admin,
                           EMPALME_HANDOFF=self.handoff,
                           EMPALME_STATE_DIR=state_dir or folder + "/state")
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen([program, *flags], stdout=log, stderr=log,
                                            env=environment, preexec_fn=lambda: (
                                                descriptors and resource.setrlimit(
                                                    resource.RLIMIT_NOFILE, (descriptors,) * 2)))

    @property
    def pid(self):
        return self.process.pid

    def log(self):
        with open(self.log_path) as file:
            return file.read()

    def await_log(self, text):
        await_true("%r in the log of %d:\n%s" % (text, self.pid, self.log()),
                   lambda: text in self.log() or self.process.poll() is not None)
        if text not in self.log():
            raise AssertionError("%r is not in the log:\n%s" % (text, self.log()))

    # For how long nobody accepted, in ms, by its own word.
    def gap(self):
        for line in self.log().splitlines():
            if '"took over"' in line:
                return int(json.loads(line)["accept_gap_us_at_most"]) / 1e3
        raise AssertionError("it did not take over:\n" + self.log())

    def ask(self, method, path, body=None, patience=PATIENCE):
        connection = UnixHttp(self.admin, patience)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def end(self, how=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(PATIENCE)

    def wait(self, patience=PATIENCE):
        return self.process.wait(patience)

    def descriptors(self):
        out = []
        for each in os.listdir("/proc/%d/fd" % self.pid):
            try:
                out.append(os.readlink("/proc/%d/fd/%s" % (self.pid, each)))
            except OSError:
                pass
        return out


def metric(text, name, **labels):
    """The sum over all series of that name with these labels."""
    total, found = 0.0, False
    for line in text.splitlines():
        head, _, value = line.rpartition(" ")
        if head.partition("{")[0] != name:
            continue
        if all('%s="%s"' % pair in head for pair in labels.items()):
            total, found = total + float(value), True
    if not found:
        raise AssertionError("no metric %s %s" % (name, labels))
    return total


class Peer:
    """Speaks the handoff's protocol by hand, to say what no program of ours would."""

    def __init__(self, path=None, connection=None):
        self.socket = connection or socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(PATIENCE)
        if path:
            self.socket.connect(path)

    def say(self, **document):
        text = json.dumps(document).encode()
        self.socket.sendall(struct.pack("!I", len(text)) + text)

    def hello(self):
        self.say(handoff=1, version="test", want="listeners")

    def hear(self):
        length = struct.unpack("!I", self.read(4))[0]
        return json.loads(self.read(length))

    def read(self, count):
        out = b""
        while len(out) < count:
            more = self.socket.recv(count - len(out))
            if not more:
                raise EOFError("the other side has closed")
            out += more
        return out

    def close(self):
        self.socket.close()
