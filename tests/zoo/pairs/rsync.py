"""rsync's own protocol with a daemon; the session is slow enough to be stopped in the middle."""

from __future__ import annotations

from pathlib import Path

from lib.pair import Endpoint, Pair, must_equal
from lib.payload import MEBIBYTE, digest, payload, words
from lib.processes import Program, run
from lib.session import Session

CONFIG = """
use chroot = no
address = {at.host}
port = {at.port}
[data]
path = {shared}/data
"""


class Rsync(Pair):
    packages = ["rsync"]
    programs = ["rsync"]

    def prepare(self) -> None:
        data = self.folder / "data"
        data.mkdir()
        (data / "big").write_bytes(payload(24 * MEBIBYTE))
        for number, word in enumerate(words(200)):
            (data / f"small{number:03}").write_text(word)

    def start(self, folder: Path, at: Endpoint, proxy: bool) -> list[Program]:
        (folder / "rsyncd.conf").write_text(CONFIG.format(at=at, shared=self.folder))
        return [
            Program([
                "rsync", "--daemon", "--no-detach", f"--config={folder}/rsyncd.conf",
                f"--log-file={folder}/transfers.log"
            ], folder)
        ]

    def check(self, at: Endpoint, folder: Path) -> str:
        run(["rsync", "-rc", f"rsync://{at}/data/", folder / "got"], folder)
        got = digest(*sorted((folder / "got").iterdir()))
        must_equal("files", got, digest(*sorted((self.folder / "data").iterdir())))
        return got

    def session(self, at: Endpoint, folder: Path) -> Session:

        def has_begun(_: bytes) -> bool:
            return any(part.stat().st_size > MEBIBYTE // 4 for part in folder.glob(".big.*"))

        return Session(["rsync", "--bwlimit=8M", f"rsync://{at}/data/big", folder / "big"],
                       folder,
                       ready=has_begun,
                       freeze=True,
                       result=lambda _: folder / "big")
