"""Redis: redis-cli and redis-benchmark."""

from __future__ import annotations

from pathlib import Path

from lib.pair import Endpoint, Pair, must_equal
from lib.payload import MEBIBYTE, digest, payload, words
from lib.processes import Program, run
from lib.session import Session, says


class Redis(Pair):
    packages = ["redis-server", "redis-tools"]
    programs = ["redis-server", "redis-cli", "redis-benchmark"]
    reconnects = True

    def start(self, folder: Path, at: Endpoint, proxy: bool) -> list[Program]:
        return [
            Program([
                "redis-server", "--bind", at.host, "--port",
                str(at.port), "--save", "", "--dir", folder
            ], folder)
        ]

    def fill(self, at: Endpoint, folder: Path) -> None:
        lines = "".join(f"set key{number} {word}\n" for number, word in enumerate(words(200)))
        run(self._client(at), folder, stdin=lines.encode())

    def check(self, at: Endpoint, folder: Path) -> str:
        big = payload(8 * MEBIBYTE)
        run(self._client(at, "-x", "set", "big"), folder, stdin=big)
        got = run(self._client(at, "get", "big"), folder)
        must_equal("value", digest(got[:-1]), digest(big))
        run([
            "redis-benchmark", "-h", at.host, "-p",
            str(at.port), "-q", "-c", "20", "-n", "4000", "-t", "set,get"
        ], folder)
        return digest(got)

    def session(self, at: Endpoint, folder: Path) -> Session:
        gets = "".join(f"get key{number}\n" for number in range(1, 200))
        return Session(
            self._client(at),
            folder,
            opening=b"get key0\n",
            ready=says(words(1)[0].encode()),
            closing=gets.encode(),
            # A redis-cli that lost its connection says so instead of the next answer, and goes on.
            result=lambda output: b"".join(output.splitlines()[-100:]))

    def _client(self, at: Endpoint, *arguments: str) -> list[str]:
        return ["redis-cli", "-h", at.host, "-p", str(at.port), *arguments]
