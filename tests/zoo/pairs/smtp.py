"""SMTP: aiosmtpd with swaks.

The package of a whole mail server would take the place of the machine's own.
"""

from __future__ import annotations

import re
from pathlib import Path

from lib.gate import Gate
from lib.pair import Endpoint, Pair, must_equal
from lib.payload import digest, words
from lib.processes import Broken, Program, run
from lib.session import Session, says


class Smtp(Pair):
    packages = ["python3-aiosmtpd", "swaks"]
    programs = ["aiosmtpd", "swaks"]
    accepts_proxy = True

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._gate = Gate(folder)
        self._mail = folder / "mail"

    def prepare(self) -> None:
        lines = ["From: one@zoo.test", "To: two@zoo.test", "Subject: the zoo", "", *words(5000), ""]
        self._mail.write_bytes("\r\n".join(lines).encode())

    def start(self, folder: Path, at: Endpoint, proxy: bool) -> list[Program]:
        return [
            Program([
                "/usr/bin/python3", self.folder.parent / "programs/smtp_server.py", at.host,
                str(at.port), self._gate.path, *(["--proxy"] if proxy else [])
            ],
                    folder,
                    name="smtp")
        ]

    def check(self, at: Endpoint, folder: Path) -> str:
        # A session whose server was killed never came to open it.
        self._gate.open()
        sums = set(self._sums(run(self._swaks(at), folder)) for _ in range(3))
        must_equal("sum of the mail that the server got", sums,
                   {digest(self._mail.read_bytes().rstrip())})
        return sums.pop()

    def session(self, at: Endpoint, folder: Path) -> Session:
        self._gate.shut()
        return Session(self._swaks(at),
                       folder,
                       ready=says(b"\n -> ."),
                       closing=self._gate.open,
                       result=self._sums)

    def _swaks(self, at: Endpoint) -> list[str]:
        return [
            "swaks", "--server", at.host, "--port",
            str(at.port), "--from", "one@zoo.test", "--to", "two@zoo.test", "--helo", "zoo.test",
            "--data", f"@{self._mail}"
        ]

    @staticmethod
    def _sums(transcript: bytes) -> str:
        found = re.search(rb"250 sum ([0-9a-f]{64})", transcript)
        if not found:
            raise Broken(f"no sum in the server's answer: {transcript[-300:]!r}")
        return found.group(1).decode()
