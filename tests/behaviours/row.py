"""One row of the table: a probe, what a correct proxy must do in it, and what was seen."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from peers.proxies import EMPALME, Proxy, Setup


@dataclass(frozen=True)
class Seen:
    """What one proxy did, in few words, and whether a correct proxy may do that."""

    text: str
    right: bool


class Place:
    """Where a probe runs: starts the proxy of its column, and ends it afterwards."""

    def __init__(self, contestant: str, folder: str) -> None:
        self.contestant, self._folder = contestant, folder
        self._proxies: list[Proxy] = []

    @property
    def is_empalme(self) -> bool:
        return self.contestant == EMPALME

    def start(self, setup: Setup) -> Proxy:
        self._proxies.append(Proxy(self.contestant, setup, self._folder))
        return self._proxies[-1]

    def close(self) -> bool:
        """Ends the proxies; False when one had ended by itself."""
        ran = all(proxy.runs() for proxy in self._proxies)
        for proxy in self._proxies:
            proxy.stop()
        self._proxies.clear()
        return ran


@dataclass(frozen=True)
class Row:
    """`must` is the sentence that is printed when Empalme does not."""

    name: str
    must: str
    probe: Callable[[Place], Seen]

    def run(self, place: Place) -> Seen:
        try:
            seen = self.probe(place)
        except (OSError, RuntimeError) as error:
            seen = Seen(f"probe ended by {type(error).__name__}: {error}", False)
        finally:
            alive = place.close()
        return seen if alive else Seen(f"{seen.text}; the proxy died", False)
