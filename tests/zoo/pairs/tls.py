"""TLS: openssl s_server, which turns lines round, and s_client, which checks the certificate."""

from __future__ import annotations

from pathlib import Path

from lib.certificate import HOST, make_certificate
from lib.pair import Endpoint, Pair, must_equal
from lib.payload import digest, words
from lib.processes import Program, run
from lib.session import Session, says

# The server's own word for "end this connection".
CLOSE = "CLOSE\n"


class Tls(Pair):
    packages = ["openssl"]
    programs = ["openssl"]
    one_at_a_time = True

    def prepare(self) -> None:
        self._certificate, self._key = make_certificate(self.folder)

    def start(self, folder: Path, at: Endpoint, proxy: bool) -> list[Program]:
        return [
            Program([
                "openssl", "s_server", "-accept",
                str(at), "-cert", self._certificate, "-key", self._key, "-rev"
            ], folder)
        ]

    def check(self, at: Endpoint, folder: Path) -> str:
        lines = words(500)
        sums = []
        for version in ("-tls1_2", "-tls1_3"):
            got = run([*self._client(at), version],
                      folder,
                      stdin=("\n".join(lines) + "\n" + CLOSE).encode())
            must_equal(f"lines, {version}",
                       got.decode().split()[:500], [line[::-1] for line in lines])
            sums.append(digest(got))
        return digest(*sums)

    def session(self, at: Endpoint, folder: Path) -> Session:
        rest = "".join(f"{word}\n" for word in words(200))
        return Session(self._client(at),
                       folder,
                       opening=b"under way\n",
                       ready=says(b"yaw rednu"),
                       closing=(rest + CLOSE).encode())

    def _client(self, at: Endpoint) -> list[str | Path]:
        return [
            "openssl", "s_client", "-connect",
            str(at), "-servername", HOST, "-verify_hostname", HOST, "-verify_return_error",
            "-CAfile", self._certificate, "-quiet"
        ]
