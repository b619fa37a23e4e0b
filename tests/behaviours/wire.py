"""Sockets for the probes. Every wait has an end, and says so instead of hanging."""
from __future__ import annotations

import fcntl
import random
import select
import selectors
import socket
import struct
import termios
import threading
import time
from dataclasses import dataclass
from typing import Any

WAIT = 5.0  # seconds: far above what a working proxy needs on loopback
EOF, RST, OPEN = "EOF", "RST", "open"
Address = tuple[str, int]


@dataclass(frozen=True)
class End:
    """What a reader got, and how the stream ended: EOF, RST or open (nothing came for the whole wait)."""

    data: bytes
    how: str


def pattern(size: int) -> bytes:
    """Bytes that repeat nowhere: a lost, doubled or moved piece shows. The same in every run."""
    return random.Random(size).randbytes(size)


def listen(receive_buffer: int | None = None) -> socket.socket:
    """A backend's listener; what it accepts inherits the small receive buffer."""
    listener = socket.socket()
    if receive_buffer is not None:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    listener.bind(("127.0.0.1", 0))
    listener.listen(1024)
    listener.settimeout(WAIT)
    return listener


def refusing() -> socket.socket:
    """A port that is ours and refuses: bound, but nobody listens."""
    closed = socket.socket()
    closed.bind(("127.0.0.1", 0))
    return closed


def accept(listener: socket.socket) -> socket.socket:
    connection, _ = listener.accept()
    connection.settimeout(WAIT)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def connect(port: int, receive_buffer: int | None = None) -> socket.socket:
    connection = socket.socket()
    if receive_buffer is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.settimeout(WAIT)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.connect(("127.0.0.1", port))
    return connection


def reset(connection: socket.socket) -> None:
    """Ends a connection by RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def read_to_end(connection: socket.socket, piece: int = 65536, pause: float = 0) -> End:
    """Reads until the stream ends; with `pause` as a slow reader does."""
    got = bytearray()
    try:
        while data := connection.recv(piece):
            got += data
            if pause:
                time.sleep(pause)
        return End(bytes(got), EOF)
    except ConnectionResetError:
        return End(bytes(got), RST)
    except TimeoutError:
        return End(bytes(got), OPEN)


def read_exactly(connection: socket.socket, size: int) -> bytes:
    """Up to `size` bytes; fewer when the stream ends before."""
    got = bytearray()
    while len(got) < size and (data := connection.recv(size - len(got))):
        got += data
    return bytes(got)


def _pending(connection: socket.socket, request: int) -> int:
    return int(struct.unpack("i", fcntl.ioctl(connection, request, b"\0" * 4))[0])


def await_acknowledged(connection: socket.socket) -> None:
    """Until the other kernel has all that was sent. There is no event for that, so it is asked."""
    ends = time.monotonic() + WAIT
    while _pending(connection, termios.TIOCOUTQ) > 0:
        if time.monotonic() > ends:
            raise TimeoutError("what was sent is not acknowledged")
        time.sleep(0.001)


def await_unread(connection: socket.socket, size: int) -> None:
    """Until `size` bytes lie unread in the receive queue."""
    ends = time.monotonic() + WAIT
    while _pending(connection, termios.FIONREAD) < size:
        if time.monotonic() > ends:
            raise TimeoutError("the bytes do not come")
        time.sleep(0.001)


def await_end(connection: socket.socket, seconds: float) -> bool:
    """Whether the connection is over on both sides within that time; nothing is read."""
    poll = select.poll()
    poll.register(connection, 0)
    return bool(poll.poll(seconds * 1000))


class Sender(threading.Thread):
    """Sends while the probe reads: neither side may depend on what buffers happen to hold."""

    def __init__(self, connection: socket.socket, data: bytes, piece: int | None = None, ends: bool = True) -> None:
        super().__init__(daemon=True)
        self._connection, self._data, self._piece, self._ends = connection, data, piece or len(data), ends
        self.start()

    def run(self) -> None:
        try:
            for at in range(0, len(self._data), self._piece):
                self._connection.sendall(self._data[at:at + self._piece])
            if self._ends:
                self._connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # what arrived is the reader's to judge


class Answering(threading.Thread):
    """A backend that answers every piece it reads with `ok` and leaves the connection open."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._listener = listen()
        self._quit, self._waker = socket.socketpair()
        self.address: Address = self._listener.getsockname()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self._selector.register(self._quit, selectors.EVENT_READ, None)
        self.start()

    def run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    return
                key.data(key.fileobj)

    def _accept(self, listener: Any) -> None:
        connection, _ = listener.accept()
        self._selector.register(connection, selectors.EVENT_READ, self._answer)

    def _answer(self, connection: Any) -> None:
        try:
            if connection.recv(4096):
                connection.sendall(b"ok")
                return
        except OSError:
            pass
        self._selector.unregister(connection)
        connection.close()

    def __enter__(self) -> Answering:
        return self

    def __exit__(self, *_: object) -> None:
        self._waker.send(b"x")
        self.join()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()


@dataclass(frozen=True)
class Exchange:
    """One request: answered or not, how it ended if not, and how long that took."""

    answered: bool
    how: str
    seconds: float


def exchange(port: int) -> Exchange:
    """One short request and its answer, with a deadline above the slowest peer's."""
    began = time.monotonic()
    how = OPEN
    try:
        with connect(port) as client:
            client.settimeout(15)
            client.sendall(b"hi")
            how = "answer" if client.recv(2) == b"ok" else EOF
    except ConnectionResetError:
        how = RST
    except TimeoutError:
        how = OPEN
    return Exchange(how == "answer", how, time.monotonic() - began)
