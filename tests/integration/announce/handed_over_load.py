"""Load on shared addresses while the machine that holds them changes its data plane.

handed_over_load.py PORT ADDRESS... makes a new connection to an address in turn, each 2 ms, sends a word and wants
it back; sends one datagram for each connection, from a new port each time, and wants it back; and keeps one
connection to each address, on which a word goes both ways each 5 ms. Prints "ready" once everything has been
answered, ends at SIGTERM, and prints one JSON object. A connection is lost when it fails or when its first segment
had to be sent again (the kernel waits a second for that); a datagram when no answer has come for two seconds.
handed_over_load.py --serve PORT is the backend: whatever comes goes back, over TCP and UDP.
"""
import errno
import json
import selectors
import signal
import socket
import sys
import time

EACH = 0.002
KEPT_EACH = 0.005
LOST = 2.0


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


class Load:
    def __init__(self, port, addresses):
        self.port, self.addresses = port, addresses
        self.selector = selectors.DefaultSelector()
        self.out = {key: 0 for key in ("tcp_ok", "tcp_failed", "tcp_lost", "udp_ok", "udp_lost", "kept_ended")}
        self.causes = {}
        self.kept_pause_ms = 0
        self.pending, self.ending = {}, False
        self.serial = 0

    def count(self, what, cause=None):
        self.out[what] += 1
        if cause:
            self.causes[cause] = self.causes.get(cause, 0) + 1

    def forget(self, sock):
        self.selector.unregister(sock)
        sock.close()
        self.pending.pop(sock, None)

    def begin(self, now):
        address = self.addresses[self.serial % len(self.addresses)]
        self.serial += 1
        word = b"%08d" % (self.serial % 10**8)
        tcp = socket.socket(family_of(address), socket.SOCK_STREAM)
        tcp.setblocking(False)
        code = tcp.connect_ex((address, self.port))
        if code not in (0, errno.EINPROGRESS):
            tcp.close()
            self.count("tcp_failed", errno.errorcode[code])
        else:
            self.pending[tcp] = (now, word)
            self.selector.register(tcp, selectors.EVENT_WRITE, self.on_connected)
        udp = socket.socket(family_of(address), socket.SOCK_DGRAM)
        udp.setblocking(False)
        udp.connect((address, self.port))
        self.pending[udp] = (now, word)
        self.selector.register(udp, selectors.EVENT_READ, self.on_datagram)
        try:
            udp.send(word)
        except OSError as error:
            self.forget(udp)
            self.count("udp_lost", "udp " + errno.errorcode[error.errno])

    def on_connected(self, sock, now):
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        word = self.pending[sock][1]
        if code:
            self.forget(sock)
            return self.count("tcp_failed", errno.errorcode[code])
        # As the kernel saw it: a busy machine may call us late.
        if self.retransmitted(sock):
            self.count("tcp_lost", "sent again")
        sock.send(word)
        self.selector.modify(sock, selectors.EVENT_READ, self.on_answer)

    @staticmethod
    def retransmitted(sock):
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
        return int.from_bytes(info[100:104], sys.byteorder) > 0  # tcpi_total_retrans

    def on_answer(self, sock, now):
        word = self.pending[sock][1]
        try:
            answer = sock.recv(64)
        except OSError as error:
            self.forget(sock)
            return self.count("tcp_failed", errno.errorcode[error.errno])
        self.forget(sock)
        self.count(*(("tcp_ok",) if answer == word else ("tcp_failed", "cut short")))

    def on_datagram(self, sock, now):
        try:
            answer, cause = sock.recv(64), "another answer"
        except OSError as error:
            answer, cause = None, "udp " + errno.errorcode[error.errno]
        word = self.pending[sock][1]
        self.forget(sock)
        self.count(*(("udp_ok",) if answer == word else ("udp_lost", cause)))

    def keep(self, address):
        sock = socket.create_connection((address, self.port), timeout=5)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
        self.selector.register(sock, selectors.EVENT_READ, self.on_kept)
        return {"socket": sock, "answered": time.monotonic(), "alive": True}

    def on_kept(self, sock, now):
        kept = next(each for each in self.kept if each["socket"] is sock)
        try:
            alive = bool(sock.recv(65536))
        except OSError:
            alive = False
        if alive:
            self.kept_pause_ms = max(self.kept_pause_ms, int((now - kept["answered"]) * 1000))
            kept["answered"] = now
        else:
            kept["alive"] = False
            self.selector.unregister(sock)
            self.count("kept_ended")

    def expire(self, now):
        for sock, (began, _) in list(self.pending.items()):
            if now - began <= LOST:
                break
            self.count("udp_lost" if sock.type == socket.SOCK_DGRAM else "tcp_failed", "no answer")
            self.forget(sock)

    def turn(self, until):
        for key, _ in self.selector.select(max(0, until - time.monotonic())):
            key.data(key.fileobj, time.monotonic())
        self.expire(time.monotonic())

    def run(self):
        self.kept = [self.keep(address) for address in self.addresses]
        next_one = next_kept = time.monotonic()
        told = False
        while not self.ending:
            now = time.monotonic()
            if now >= next_one:
                self.begin(now)
                next_one = max(next_one + EACH, now - 10 * EACH)
            if now >= next_kept:
                for each in self.kept:
                    if each["alive"]:
                        each["socket"].send(b"word")
                next_kept = now + KEPT_EACH
            self.turn(min(next_one, next_kept))
            if not told and self.out["tcp_ok"] > 100 and self.out["udp_ok"] > 100:
                told = True
                print("ready", flush=True)
        end = time.monotonic() + LOST + 0.5
        while self.pending and time.monotonic() < end:
            self.turn(time.monotonic() + 0.01)
        print(json.dumps({**self.out, "kept_pause_ms": self.kept_pause_ms, "causes": self.causes}), flush=True)


def serve(port):
    selector = selectors.DefaultSelector()
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    udp.bind(("127.0.0.1", port))
    tcp = socket.create_server(("127.0.0.1", port), backlog=1024)

    def echo(sock):
        try:
            data = sock.recv(65536)
            if data:
                return sock.sendall(data)
        except OSError:
            pass
        selector.unregister(sock)
        sock.close()

    def echo_datagram(sock):
        data, peer = sock.recvfrom(2048)
        sock.sendto(data, peer)

    selector.register(udp, selectors.EVENT_READ, echo_datagram)
    selector.register(tcp, selectors.EVENT_READ, lambda sock: selector.register(sock.accept()[0], selectors.EVENT_READ, echo))
    while True:
        for key, _ in selector.select():
            key.data(key.fileobj)


if sys.argv[1] == "--serve":
    serve(int(sys.argv[2]))
load = Load(int(sys.argv[1]), sys.argv[2:])


def end(*_):
    load.ending = True


signal.signal(signal.SIGTERM, end)
load.run()
