"""A backend that thinks: the first part of its answer comes 10 ms after the request, the rest 10 ms
later, so that a kill always meets connections before and inside an answer.

Prints its port. A request that begins with `H` is held without an answer, one with `P` after the first
part; both are for the direct control client.
"""
from __future__ import annotations

import collections
import gc
import selectors
import socket
import time

REQUEST, FIRST, REST = 200, 100, 200  # bytes
THINKS = 0.010  # seconds before each part

Due = tuple[float, socket.socket, bytes, bool]


class Backend:
    """One thread, one selector; the parts that are due form a queue, since all wait equally long."""

    def __init__(self) -> None:
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(4096)
        self._listener.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._due: collections.deque[Due] = collections.deque()
        self._read: dict[socket.socket, bytes] = {}
        self._held: list[socket.socket] = []

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def run(self) -> None:
        while True:
            wait = None if not self._due else max(0.0, self._due[0][0] - time.monotonic())
            for key, _ in self._selector.select(wait):
                if key.fileobj is self._listener:
                    self._accept()
                else:
                    self._take(key.fileobj)  # type: ignore[arg-type]
            while self._due and self._due[0][0] <= time.monotonic():
                self._answer(*self._due.popleft()[1:])

    def _accept(self) -> None:
        try:
            while True:
                connection, _ = self._listener.accept()
                connection.setblocking(False)
                self._read[connection] = b""
                self._selector.register(connection, selectors.EVENT_READ)
        except BlockingIOError:
            pass

    def _take(self, connection: socket.socket) -> None:
        try:
            data = connection.recv(4096)
        except OSError:
            data = b""
        request = self._read[connection] + data
        if data and len(request) < REQUEST:
            self._read[connection] = request
            return
        del self._read[connection]
        self._selector.unregister(connection)
        if not data:
            connection.close()
        elif request.startswith(b"H"):
            self._held.append(connection)
        else:
            self._due.append((time.monotonic() + THINKS, connection, request, False))

    def _answer(self, connection: socket.socket, request: bytes, ends: bool) -> None:
        try:
            connection.send(request[:9].ljust(REST if ends else FIRST, b"."))
        except OSError:
            connection.close()
            return
        if ends:
            connection.close()
        elif request.startswith(b"P"):
            self._held.append(connection)
        else:
            self._due.append((time.monotonic() + THINKS, connection, request, True))


if __name__ == "__main__":
    gc.disable()
    backend = Backend()
    print(backend.port, flush=True)
    backend.run()
