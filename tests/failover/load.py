"""An open-loop generator: new connections at a fixed rate, whatever becomes of the earlier ones.

Each sends a request of 200 bytes that begins with its number and expects 300 bytes and an EOF. Prints
`warm` after the first second, and at the end one JSON list of [number, start, end, how, bytes].
Times are seconds of CLOCK_REALTIME, as the packet tap's.

  load.py PORT RATE SECONDS GRACE
"""
from __future__ import annotations

import gc
import json
import select
import socket
import sys
import time

from backend import FIRST, REQUEST, REST

ANSWER, REFUSED, RST, EOF, OPEN = "answer", "refused", "RST", "EOF", "open"
Row = list[int | float | str]


class Client:
    """One connection of the load."""

    __slots__ = ("number", "start", "connection", "got", "asked")

    def __init__(self, number: int, connection: socket.socket) -> None:
        self.number, self.connection = number, connection
        self.start, self.got, self.asked = time.time(), 0, False


class Load:
    """All connections, driven by one epoll."""

    def __init__(self, port: int, rate: float) -> None:
        self._target, self._rate = ("127.0.0.1", port), rate
        self._epoll = select.epoll()
        self._clients: dict[int, Client] = {}
        self.rows: list[Row] = []
        self._begun = 0

    def run(self, seconds: float, grace: float) -> None:
        began = time.monotonic()
        warm = False
        while (now := time.monotonic() - began) < seconds:
            while self._begun < now * self._rate:
                self._begin()
            if not warm and now > 1:
                warm = True
                print("warm", flush=True)
            self._turn(max(0.0, (self._begun / self._rate) - (time.monotonic() - began)))
        ends = time.monotonic() + grace
        while self._clients and time.monotonic() < ends:
            self._turn(0.05)
        for client in list(self._clients.values()):
            self._over(client, OPEN)

    def _begin(self) -> None:
        connection = socket.socket()
        connection.setblocking(False)
        client = Client(self._begun, connection)
        self._begun += 1
        self._clients[connection.fileno()] = client
        connection.connect_ex(self._target)
        self._epoll.register(connection, select.EPOLLIN | select.EPOLLOUT)

    def _turn(self, wait: float) -> None:
        for descriptor, events in self._epoll.poll(wait):
            client = self._clients[descriptor]
            if not client.asked and not self._ask(client):
                continue
            if events & ~select.EPOLLOUT:
                self._read(client)

    def _ask(self, client: Client) -> bool:
        client.asked = True
        self._epoll.modify(client.connection, select.EPOLLIN)
        try:
            client.connection.send(b"%08d" % client.number + b"." * (REQUEST - 8))
            return True
        except ConnectionRefusedError:
            self._over(client, REFUSED)
        except OSError:
            self._over(client, RST)
        return False

    def _read(self, client: Client) -> None:
        try:
            data = client.connection.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            self._over(client, RST)
            return
        client.got += len(data)
        if not data:
            self._over(client, ANSWER if client.got == FIRST + REST else EOF)

    def _over(self, client: Client, how: str) -> None:
        del self._clients[client.connection.fileno()]
        client.connection.close()
        self.rows.append([client.number, client.start, time.time(), how, client.got])


if __name__ == "__main__":
    gc.disable()
    load = Load(int(sys.argv[1]), float(sys.argv[2]))
    load.run(float(sys.argv[3]), float(sys.argv[4]))
    json.dump(load.rows, sys.stdout)
