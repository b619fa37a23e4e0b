"""socat to socat: bulk in both directions at once, each ended by itself."""

from __future__ import annotations

from pathlib import Path

from lib.pair import Endpoint, Pair, must_equal
from lib.payload import MEBIBYTE, digest, payload
from lib.processes import Program, run
from lib.session import Session, says


class Socat(Pair):
    packages = ["socat"]
    programs = ["socat"]

    def start(self, folder: Path, at: Endpoint, proxy: bool) -> list[Program]:
        listen = f"TCP-LISTEN:{at.port},bind={at.host},reuseaddr,fork"
        return [Program(["socat", "-t", "20", listen, "EXEC:cat"], folder)]

    def check(self, at: Endpoint, folder: Path) -> str:
        sent = payload(32 * MEBIBYTE)
        got = run(self._client(at), folder, stdin=sent)
        must_equal("echo", digest(got), digest(sent))
        return digest(got)

    def session(self, at: Endpoint, folder: Path) -> Session:
        return Session(self._client(at),
                       folder,
                       opening=b"under way",
                       ready=says(b"under way"),
                       closing=payload(4 * MEBIBYTE))

    @staticmethod
    def _client(at: Endpoint) -> list[str]:
        return ["socat", "-t", "20", "STDIO", f"TCP:{at}"]
