"""Backends that cannot be reached: who waits, how long, and what the client is told."""
from __future__ import annotations

import statistics
from concurrent.futures import ThreadPoolExecutor

from peers.proxies import Setup
from peers.space import black_hole
from row import Place, Row, Seen
from wire import RST, Answering, Exchange, exchange, listen, refusing

MANY = 60


def _slowest(exchanges: list[Exchange]) -> str:
    return f"{max(e.seconds for e in exchanges):.2f} s" if exchanges else "none"


def one_refuses(place: Place) -> Seen:
    """All at once, so that a proxy that waits before it tries again does so for all at the same time."""
    with Answering() as backend, refusing() as closed, ThreadPoolExecutor(MANY) as clients:
        port = place.start(Setup([backend.address, closed.getsockname()])).port
        results = list(clients.map(exchange, [port] * MANY))
    ok = [r for r in results if r.answered]
    failed = [r for r in results if not r.answered]
    text = f"{len(ok)} ok, slowest {_slowest(ok)}"
    if failed:
        text += f"; failed after {_slowest(failed)}"
    return Seen(text, not failed and max(r.seconds for r in ok) < 1)


def one_black_holed(place: Place) -> Seen:
    """One after another: what a proxy has learnt from the first timeout shows in the next connects."""
    with Answering() as backend, listen() as hole:
        black_hole(hole.getsockname()[1])
        setup = Setup([backend.address, hole.getsockname()], connect_timeout_ms=1000)
        port = place.start(setup).port
        results = [exchange(port) for _ in range(8)]
    times = " ".join(f"{r.seconds:.1f}{'' if r.answered else '!'}" for r in results)
    ok = sum(r.answered for r in results)
    slow = sum(r.seconds > 0.5 for r in results)
    return Seen(f"{ok}/8 ok; {times} s", ok == 8 and slow <= 1 and max(r.seconds for r in results) < 1.5)


def all_refuse(place: Place) -> Seen:
    """A reset at once lets the client try elsewhere; an EOF looks like an empty answer."""
    with refusing() as first, refusing() as second:
        port = place.start(Setup([first.getsockname(), second.getsockname()])).port
        results = [exchange(port) for _ in range(3)]
    took = statistics.median(r.seconds for r in results)
    ends = "/".join(sorted({r.how for r in results}))
    return Seen(f"{ends} after {took * 1000:.1f} ms", ends == RST and took < 0.05)


ROWS = [
    Row("1 of 2 backends refuses, 60 connects", "60 ok, none slower than 1 s", one_refuses),
    Row("1 of 2 black-holed, connect timeout 1 s, 8 connects", "8 ok, at most one of them waits", one_black_holed),
    Row("all refuse", "RST within 50 ms", all_refuse),
]
