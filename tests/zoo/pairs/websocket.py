"""WebSocket: python3-websockets on both sides, one connection that stays."""

from __future__ import annotations

from pathlib import Path

from lib.pair import Endpoint, Pair, must_equal
from lib.payload import digest, words
from lib.processes import Program, run
from lib.session import Session, says


class Websocket(Pair):
    packages = ["python3-websockets"]

    def start(self, folder: Path, at: Endpoint, proxy: bool) -> list[Program]:
        return [
            Program([*self._python("websocket_server.py"), at.host,
                     str(at.port)],
                    folder,
                    name="websocket")
        ]

    def check(self, at: Endpoint, folder: Path) -> str:
        # Long messages between short ones: frames of both sizes, and some that span many reads.
        lines = "".join(f"{word * (5000 if number % 100 == 0 else 1)}\n"
                        for number, word in enumerate(words(500)))
        got = run([*self._python("websocket_client.py"), at.host,
                   str(at.port)],
                  folder,
                  stdin=lines.encode())
        must_equal("echo", digest(got), digest(lines))
        return digest(got)

    def session(self, at: Endpoint, folder: Path) -> Session:
        rest = "".join(f"{word}\n" for word in words(100))
        return Session([*self._python("websocket_client.py"), at.host,
                        str(at.port)],
                       folder,
                       opening=b"under way\n",
                       ready=says(b"under way"),
                       closing=rest.encode())

    def _python(self, program: str) -> list[str | Path]:
        return ["/usr/bin/python3", self.folder.parent / "programs" / program]
