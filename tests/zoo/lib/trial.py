"""Puts one pair through all modes."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from lib.dataplane import DataPlane
from lib.listening import is_listening
from lib.pair import Endpoint, Pair, Server, must_equal
from lib.processes import USER, Broken, await_true
from lib.session import Ending, Session

MODES = ["direct", "plain", "drained", "killed", "proxy_v2"]
# What "at once" may take beyond twice the time that it takes directly, on a machine that is busy.
AT_ONCE_S = 3.0
# New sessions after a change: one alone could be right by the luck of its turn.
NEW_SESSIONS = 3


class Verdict(Enum):
    """What a cell of the table says."""

    OK = "ok"
    FAILED = "FAILED"
    SKIPPED = "skipped"
    NOT_APPLICABLE = "n/a"


@dataclass(frozen=True)
class Outcome:
    """One cell: `why` is the failure with the ends of the logs, or the reason of a skip."""

    verdict: Verdict
    seconds: float = 0.0
    why: str = ""


class Skipped(Exception):
    """The mode cannot be tried with this data plane; the text says why."""


def _limit(directly: float) -> float:
    """Seconds that still count as "at once" for what takes so long directly."""
    return 2 * directly + AT_ONCE_S


class Trial:
    """A pair, its servers, and a data plane of its own in front of them."""

    PORT = 20000

    def __init__(self, pair: Pair, number: int, binary: Path) -> None:
        self._pair = pair
        self._number = number
        self._binary = binary
        self._servers: list[Server] = []
        self._scratch = 0
        self._reference = ""
        self._session_reference = Ending(0, "", "")
        self._session_seconds = 0.0

    def run(self) -> dict[str, Outcome]:
        """All modes in order; none is tried when the direct reference fails."""
        missing = self._pair.missing()
        if missing:
            why = f"not installed: {' '.join(missing)}; packages: {' '.join(self._pair.packages)}"
            return {mode: Outcome(Verdict.FAILED, 0, why) for mode in MODES[:1]}
        outcomes = {"direct": self._measure("direct", self._set_up_and_direct)}
        if outcomes["direct"].verdict is Verdict.OK:
            for mode in MODES[1:]:
                outcomes[mode] = self._measure(mode, getattr(self, f"_{mode}"))
        outcomes |= self._tear_down(outcomes)
        return outcomes

    def _measure(self, mode: str, what: Callable[[], None]) -> Outcome:
        reason = self._pair.not_applicable.get(mode)
        if reason:
            return Outcome(Verdict.NOT_APPLICABLE, 0, reason)
        begin = time.monotonic()
        try:
            what()
            verdict, why = Verdict.OK, ""
        except Skipped as skipped:
            verdict, why = Verdict.SKIPPED, str(skipped)
        except Exception as failure:  # A pair's own mistake must not end the other pairs.
            kind = "" if isinstance(failure, Broken) else f"{type(failure).__name__}: "
            verdict, why = Verdict.FAILED, f"{kind}{failure}\n{self._logs()}"
        return Outcome(verdict, time.monotonic() - begin, why)

    def _logs(self) -> str:
        parts = [f"-- data plane:\n{self._dataplane.program.said()}"] if hasattr(
            self, "_dataplane") else []
        parts += [
            f"-- {program.log.parent.name}/{program.log.name}:\n{program.said(4)}"
            for server in self._servers
            for program in server.programs
        ]
        return "\n".join(parts)

    def _set_up_and_direct(self) -> None:
        self._give(self._pair.folder)
        self._pair.prepare()
        self._give(self._pair.folder)
        first = self._start("one")
        self._start("two")
        self._dataplane = DataPlane(self._binary, self._new_folder("dataplane"))
        self._reference = self._pair.check(first.at, self._new_folder())
        if self._has_sessions():
            self._session_reference, self._session_seconds = self._timed(
                lambda: self._open(first.at).finish())
            if self._session_reference.code != 0:
                raise Broken(f"the direct session ended badly: {self._session_reference}")

    def _plain(self) -> None:
        vip = self._publish("plain", [(self._servers[0], "ready")])
        must_equal("digest", self._pair.check(vip, self._new_folder()), self._reference)

    def _drained(self) -> None:
        vip = self._publish("drained", self._two_backends())
        sessions = [self._open(vip)]
        try:
            used, other = self._in_use("drained")
            self._publish("drained", [(used, "draining"), (other, "ready")])
            for _ in range(1 if self._pair.one_at_a_time else NEW_SESSIONS):
                sessions.append(self._open_on("drained", vip, used, other))
            for session in sessions:
                self._must_end_well("a session over the change", session.finish())
        finally:
            for session in sessions:
                session.abandon()

    def _killed(self) -> None:
        vip = self._publish("killed", self._two_backends())
        held = self._open(vip)
        try:
            used, survivor = self._in_use("killed")
            used.kill()
            for _ in range(NEW_SESSIONS):
                ending, took = self._timed(lambda: self._open(vip).finish())
                self._must_end_well("a new session", ending)
                if took > _limit(self._session_seconds):  # Or is the machine busier than before?
                    self._session_seconds = self._direct_seconds(survivor)
                self._must_be_at_once("a new session", took, self._session_seconds)
            ending, took = self._timed(held.finish)
        finally:
            held.abandon()
        if self._pair.reconnects:
            self._must_end_well("the client that connects again", ending)
        else:
            self._must_end_alike(ending, took, survivor)
            self._must_be_refused(vip)

    def _must_end_alike(self, ending: Ending, took: float, survivor: Server) -> None:
        direct = self._open(survivor.at)
        survivor.kill()
        expected, expected_seconds = self._timed(direct.finish)
        self._must_be_at_once("the end of the client", took, expected_seconds)
        both_lost = {ending.code, expected.code} <= self._pair.lost_codes
        if ending != expected and not both_lost:
            raise Broken(f"after its backend was killed the client ended with {ending}; "
                         f"directly with {expected}")

    def _must_be_refused(self, vip: Endpoint) -> None:
        """No server is left: a client must hear of it, not wait for it."""
        begin = time.monotonic()
        if self._pair.session(vip, self._new_folder()).attempt():
            raise Broken("a session began though no server is left")
        self._must_be_at_once("a client with no server left", time.monotonic() - begin, 0)

    def _proxy_v2(self) -> None:
        if not self._pair.accepts_proxy:
            raise Skipped("the server knows no PROXY protocol")
        if "policy.proxy_protocol=v2" not in self._dataplane.features:
            raise Skipped("the data plane's features lack policy.proxy_protocol=v2")
        server = self._start("proxied", proxy=True)
        vip = self._publish("proxy_v2", [(server, "ready")], {"proxy_protocol": "v2"})
        must_equal("digest", self._pair.check(vip, self._new_folder()), self._reference)
        self._pair.check_client_seen(vip, self._new_folder())

    def _tear_down(self, outcomes: dict[str, Outcome]) -> dict[str, Outcome]:
        """Ends all of it. A data plane that crashed fails the last mode that was tried."""
        try:
            if hasattr(self, "_dataplane"):
                self._dataplane.stop()
            return {}
        except Exception as failure:
            last = [mode for mode, outcome in outcomes.items() if outcome.verdict is Verdict.OK
                   ][-1:]
            return {
                mode: Outcome(Verdict.FAILED, 0, f"{failure}\n{self._logs()}")
                for mode in last or ["direct"]
            }
        finally:
            for server in self._servers:
                server.kill()
            shutil.rmtree(self._pair.folder, ignore_errors=True)

    def _start(self, name: str, *, proxy: bool = False) -> Server:
        at = Endpoint(f"127.0.{self._number}.{11 + len(self._servers)}", self.PORT)
        folder = self._new_folder(name)
        server = Server(at, folder, self._pair.start(folder, at, proxy))
        self._servers.append(server)
        await_true(f"{name} listens", lambda: self._listens(server))
        if not proxy:  # A server that waits for the header understands no direct client.
            self._pair.fill(at, folder)
        return server

    def _listens(self, server: Server) -> bool:
        for program in server.programs:
            if program.process.poll() is not None:
                raise Broken(f"{program.command[0]} ended with {program.process.returncode}: "
                             f"{program.said()}")
        return is_listening(server.at, self._pair.protocol)

    def _two_backends(self) -> list[tuple[Server, str]]:
        other = "draining" if self._pair.several_connections else "ready"
        return [(self._servers[0], "ready"), (self._servers[1], other)]

    def _publish(self,
                 mode: str,
                 backends: list[tuple[Server, str]],
                 policy: dict[str, str] | None = None) -> Endpoint:
        protocol = self._pair.protocol
        if protocol != "tcp" and f"protocol={protocol}" not in self._dataplane.features:
            raise Skipped(f"the data plane's features lack protocol={protocol}")
        vip = Endpoint(f"127.0.{self._number}.1", self.PORT + MODES.index(mode))
        self._dataplane.publish(mode,
                                vip, [(server.at, state) for server, state in backends],
                                protocol=protocol,
                                policy=policy)
        return vip

    def _in_use(self, mode: str) -> tuple[Server, Server]:
        """The server that holds the session, and the other."""
        await_true("one backend holds the session", lambda: len(self._dataplane.busy(mode)) == 1, 3)
        busy = self._dataplane.busy(mode)
        first, second = self._servers[:2]
        return (first, second) if str(first.at) in busy else (second, first)

    def _open_on(self, mode: str, vip: Endpoint, used: Server, other: Server) -> Session:
        """Opens a session; Broken unless it is on `other`."""
        before = self._dataplane.busy(mode)
        session = self._open(vip)
        try:
            await_true("", lambda: self._moved(before, self._dataplane.busy(mode), used, other), 3)
        except Broken:
            session.abandon()
            raise Broken(f"a new session should be on {other.at}; connections were {before}, "
                         f"are {self._dataplane.busy(mode)}") from None
        return session

    @staticmethod
    def _moved(before: dict[str, int], now: dict[str, int], used: Server, other: Server) -> bool:
        one, two = str(used.at), str(other.at)
        return now.get(one) == before.get(one) and now.get(two, 0) > before.get(two, 0)

    def _has_sessions(self) -> bool:
        return type(self._pair).session is not Pair.session

    def _direct_seconds(self, server: Server) -> float:
        return self._timed(lambda: self._open(server.at).finish())[1]

    @staticmethod
    def _timed(what: Callable[[], Ending]) -> tuple[Ending, float]:
        begin = time.monotonic()
        return what(), time.monotonic() - begin

    @staticmethod
    def _must_be_at_once(what: str, took: float, directly: float) -> None:
        if took > _limit(directly):
            raise Broken(f"{what} took {took:.1f} s, directly {directly:.1f} s")

    def _open(self, at: Endpoint) -> Session:
        return self._pair.session(at, self._new_folder()).open()

    def _must_end_well(self, what: str, ending: Ending) -> None:
        if ending.code != 0:
            raise Broken(f"{what}: {ending}")
        must_equal(f"digest of {what}", ending.digest, self._session_reference.digest)

    def _new_folder(self, name: str = "") -> Path:
        self._scratch += 1
        folder = self._pair.folder / (name or f"client-{self._scratch}")
        folder.mkdir()
        self._give(folder)
        return folder

    @staticmethod
    def _give(folder: Path) -> None:
        """To the suite's user, with all that is in it."""
        for path in [folder, *folder.rglob("*")]:
            shutil.chown(path, USER, USER)
        os.chmod(folder, 0o755)
