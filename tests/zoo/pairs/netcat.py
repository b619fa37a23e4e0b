"""Half-close: nc -N ends its side, and only then the server answers, with the sum of it all."""

from __future__ import annotations

from pathlib import Path

from lib.pair import Endpoint, Pair, must_equal
from lib.payload import MEBIBYTE, digest, payload
from lib.processes import Program, run
from lib.session import Session, says


class Netcat(Pair):
    packages = ["netcat-openbsd", "socat"]
    programs = ["nc", "socat"]

    def start(self, folder: Path, at: Endpoint, proxy: bool) -> list[Program]:
        listen = f"TCP-LISTEN:{at.port},bind={at.host},reuseaddr,fork"
        return [Program(["socat", "-t", "20", listen, "SYSTEM:echo hello; sha256sum"], folder)]

    def check(self, at: Endpoint, folder: Path) -> str:
        sizes = [0, 1, 65536, 16 * MEBIBYTE]
        got = [
            run(["nc", "-N", at.host, str(at.port)], folder, stdin=payload(size)) for size in sizes
        ]
        must_equal("sums", [answer.decode() for answer in got],
                   [f"hello\n{digest(payload(size))}  -\n" for size in sizes])
        return digest(*got)

    def session(self, at: Endpoint, folder: Path) -> Session:
        return Session(["nc", "-N", at.host, str(at.port)],
                       folder,
                       opening=b"begin",
                       ready=says(b"hello"),
                       closing=payload(MEBIBYTE))
