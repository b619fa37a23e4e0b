"""Bytes: all of them, in order, whatever the pace; and no more held than a stalled reader is worth."""
from __future__ import annotations

import contextlib
import select
import socket
import threading
import time

from peers.proxies import Proxy, Setup
from row import Place, Row, Seen
from wire import EOF, Sender, accept, connect, listen, pattern, read_exactly, read_to_end

MIB = 1 << 20
SINGLES = 20_000


def slow_client(place: Place) -> Seen:
    """The server is long gone when the client reads the last byte."""
    page = pattern(300_000)
    with listen() as listener:
        port = place.start(Setup([listener.getsockname()])).port
        with connect(port, receive_buffer=4096) as client:
            client.sendall(b"?")
            with accept(listener) as server:
                read_exactly(server, 1)
                server.sendall(page)
            end = read_to_end(client, piece=16384, pause=0.01)
    return Seen(f"{len(end.data)} B, {end.how}", end.data == page and end.how == EOF)


def single_bytes(place: Place) -> Seen:
    """Both ways at once: a pipe of 16 slots is full at 16 bytes, a merge or a swap shows."""
    up, down = pattern(SINGLES), pattern(SINGLES + 1)
    with listen() as listener:
        port = place.start(Setup([listener.getsockname()])).port
        began = time.monotonic()
        with connect(port) as client, accept(listener) as server:
            senders = [Sender(client, up, 1, ends=False), Sender(server, down, 1, ends=False)]
            at_server, at_client = read_exactly(server, len(up)), read_exactly(client, len(down))
            for sender in senders:
                sender.join()
        took = time.monotonic() - began
    right = at_server == up and at_client == down
    order = "in order" if right else "NOT as sent"
    return Seen(f"{len(at_server)}+{len(at_client)} B {order}, {took:.1f} s", right)


def _around_urgent(proxy: Proxy, sender: socket.socket, reader: socket.socket) -> bytes:
    """All of it is there when the proxy reads: a read stops at the urgent byte, and is short without
    having emptied the socket."""
    with proxy.paused():
        sender.sendall(b"before")
        sender.send(b"!", socket.MSG_OOB)
        sender.sendall(b"after.")
    reader.settimeout(1)
    got = b""
    try:
        while not got.endswith(b".") and (piece := reader.recv(64)):
            got += piece
    except TimeoutError:
        pass
    return got


def urgent_byte(place: Place) -> Seen:
    """The urgent byte may pass inline or be dropped; its neighbours must arrive, in order."""
    with listen() as listener:
        proxy = place.start(Setup([listener.getsockname()]))
        with connect(proxy.port) as client, accept(listener) as server:
            got = [_around_urgent(proxy, client, server), _around_urgent(proxy, server, client)]
    kinds = {b"beforeafter.": "dropped", b"before!after.": "passed inline",
             b"before": "what follows it is held back"}
    text = ", ".join(dict.fromkeys(kinds.get(g, repr(g)) for g in got))
    return Seen(text, all(g.endswith(b"after.") and g in kinds for g in got))


def urgent_in_bulk(place: Place) -> Seen:
    """A proxy that splices must get past the mark too, and not take it for the end."""
    half = pattern(5 * MIB)
    with listen() as listener:
        proxy = place.start(Setup([listener.getsockname()]))
        with connect(proxy.port) as client, accept(listener) as server:

            def speak() -> None:
                with contextlib.suppress(OSError):  # the proxy may end it before
                    server.sendall(half)
                    server.send(b"!", socket.MSG_OOB)
                    server.sendall(half)
                    server.shutdown(socket.SHUT_WR)

            sender = threading.Thread(target=speak)
            sender.start()
            time.sleep(0.2)  # so that the mark lies amid what waits
            end = read_to_end(client, piece=65536)
            client.close()
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            sender.join()
    whole = end.data in (half + half, half + b"!" + half)
    return Seen(f"{'all' if whole else f'{len(end.data)} of {2 * len(half)} B'}, {end.how}",
                whole and end.how == EOF)


def _send_until_stuck(server: socket.socket, most: int) -> int:
    """Sends until nothing more is taken for half a second: then every buffer on the way is full."""
    piece, sent = pattern(65536), 0
    poll = select.poll()
    poll.register(server, select.POLLOUT)
    server.setblocking(False)
    while sent < most and poll.poll(500):
        try:
            sent += server.send(piece[sent % len(piece):])
        except BlockingIOError:
            continue
    server.settimeout(5)
    return sent


def stalled_client(place: Place) -> Seen:
    """A client that reads nothing must not fill the proxy's memory; what was taken still arrives."""
    with listen() as listener:
        proxy = place.start(Setup([listener.getsockname()]))
        with connect(proxy.port) as client:
            client.sendall(b"?")
            with accept(listener) as server:
                read_exactly(server, 1)
                before = proxy.private_bytes()
                sent = _send_until_stuck(server, 128 * MIB)
                grown = proxy.private_bytes() - before
            end = read_to_end(client, piece=MIB)
    whole = end.data == (pattern(65536) * (sent // 65536 + 1))[:sent] and end.how == EOF
    text = f"{sent / MIB:.1f} MiB, {grown // 1024} KiB of it in user memory"
    return Seen(text if whole else f"{text}; {len(end.data)} B arrived, {end.how}",
                whole and sent < 64 * MIB and grown <= MIB)


ROWS = [
    Row("300 kB then close, slow client", "all 300000 B, then EOF", slow_client),
    Row("bytes absorbed for a stalled client",
        "under 64 MiB taken, at most 1 MiB of it in user memory, all of it delivered later", stalled_client),
    Row("1-byte writes x 20,000 both ways", "all bytes in order", single_bytes),
    Row("out-of-band byte", "dropped or passed inline; what is before and after it arrives within 1 s, in order", urgent_byte),
    Row("out-of-band byte amid 10 MiB", "all of it but perhaps the byte, then EOF", urgent_in_bulk),
]
