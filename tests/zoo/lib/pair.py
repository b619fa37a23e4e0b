"""What a pair of client and server tells the suite."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lib.processes import PROGRAM_FOLDERS, Broken, Program
from lib.session import Session


@dataclass(frozen=True)
class Endpoint:
    """Where to listen or to connect."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Server:
    """One running server: its folder is its own, its programs hold its connections."""

    at: Endpoint
    folder: Path
    programs: Sequence[Program]

    def kill(self) -> None:
        for program in self.programs:
            program.kill()


class Pair(ABC):
    """One kind of server with its client.

    Two servers of a pair that were started alike hold the same, so results can be compared between
    them. A pair keeps no state of a run but `folder`, where `prepare` puts what its servers and
    clients share (keys, certificates).
    """

    packages: Sequence[str] = ()
    programs: Sequence[str] = ()
    protocol = "tcp"
    # The server can be told to expect the PROXY header of version 2.
    accepts_proxy = False
    # A client that connects again by itself: through us it ends well on the other backend, and
    # there is no direct end to compare with.
    reconnects = False
    # A session of several connections that must meet in one server: the other stands by as
    # draining, for no balancer can know that they belong together.
    several_connections = False
    # Exit codes that mean the same, a lost connection: which one it is depends on whether a client
    # still wrote to the dead server, and that on how much was buffered before it.
    lost_codes: frozenset[int] = frozenset()
    # The server makes a second client wait until the first has gone.
    one_at_a_time = False
    # Mode -> why it makes no sense here.
    not_applicable: dict[str, str] = {}

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def name(self) -> str:
        return type(self).__module__.rpartition(".")[2]

    def missing(self) -> list[str]:
        """Programs that are not installed."""
        path = ":".join(PROGRAM_FOLDERS)
        return [program for program in self.programs if not shutil.which(program, path=path)]

    def prepare(self) -> None:
        """Makes what all servers and clients of the pair share, once."""

    @abstractmethod
    def start(self, folder: Path, at: Endpoint, proxy: bool) -> Sequence[Program]:
        """Starts a server with `folder` as its home; `proxy`: it expects the PROXY header."""

    def fill(self, at: Endpoint, folder: Path) -> None:
        """Puts in the server, once it listens, what a client will ask for."""

    @abstractmethod
    def check(self, at: Endpoint, folder: Path) -> str:
        """Does a client's usual work and gives the digest of what it got; Broken if it is not what
        the server holds."""

    def check_client_seen(self, at: Endpoint, folder: Path) -> None:
        """Behind the PROXY header: Broken unless the server was told the client's own address. Only
        for servers that let it be asked for."""

    def session(self, at: Endpoint, folder: Path) -> Session:
        """A session that can be held in the middle."""
        raise NotImplementedError


def must_equal(what: str, got: object, expected: object) -> None:
    """Broken unless equal, with both values."""
    if got != expected:
        raise Broken(f"{what}: got {str(got)[:120]!r}, expected {str(expected)[:120]!r}")
