"""A client that is held in the middle of its work, so that the world can change around it."""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from lib.payload import digest
from lib.processes import DEADLINE_S, Broken, Program

# How clients name the end of a connection; the first that matches is its class. Reset and closed
# are one: which of them a dead server's kernel sends depends on what it had not read by then.
ERROR_CLASSES = [("refused", "refused"), ("timeout", "timed? ?out"),
                 ("lost",
                  "reset|broken pipe|clos|eof|lost|gone away|unexpected|hung up|truncated|partial|"
                  "not connected|disconnect")]


@dataclass(frozen=True)
class Ending:
    """How a client ended. `error` is the class of what it complained about, "" if it did not."""

    code: int
    digest: str
    error: str
    said: str = field(compare=False, default="")

    def __str__(self) -> str:
        return f"exit code {self.code}, error '{self.error}', {self.said[-160:]!r}"


def _error_class(said: str) -> str:
    return next((name for name, words in ERROR_CLASSES if re.search(words, said, re.IGNORECASE)),
                "")


@dataclass
class Session:
    """A client process that is talked to through its standard input.

    `opening` is written first; the session counts as under way when `ready` says so of the output
    so far. Output beyond that is not read, so a client that prints a long download is held by its
    full pipe; `freeze` stops the whole client instead. `closing` is written, or called, when the
    session may go on to its end. `result` says which bytes of the output, or of files, are the
    outcome.
    """

    command: Sequence[str | Path]
    folder: Path
    ready: Callable[[bytes], bool]
    opening: bytes = b""
    closing: bytes | Callable[[], None] = b""
    result: Callable[[bytes], bytes | str | Path] = lambda output: output
    extra: Mapping[str, str] | None = None
    freeze: bool = False

    def open(self) -> Session:
        """Starts the client and returns when it is in the middle of its work."""
        self._start()
        with contextlib.suppress(BrokenPipeError):
            os.write(self._pipe(self._process.stdin), self.opening)
        self._read_until_ready()
        if self.freeze:
            self._program.signal(signal.SIGSTOP)
        return self

    def attempt(self) -> bool:
        """Runs the client with nothing to say but its opening: whether it got under way at all."""
        self._start()
        return self.ready(self._communicate(self.opening))

    def _start(self) -> None:
        self._program = Program(self.command,
                                self.folder,
                                name="session",
                                stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE,
                                extra=self.extra)
        self._log_start = self._program.log.stat().st_size
        self._output = b""

    def finish(self) -> Ending:
        """Lets the client go on to its end, whatever end that is; Broken when it hangs."""
        if self.freeze:
            self._program.signal(signal.SIGCONT)
        rest = self.closing
        if callable(rest):
            rest()
            rest = b""
        return self._ending(self._output + self._communicate(rest))

    def _communicate(self, rest: bytes) -> bytes:
        """What the client still prints when this was all for it to hear."""
        try:
            return self._process.communicate(rest, timeout=DEADLINE_S)[0]
        except subprocess.TimeoutExpired as late:
            self.abandon()
            raise Broken(f"the client hangs: {' '.join(self._program.command)[:200]}") from late

    def abandon(self) -> None:
        """Ends the client if it still runs."""
        if hasattr(self, "_program"):
            self._program.kill()

    @property
    def _process(self) -> subprocess.Popen[bytes]:
        return self._program.process

    @staticmethod
    def _pipe(end: IO[bytes] | None) -> int:
        if end is None:
            raise Broken("the client was started without its pipes")
        return end.fileno()

    def _ending(self, output: bytes) -> Ending:
        said = self._program.log.read_text(errors="replace")[self._log_start:]
        code = self._process.returncode
        outcome = digest(self.result(output)) if code == 0 else ""
        return Ending(code, outcome, "" if code == 0 else _error_class(said), said.strip())

    def _read_until_ready(self) -> None:
        end = time.monotonic() + DEADLINE_S
        with selectors.DefaultSelector() as selector:
            output = self._pipe(self._process.stdout)
            selector.register(output, selectors.EVENT_READ)
            while not self.ready(self._output):
                if selector.select(0.05):
                    chunk = os.read(output, 65536)
                    self._output += chunk
                    if not chunk and not self.ready(self._output):
                        raise self._never_ready("it ended")
                if time.monotonic() > end:
                    raise self._never_ready("its deadline is over")

    def _never_ready(self, why: str) -> Broken:
        self.abandon()
        return Broken(f"{' '.join(self._program.command)[:200]} did not get under way ({why}): "
                      f"{self._output[-200:]!r} {self._program.said(4)}")


def says(marker: bytes) -> Callable[[bytes], bool]:
    """Ready when the output contains these bytes."""
    return lambda output: marker in output


def at_least(size: int) -> Callable[[bytes], bool]:
    """Ready when so many bytes have arrived."""
    return lambda output: len(output) >= size
