"""What runs out or goes away while connections are open: descriptors, and the backend itself."""
from __future__ import annotations

import select
import socket
import time

from peers import admin
from peers.proxies import Proxy, Setup, state
from row import Place, Row, Seen
from wire import RST, Answering, accept, await_end, connect, exchange, listen, read_exactly, read_to_end, reset

DESCRIPTORS, CLIENTS = 60, 120
ABORTS = 20


class Crowd:
    """Clients that all asked once and stay; each is answered, ended by the proxy, or still waits."""

    def __init__(self, port: int) -> None:
        self._waiting: dict[int, socket.socket] = {}
        self.answered: list[socket.socket] = []
        self.ended = 0
        self._poll = select.poll()
        for _ in range(CLIENTS):
            client = connect(port)
            client.sendall(b"?")
            self._waiting[client.fileno()] = client
            self._poll.register(client, select.POLLIN)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def settle(self, quiet: float) -> None:
        """Takes what comes until nothing has come for `quiet` seconds, or nobody waits."""
        while self._waiting and self._take_next(quiet):
            pass

    def move_up(self, quiet: float) -> int:
        """Whoever has its answer goes, which makes room for others, until nobody waits or nothing
        has come for `quiet` seconds. How many were answered meanwhile."""
        served = 0
        self._leave()
        while self._waiting and self._take_next(quiet):
            served += len(self.answered)
            self._leave()
        return served

    def _take_next(self, quiet: float) -> bool:
        events = self._poll.poll(quiet * 1000)
        for descriptor, _ in events:
            self._take(descriptor)
        return bool(events)

    def _take(self, descriptor: int) -> None:
        self._poll.unregister(descriptor)
        client = self._waiting.pop(descriptor)
        try:
            if client.recv(2) == b"ok":
                self.answered.append(client)
                return
        except OSError:
            pass
        self.ended += 1
        client.close()

    def _leave(self) -> None:
        for client in self.answered:
            client.close()
        self.answered.clear()

    def close(self) -> None:
        self._leave()
        for client in self._waiting.values():
            client.close()


def _share_over(proxy: Proxy, seconds: float) -> float:
    """The share of one CPU that the proxy uses; the wait is the measurement."""
    before, began = proxy.cpu_seconds(), time.monotonic()
    time.sleep(seconds)
    return (proxy.cpu_seconds() - before) / (time.monotonic() - began)


def _recovers_after(port: int) -> float | None:
    """Seconds until a new client is answered; descriptors come back when the last closes are seen."""
    began = time.monotonic()
    while time.monotonic() - began < 3:
        if exchange(port).answered:
            return time.monotonic() - began
    return None


def descriptor_limit(place: Place) -> Seen:
    """At the limit a proxy may make clients wait, but not spin, die, or stay deaf afterwards."""
    with Answering() as backend:
        proxy = place.start(Setup([backend.address], descriptors=DESCRIPTORS))
        crowd = Crowd(proxy.port)
        crowd.settle(1.0)
        first, ended, waiting = len(crowd.answered), crowd.ended, crowd.waiting
        share = _share_over(proxy, 1.0)
        began = time.monotonic()
        later = crowd.move_up(quiet=2)
        took, left = time.monotonic() - began, crowd.waiting
        crowd.close()
        recovered = _recovers_after(proxy.port)
    text = f"{first} answered, {ended} ended, {waiting} wait at {share:.1%} CPU"
    text += f"; then {later} of those answered in {took:.1f} s" if waiting else ""
    text += "; does NOT recover" if recovered is None else f"; recovers after {recovered:.1f} s"
    return Seen(text, first > 0 and share < 0.05 and left == 0 and recovered is not None and recovered < 2)


def _both_abort(proxy: Proxy, listener: socket.socket) -> None:
    """The client's bytes reach a backend that has gone, and the client is gone too."""
    with connect(proxy.port) as client, accept(listener) as server:
        server.sendall(b"!")
        read_exactly(client, 1)
        with proxy.paused():
            client.sendall(b"x" * 1000)
            server.close()
            reset(client)


def _back_to(proxy: Proxy, sockets: int, seconds: float) -> float | None:
    """Seconds until the proxy has no more sockets than that; None when it takes longer than allowed."""
    began = time.monotonic()
    while (waited := time.monotonic() - began) < seconds:
        if proxy.sockets() <= sockets:
            return waited
        time.sleep(0.01)
    return None


def both_ends_abort(place: Place) -> Seen:
    """Nobody is left to take anything: what is kept then adds up, until descriptors run out."""
    with listen() as listener:
        proxy = place.start(Setup([listener.getsockname()]))
        before = proxy.sockets()
        for _ in range(ABORTS):
            _both_abort(proxy, listener)
        took = _back_to(proxy, before, 1)
        kept = proxy.sockets() - before
        later = took if took is not None else _back_to(proxy, before, 7)
    if took is not None:
        return Seen(f"all let go after {took:.2f} s", True)
    return Seen(f"{kept} sockets kept after 1 s, {'some after 8 s' if later is None else f'until {1 + later:.1f} s'}", False)


def backend_removed(place: Place) -> Seen:
    """A removed backend's connections end when its drain time does: by a reset, since they were cut."""
    if not place.is_empalme:
        return Seen("n/a", True)
    with listen() as old, listen() as new:
        proxy = place.start(Setup([old.getsockname()], policy={"drain_s": 1}))
        with connect(proxy.port) as client, accept(old) as server:
            client.sendall(b"?")
            read_exactly(server, 1)
            code = _replace_backend(proxy, Setup([new.getsockname()], policy={"drain_s": 1}))
            began = time.monotonic()
            with connect(proxy.port) as other, accept(new) as fresh:
                moved = _speaks(other, fresh)
            works = _speaks(client, server)
            await_end(client, 5)
            took = time.monotonic() - began
            ends = [read_to_end(client).how, read_to_end(server).how]
    text = f"client {ends[0]}, backend {ends[1]} after {took:.2f} s"
    text += "" if works else "; did not work while it drained"
    return Seen(text, code == 200 and moved and works and ends == [RST, RST] and 0.9 < took < 2)


def _replace_backend(proxy: Proxy, setup: Setup) -> int:
    document = state(proxy.port, setup, generation=2)
    patch = {"schema": document["schema"], "epoch": 1, "base_generation": 1, "generation": 2,
             "changed": document["services"], "removed": []}
    return admin.call(proxy.admin, "PATCH", "/v1/state", patch)[0]


def _speaks(client: socket.socket, server: socket.socket) -> bool:
    client.sendall(b"x")
    server.sendall(b"y")
    return read_exactly(server, 1) + read_exactly(client, 1) == b"xy"


ROWS = [
    Row(f"descriptor limit ({DESCRIPTORS}) hit by {CLIENTS} clients",
        "under 5 % CPU at the limit, the waiting are answered as others leave, new ones afterwards",
        descriptor_limit),
    Row(f"client resets and backend closes at once, x {ABORTS}", "every socket is let go within 1 s", both_ends_abort),
    Row("backend removed with a connection open (PATCH, drain_s 1)",
        "works for 1 s, then RST to both sides; new connections go elsewhere at once", backend_removed),
]
