"""Resets: the other side must learn that a stream was cut, and must get what was sent before."""
from __future__ import annotations

import socket
from collections.abc import Callable

from peers.proxies import Setup
from row import Place, Row, Seen
from wire import (OPEN, RST, End, accept, await_acknowledged, await_end, await_unread, connect, listen,
                  pattern, read_exactly, read_to_end, reset)

SMALL_BUFFER = 4096  # so that most of what was sent waits inside the proxy when the reset comes
SENT = 100_000


def _pair(place: Place, act: Callable[[socket.socket, socket.socket], End], small: str = "") -> End:
    """Runs `act` with the client's and the server's socket of one connection that has had an exchange."""
    with listen(SMALL_BUFFER if small == "server" else None) as listener:
        port = place.start(Setup([listener.getsockname()])).port
        with connect(port, SMALL_BUFFER if small == "client" else None) as client, accept(listener) as server:
            client.sendall(b"?")
            read_exactly(server, 1)
            server.sendall(b"!")
            read_exactly(client, 1)
            return act(client, server)


def _reset_then_read(resetting: socket.socket, reading: socket.socket) -> End:
    reset(resetting)
    return read_to_end(reading)


def client_reset(place: Place) -> Seen:
    end = _pair(place, lambda client, server: _reset_then_read(client, server))
    return Seen(end.how, end.how == RST)


def server_reset(place: Place) -> Seen:
    """An EOF here makes a cut answer look whole to every protocol without a length."""
    end = _pair(place, lambda client, server: _reset_then_read(server, client))
    return Seen(end.how, end.how == RST)


def _send_reset_read(resetting: socket.socket, reading: socket.socket) -> End:
    resetting.sendall(pattern(SENT))
    # Our own kernel would drop what it had not sent yet: only what the proxy has can be asked of it.
    await_acknowledged(resetting)
    reset(resetting)
    await_end(reading, 0.3)  # gives the proxy the chance to do it wrong
    return read_to_end(reading)


def _whole_then_reset(end: End) -> Seen:
    return Seen(f"{len(end.data)} B, {end.how}", end == End(pattern(SENT), RST))


def server_reset_after_data(place: Place) -> Seen:
    """A directly connected client keeps what it had received; the proxy's buffers are no worse a place."""
    return _whole_then_reset(_pair(place, lambda client, server: _send_reset_read(server, client), "client"))


def client_reset_after_data(place: Place) -> Seen:
    return _whole_then_reset(_pair(place, lambda client, server: _send_reset_read(client, server), "server"))


def _close_with_unread(client: socket.socket, server: socket.socket) -> End:
    client.sendall(pattern(1000))
    await_unread(server, 1000)
    server.sendall(b"BYE")
    server.close()
    return read_to_end(client)


def unread_data(place: Place) -> Seen:
    """close(2) with unread input sends a RST: a refusal such as `413` must outrun it."""
    end = _pair(place, _close_with_unread)
    # Directly connected the client sees a reset after it; peers make an EOF of it. Neither loses the word.
    return Seen(f"{end.data.decode() or 'nothing'}+{end.how}", end.data == b"BYE" and end.how != OPEN)


def reset_at_once(place: Place) -> Seen:
    """What a crashing backend, or one at its own limit, does."""
    with listen() as listener, connect(place.start(Setup([listener.getsockname()])).port) as client:
        reset(accept(listener))
        end = read_to_end(client)
    return Seen(end.how, end == End(b"", RST))


ROWS = [
    Row("client RST seen by server", "RST", client_reset),
    Row("server RST seen by client", "RST", server_reset),
    Row("server RST after 100 kB sent", "all 100000 B, then RST", server_reset_after_data),
    Row("client RST after 100 kB sent", "all 100000 B, then RST", client_reset_after_data),
    Row("server closes with unread data after `BYE`", "BYE, then an end", unread_data),
    Row("backend accepts and resets before any byte", "RST", reset_at_once),
]
