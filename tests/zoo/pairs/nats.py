"""NATS: nats-server with a client that speaks its text protocol, as Debian has none."""

from __future__ import annotations

from pathlib import Path

from lib.pair import Endpoint, Pair, must_equal
from lib.payload import digest, words
from lib.processes import Program, run
from lib.session import Session, says

GREETING = 'CONNECT {{"verbose":false}}\r\nSUB {subject} 1\r\nPING\r\n'
LAST = "the last of them"


class Nats(Pair):
    packages = ["nats-server"]
    programs = ["nats-server"]

    def start(self, folder: Path, at: Endpoint, proxy: bool) -> list[Program]:
        return [Program(["nats-server", "-a", at.host, "-p", str(at.port)], folder)]

    def check(self, at: Endpoint, folder: Path) -> str:
        got = run(self._client(at),
                  folder,
                  stdin=self._greeting(folder) + self._messages(folder, 2000))
        must_equal("messages", self._received(got), [*words(2000), LAST])
        return digest(*self._received(got))

    def session(self, at: Endpoint, folder: Path) -> Session:
        return Session(self._client(at),
                       folder,
                       opening=self._greeting(folder),
                       ready=says(b"PONG"),
                       closing=self._messages(folder, 200),
                       result=lambda output: "\n".join(self._received(output)))

    def _client(self, at: Endpoint) -> list[str | Path]:
        return [
            "/usr/bin/python3", self.folder.parent / "programs/talk.py", at.host,
            str(at.port), LAST
        ]

    @staticmethod
    def _greeting(folder: Path) -> bytes:
        """Sessions may meet in one server, so each has a subject of its own."""
        return GREETING.format(subject=folder.name).encode()

    @staticmethod
    def _messages(folder: Path, count: int) -> bytes:
        return "".join(f"PUB {folder.name} {len(text)}\r\n{text}\r\n"
                       for text in [*words(count), LAST]).encode()

    @staticmethod
    def _received(output: bytes) -> list[str]:
        """Payloads: what follows a line of MSG."""
        lines = output.decode().split("\r\n")
        return [
            lines[index + 1] for index, line in enumerate(lines[:-1]) if line.startswith("MSG ")
        ]
