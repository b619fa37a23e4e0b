"""Starts programs as the user of the suite, and ends exactly what it started."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

USER = "zoo"
DEADLINE_S = 30.0
POLL_S = 0.02
# Debian keeps servers in sbin and PostgreSQL's in a folder of its own.
PROGRAM_FOLDERS = [
    "/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/lib/postgresql/15/bin"
]


class Broken(Exception):
    """What the suite expected did not happen; the text is for the report."""


def environment(home: Path) -> dict[str, str]:
    """Nothing of the caller's surroundings (proxies, locales, agents) may change a result."""
    return {"PATH": ":".join(PROGRAM_FOLDERS), "HOME": str(home), "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def await_true(what: str, condition: Callable[[], bool], deadline_s: float = DEADLINE_S) -> None:
    """Asks again until it holds; raises Broken with `what` when the deadline is over."""
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            raise Broken(f"not within {deadline_s:.0f} s: {what}")
        time.sleep(POLL_S)


def _parents() -> dict[int, int]:
    """Parent of every process of this PID namespace."""
    found: dict[int, int] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = Path("/proc", entry, "stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            found[int(entry)] = int(stat.rpartition(")")[2].split()[1])
    return found


def tree(root: int) -> list[int]:
    """`root` and all below it. Servers fork: a connection lives in whichever of them holds it."""
    parents = _parents()
    members = [root]
    for member in members:
        members.extend(child for child, parent in parents.items() if parent == member)
    return members


class Program:
    """One started program with the log of what it said; a context for `with`."""

    def __init__(self,
                 command: Sequence[str | Path],
                 folder: Path,
                 *,
                 name: str = "",
                 user: str = USER,
                 stdout: int | IO[Any] | None = None,
                 stdin: int = subprocess.DEVNULL,
                 extra: Mapping[str, str] | None = None) -> None:
        self.command = [str(word) for word in command]
        self.log = folder / f"{name or Path(self.command[0]).name}.log"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command,
                                            bufsize=0,
                                            cwd=folder,
                                            stdin=stdin,
                                            stdout=stdout or log,
                                            stderr=log,
                                            user=user,
                                            group=user,
                                            extra_groups=[],
                                            start_new_session=True,
                                            env={
                                                **environment(folder),
                                                **(extra or {})
                                            })

    def kill(self) -> None:
        """SIGKILL to the whole tree: no chance to say goodbye."""
        self.signal(signal.SIGKILL)
        self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        """To it and all below it, unless it has ended."""
        for member in tree(self.process.pid) if self.process.poll() is None else []:
            try:
                os.kill(member, number)
            except ProcessLookupError:
                pass

    def said(self, lines: int = 12) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def run(command: Sequence[str | Path],
        folder: Path,
        *,
        stdin: bytes = b"",
        codes: Sequence[int] = (0,),
        extra: Mapping[str, str] | None = None) -> bytes:
    """Runs a client to its end and gives its output; Broken unless its code is in `codes`."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(words,
                              input=stdin,
                              capture_output=True,
                              cwd=folder,
                              timeout=DEADLINE_S,
                              user=USER,
                              group=USER,
                              extra_groups=[],
                              env={
                                  **environment(folder),
                                  **(extra or {})
                              })
    except subprocess.TimeoutExpired as late:
        raise Broken(
            f"{' '.join(words)[:200]} hung for {DEADLINE_S:.0f} s: {(late.stderr or b'')[-300:]!r}"
        ) from late
    if done.returncode not in codes:
        raise Broken(f"{' '.join(words)[:200]} ended with {done.returncode}: "
                     f"{(done.stderr or done.stdout)[-300:]!r}")
    return done.stdout
