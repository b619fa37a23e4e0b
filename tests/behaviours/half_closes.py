"""Half-closed connections: a FIN ends one direction only, and the other must go on."""
from __future__ import annotations

import socket
import time

from peers.proxies import Setup
from row import Place, Row, Seen
from wire import EOF, Sender, accept, await_end, connect, listen, pattern, read_exactly, read_to_end

MIB = 1 << 20


def _size(data: bytes) -> str:
    return f"{len(data)} B"


def client_fin_first(place: Place) -> Seen:
    """A client that says all it has to say, as `nc` and HTTP/1.0 clients do, still wants its answer."""
    answer = pattern(MIB)
    with listen() as listener, connect(place.start(Setup([listener.getsockname()])).port) as client:
        client.sendall(b"request")
        client.shutdown(socket.SHUT_WR)
        with accept(listener) as server:
            request = read_to_end(server)
            await_end(server, 0.5)  # the time a backend thinks; over at once where the proxy hangs up
            Sender(server, answer)
            end = read_to_end(client)
    right = request.data == b"request" and end.data == answer and end.how == EOF
    return Seen(f"{_size(end.data)} received, {end.how}", right)


def server_fin_first(place: Place) -> Seen:
    """The mirror: a server that has said all may still read an upload."""
    upload = pattern(MIB // 4)
    with listen() as listener, connect(place.start(Setup([listener.getsockname()])).port) as client:
        client.sendall(b"?")
        with accept(listener) as server:
            read_exactly(server, 1)
            server.shutdown(socket.SHUT_WR)
            client_saw = read_to_end(client)
            Sender(client, upload)
            end = read_to_end(server)
    right = client_saw.how == EOF and end.data == upload and end.how == EOF
    return Seen(f"{_size(end.data)} delivered, {end.how}", right)


def server_speaks_first(place: Place) -> Seen:
    """SMTP, SSH and MySQL greet: a proxy that waits for the client's first byte stops them."""
    with listen() as listener:
        port = place.start(Setup([listener.getsockname()])).port
        began = time.monotonic()
        with connect(port) as client, accept(listener) as server:
            server.sendall(b"220 ready\r\n")
            greeting = read_exactly(client, 11)
            took = time.monotonic() - began
            client.sendall(b"QUIT")
            request = read_exactly(server, 4)
    right = greeting == b"220 ready\r\n" and request == b"QUIT" and took < 0.5
    return Seen(f"greeting after {took * 1000:.1f} ms", right)


ROWS = [
    Row("client FIN after request, server answers 1 MiB 0.5 s later",
        "1 MiB, byte for byte, then EOF", client_fin_first),
    Row("server FIN first, client then uploads 256 KiB", "all 262144 B, then EOF", server_fin_first),
    Row("server speaks first", "the greeting arrives at once, before the client sent a byte", server_speaks_first),
]
