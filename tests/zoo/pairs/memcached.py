"""memcached: memccp and memccat; the session speaks the text protocol through netcat."""

from __future__ import annotations

from pathlib import Path

from lib.pair import Endpoint, Pair, must_equal
from lib.payload import digest, words
from lib.processes import Program, run
from lib.session import Session, says


class Memcached(Pair):
    packages = ["memcached", "libmemcached-tools", "netcat-openbsd"]
    programs = ["memcached", "memccp", "memccat", "nc"]

    def prepare(self) -> None:
        (self.folder / "value").write_text("\n".join(words(20000)))

    def start(self, folder: Path, at: Endpoint, proxy: bool) -> list[Program]:
        return [
            Program(["memcached", "-l", at.host, "-p",
                     str(at.port), "-U", "0", "-t", "1"], folder)
        ]

    def check(self, at: Endpoint, folder: Path) -> str:
        run(["memccp", f"--servers={at}", self.folder / "value"], folder)
        got = run(["memccat", f"--servers={at}", "value"], folder)
        must_equal("value", digest(got.rstrip(b"\n")), digest(self.folder / "value"))
        return digest(got)

    def session(self, at: Endpoint, folder: Path) -> Session:
        keep = "".join(f"set key{number} 0 0 {len(word)}\r\n{word}\r\n"
                       for number, word in enumerate(words(100)))
        give = "".join(f"get key{number}\r\n" for number in range(100))
        return Session(["nc", at.host, str(at.port)],
                       folder,
                       opening=b"set first 0 0 3\r\none\r\n",
                       ready=says(b"STORED\r\n"),
                       closing=f"{keep}{give}quit\r\n".encode())
