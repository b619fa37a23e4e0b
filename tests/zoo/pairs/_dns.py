"""DNS with dnsmasq and dig."""

from __future__ import annotations

from pathlib import Path

from lib.pair import Endpoint, Pair, must_equal
from lib.payload import digest, words
from lib.processes import Program, run

COUNT = 200
CONFIG = """
no-hosts
no-resolv
no-poll
bind-interfaces
listen-address={at.host}
port={at.port}
pid-file=
user=
"""


class Dns(Pair):
    """The same server answers over both transports."""

    packages = ["dnsmasq-base", "bind9-dnsutils"]
    programs = ["dnsmasq", "dig"]
    transport = ""

    def start(self, folder: Path, at: Endpoint, proxy: bool) -> list[Program]:
        records = "".join(
            f"txt-record=n{number}.zoo.test,{word}\n" for number, word in enumerate(words(COUNT)))
        config = folder / "dnsmasq.conf"
        config.write_text(CONFIG.format(at=at) + records)
        return [Program(["dnsmasq", "--keep-in-foreground", f"--conf-file={config}"], folder)]

    def check(self, at: Endpoint, folder: Path) -> str:
        got = run([*self.dig(at), "-f", "-"], folder, stdin=self.questions(0, COUNT))
        must_equal("answers", got.decode().replace('"', "").split(), words(COUNT))
        return digest(got)

    def dig(self, at: Endpoint) -> list[str]:
        return [
            "dig", f"@{at.host}", "-p",
            str(at.port), self.transport, "+short", "+tries=1", "+time=2"
        ]

    @staticmethod
    def questions(begin: int, end: int) -> bytes:
        return "".join(f"n{number}.zoo.test TXT\n" for number in range(begin, end)).encode()
