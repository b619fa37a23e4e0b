"""How connections end for a client that is connected directly, when the backend dies or vanishes.

That is the measure: whoever is behind a proxy shall not be told something else.
"""
from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

from backend import FIRST, REQUEST
from load import EOF, OPEN, RST
from peers.space import black_hole

KILLED, VANISHED = "killed", "vanished"
HERE = os.path.dirname(os.path.abspath(__file__))


class BackendProcess:
    """A backend of its own process, since it is to be killed. A context manager."""

    def __init__(self) -> None:
        self._process = subprocess.Popen([sys.executable, f"{HERE}/backend.py"], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def pause(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def kill(self) -> None:
        self._process.kill()

    def __enter__(self) -> BackendProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


def _ask(port: int, kind: bytes) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port), timeout=1)
    client.sendall(kind.ljust(REQUEST, b"."))
    return client


def _ending(client: socket.socket) -> str:
    try:
        while client.recv(4096):
            pass
        return EOF
    except ConnectionResetError:
        return RST
    except TimeoutError:
        return OPEN
    finally:
        client.close()


def _half_answered(port: int) -> socket.socket:
    client = _ask(port, b"P")
    got = 0
    while got < FIRST:
        got += len(client.recv(FIRST - got))
    return client


def directly(scenario: str) -> dict[bool, set[str]]:
    """The endings that are right, by whether the client had received a part of its answer."""
    with BackendProcess() as backend:
        inside, before = _half_answered(backend.port), [_ask(backend.port, b"H")]
        # Answered after the held request was read: both were taken up in that order.
        _half_answered(backend.port).close()
        if scenario == KILLED:
            backend.pause()
            before.append(_ask(backend.port, b"H"))  # accepted by the kernel, read by nobody
            backend.kill()
        else:
            black_hole(backend.port, both_ways=True)
        return {True: {_ending(inside)}, False: {_ending(client) for client in before}}
